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
    data = [frame["data"] for frame in seen["frames"]]
    assert "[DONE]" not in data
    assert not [each for each in data if isinstance(each, dict) and _finish(each)]
    assert not [each for each in data if isinstance(each, dict) and each.get("type") == "response.completed"]
    assert any(isinstance(each, dict) and "error" in str(each.get("type", "")) + "".join(each) for each in data)


def one_finish_reason(seen: Seen) -> None:
    finishes = [
        found for frame in seen["frames"] if isinstance(frame["data"], dict) and (found := _finish(frame["data"]))
    ]
    assert len(finishes) == 1, finishes


def error_has_four_keys(seen: Seen) -> None:
    assert {"message", "type", "param", "code"} <= set(seen["json"]["error"])
    assert isinstance(seen["json"]["error"]["message"], str)


def one_lifecycle(seen: Seen) -> None:
    """Responses: one beginning, one end, and numbers without a gap."""
    events = [frame["data"] for frame in seen["frames"] if isinstance(frame["data"], dict)]
    kinds = [event["type"] for event in events]
    ends = {"response.completed", "response.incomplete", "response.failed"}
    assert kinds[0] == "response.created"
    assert kinds.count("response.created") == 1
    assert [kind for kind in kinds if kind in ends] == kinds[-1:]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def frames_carry_their_type(seen: Seen) -> None:
    """Responses: the SSE event name is the type in the data."""
    for frame in seen["frames"]:
        assert frame["event"] == frame["data"]["type"]


BY_NAME: Mapping[str, Callable[[Seen], None]] = {
    check.__name__.replace("_", " "): check
    for check in (
        ends_with_done,
        no_success_marker,
        one_finish_reason,
        error_has_four_keys,
        one_lifecycle,
        frames_carry_their_type,
    )
}


def _finish(chunk: Mapping[str, Any]) -> str | None:
    return next((choice["finish_reason"] for choice in chunk.get("choices", []) if choice.get("finish_reason")), None)
