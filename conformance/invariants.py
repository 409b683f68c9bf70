"""What holds of an answer beside its recorded bytes. A case names these under `invariants`.

Each takes what the client saw: `{"status", "headers", "json"?, "text"?, "frames"?}`, and raises `AssertionError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Seen = Mapping[str, Any]


def ends_with_done(seen: Seen) -> None:
    assert seen["frames"][-1]["data"] == "[DONE]"
    assert [frame["data"] for frame in seen["frames"]].count("[DONE]") == 1


def no_success_marker(seen: Seen) -> None:
    """A stream that failed says so and nothing in it looks like a finished answer."""
    events = _events(seen)
    assert "[DONE]" not in [frame["data"] for frame in seen["frames"]]
    assert not [event for event in events if _finish(event) or event.get("type") in _SUCCESSES]
    assert events[-1].get("type") == "response.failed" or "error" in events[-1]


def one_finish_reason(seen: Seen) -> None:
    finishes = [found for event in _events(seen) if (found := _finish(event))]
    assert len(finishes) == 1, finishes


def error_has_four_keys(seen: Seen) -> None:
    assert {"message", "type", "param", "code"} <= set(seen["json"]["error"])
    assert isinstance(seen["json"]["error"]["message"], str)


def one_lifecycle(seen: Seen) -> None:
    """Responses: one beginning, one end, and numbers without a gap."""
    events = _events(seen)
    kinds = [event["type"] for event in events]
    ends = {"response.completed", "response.incomplete", "response.failed"}
    assert kinds[0] == "response.created"
    assert kinds.count("response.created") == 1
    assert [kind for kind in kinds if kind in ends] == kinds[-1:]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def frames_carry_their_type(seen: Seen) -> None:
    """Responses: the SSE event name is the type in the data."""
    named = [frame for frame in seen["frames"] if frame["data"] != "[DONE]"]
    assert [frame["event"] for frame in named] == [frame["data"]["type"] for frame in named]


def one_message(seen: Seen) -> None:
    """Messages: one beginning, one end, every block opened in turn and closed."""
    events = _events(seen)
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    opened = [event["index"] for event in events if event["type"] == "content_block_start"]
    assert opened == list(range(len(opened)))
    assert sorted(event["index"] for event in events if event["type"] == "content_block_stop") == opened


def one_done(seen: Seen) -> None:
    """Ollama's lines: the last one, and no other, is done."""
    assert [line.get("done") for line in seen["lines"]] == [False] * (len(seen["lines"]) - 1) + [True]


def no_line_is_done(seen: Seen) -> None:
    """Ollama's lines of an answer that failed: the last one says so, and nothing looks finished."""
    assert not [line for line in seen["lines"] if line.get("done")]
    assert seen["lines"][-1]["error"]


_SUCCESSES = {"response.completed", "message_stop"}

BY_NAME: Mapping[str, Callable[[Seen], None]] = {
    check.__name__.replace("_", " "): check
    for check in (
        ends_with_done,
        no_success_marker,
        one_finish_reason,
        error_has_four_keys,
        one_lifecycle,
        frames_carry_their_type,
        one_message,
        one_done,
        no_line_is_done,
    )
}


def _events(seen: Seen) -> list[dict[str, Any]]:
    return [frame["data"] for frame in seen["frames"] if isinstance(frame["data"], dict)]


def _finish(chunk: Mapping[str, Any]) -> str | None:
    return next((choice["finish_reason"] for choice in chunk.get("choices", []) if choice.get("finish_reason")), None)
