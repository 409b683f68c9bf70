"""Recorded answers of Ollama, and of the others, as the lines that a client of Ollama's reads."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from tests.dialects.recordings import Recording
from tests.surfaces.tables import GOLDEN
from woollama.domain.answers import Answer
from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import CallClosed, CallOpened, Event, Failed, RoundBegan, Stopped, StopReason, TextDelta
from woollama.domain.messages import Image, Message, Reasoning, Text, ToolCall, ToolResult
from woollama.domain.turns import INTERNAL, Target, Turn
from woollama.inferencers.ollama.decode import OllamaStreamDecoder
from woollama.surfaces.ollama import chat, generate
from woollama.surfaces.ollama.words import DONE_REASONS, LinesRepair, encode_error_frame

TARGET = Target("maker", "m")
TURN = Turn("t", INTERNAL, "ollama", "asked/for", (), extra={})
WHOLE = [Recording("ollama", name) for name in ("text", "thinking", "thinking_and_two_tools", "length")] + [
    Recording("anthropic", "thinking_and_two_tools"),
    Recording("chat", "parallel_tools"),
    Recording("chat", "logprobs"),
]


def streamed(events: list[Event], codec: Any = chat) -> list[dict[str, Any]]:
    encoder = codec.StreamEncoder(TURN)
    return [json.loads(line) for event in events for line in encoder.encode(event)]


def essence(answer: Answer) -> list[Any]:
    """What was thought, said and called; the borders between texts are not told apart in lines."""
    items = answer.items
    thoughts = "".join(item.text or "".join(item.summary) for item in items if isinstance(item, Reasoning))
    calls = [(item.name, json.loads(item.arguments or "{}")) for item in items if isinstance(item, ToolCall)]
    return [thoughts, answer.text, calls, len(answer.logprobs), answer.usage.total.output_tokens]


@pytest.mark.parametrize("recording", WHOLE, ids=str)
def test_a_recorded_answer_says_the_same_in_lines(recording: Recording) -> None:
    before = Answer(recording.events)
    decoder = OllamaStreamDecoder(TARGET)
    after = Answer(event for line in streamed(recording.events) for event in decoder.feed(line))
    decoder.close()
    assert essence(after) == essence(before)


@pytest.mark.parametrize("recording", WHOLE, ids=str)
def test_an_answer_in_one_piece_is_what_its_lines_add_up_to(recording: Recording) -> None:
    lines = streamed(recording.events)
    whole = chat.encode_answer(TURN, Answer(recording.events))
    message = whole["message"]
    assert message["content"] == "".join(line["message"]["content"] for line in lines)
    assert message.get("thinking", "") == "".join(line["message"].get("thinking", "") for line in lines)
    calls = [call for line in lines for call in line["message"].get("tool_calls", [])]
    assert message.get("tool_calls", []) == calls
    assert [call["function"]["index"] for call in calls] == list(range(len(calls)))
    for name in ("done", "done_reason", "prompt_eval_count", "eval_count"):
        assert whole[name] == lines[-1][name]


def test_durations_are_the_upstreams_where_it_tells_them_and_else_measured() -> None:
    told = streamed(Recording("ollama", "text").events)[-1]
    recorded = json.loads((GOLDEN / "ollama/text.ndjson").read_text().splitlines()[-1])
    assert told["total_duration"] == recorded["total_duration"]
    measured = streamed([RoundBegan(0, TARGET), TextDelta("x"), Stopped("end")])[-1]
    assert all(measured[name] >= 1 for name in ("total_duration", "prompt_eval_duration", "eval_duration"))


def test_arguments_that_are_no_object_are_wrapped() -> None:
    lines = streamed([CallOpened(0, "c", "now"), CallClosed(0, "[1"), Stopped("tool_calls")])
    (call,) = lines[0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == {"INVALID_JSON": "[1"}


@pytest.mark.parametrize("reason", get_args(StopReason))
def test_every_reason_is_one_that_clients_know(reason: StopReason) -> None:
    assert DONE_REASONS[reason] in ("stop", "length")
    assert streamed([Stopped(reason)], generate)[-1]["done_reason"] == DONE_REASONS[reason]


def test_a_failure_is_the_last_line() -> None:
    lines = streamed([RoundBegan(0, TARGET), TextDelta("x"), Failed(UpstreamBroke("it broke"))])
    assert lines[-1] == {"error": "it broke", "at_fault": "upstream"}
    assert not [line for line in lines if line.get("done")]


def test_images_thoughts_and_calls_without_ids_are_understood() -> None:
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Look", "images": ["/9j/AAAA", "data:image/webp;base64,UklG"]},
            {"role": "assistant", "thinking": "Hm", "tool_calls": [{"function": {"name": "a", "arguments": {"x": 1}}}]},
            {"role": "assistant", "tool_calls": [{"id": "own", "function": {"name": "b", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "own", "content": "B"},
            {"role": "tool", "content": "A", "images": ["R0lGODdh"]},
        ],
    }
    items = chat.decode(body, turn_id="t", caller=INTERNAL).items
    assert items[0] == Message(
        "user", (Text("Look"), Image("data:image/jpeg;base64,/9j/AAAA"), Image("data:image/webp;base64,UklG"))
    )
    assert items[1:4] == (Reasoning("Hm"), ToolCall("call_1", "a", '{"x": 1}'), ToolCall("own", "b", "{}"))
    results = [item for item in items if isinstance(item, ToolResult)]
    assert [result.call_id for result in results] == ["own", "call_1"]
    assert results[1].outcome.content[1] == {"type": "image", "mimeType": "image/gif", "data": "R0lGODdh"}  # type: ignore[union-attr]


def test_a_heartbeat_is_white_space_before_the_next_line() -> None:
    assert json.loads(chat.SHAPE.heartbeat * 3 + b'{"done": true}') == {"done": True}


def test_a_line_that_only_speaks_of_done_is_not_the_end() -> None:
    repair = LinesRepair(encode_error_frame)
    speaking = json.dumps({"message": {"content": 'say {"done": true}'}, "done": False}).encode() + b"\n"
    assert repair.repair(speaking) == [speaking]
    assert not repair.done
    assert b"without finishing" in repair.end()[0]
    broken = LinesRepair(encode_error_frame)
    broken.repair(b'{"error": "no memory"}\n')
    assert (broken.end(), broken.tap.error) == ([], b'{"error": "no memory"}\n')
