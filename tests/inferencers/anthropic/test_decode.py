"""Messages streams that are not as the documentation has them. Those that are, are in the golden round trips."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.recordings import Recording
from woollama.domain.answers import Answer
from woollama.domain.errors import UpstreamBroke, UpstreamRefused
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    Event,
    RoundBegan,
    Stopped,
    TextDelta,
    UsageSeen,
)
from woollama.domain.messages import Message, Reasoning, Sealed, Text, ToolCall
from woollama.domain.turns import Target
from woollama.inferencers.anthropic.decode import MessagesStreamDecoder

TARGET = Target("claude", "model")
START = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 3}}}
END = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


def block(kind: str, *deltas: dict[str, Any], index: int = 0, **members: Any) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": {"type": kind, **members}},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def events_of(*wires: dict[str, Any]) -> list[Event]:
    decoder = MessagesStreamDecoder(TARGET)
    return [event for wire in wires for event in decoder.feed(wire)]


def items_of(*wires: dict[str, Any]) -> tuple[object, ...]:
    return Answer(events_of(START, *wires, *END)).items


@pytest.mark.parametrize("name", ["text", "thinking_and_two_tools", "web_search"])
def test_a_stream_that_is_cut_anywhere_is_told_from_one_that_ended(name: str) -> None:
    wires = Recording("anthropic", name).wires
    finished = next(number for number, wire in enumerate(wires) if wire["type"] == "message_delta")
    for length in range(len(wires) + 1):
        decoder = MessagesStreamDecoder(TARGET)
        for wire in wires[:length]:
            decoder.feed(wire)
        if length <= finished:
            with pytest.raises(UpstreamBroke, match="claude/model broke off"):
                decoder.close()
        else:
            decoder.close()


def test_a_stop_reason_without_its_last_frame_is_an_end() -> None:
    decoder = MessagesStreamDecoder(TARGET)
    for wire in [START, *block("text", {"type": "text_delta", "text": "Hi"}), END[0]]:
        decoder.feed(wire)
    assert decoder.close() == [Stopped("end", "end_turn", "msg_1")]
    assert decoder.close() == []


def test_the_end_is_told_once() -> None:
    decoder = MessagesStreamDecoder(TARGET)
    ends = [event for wire in [START, *END, END[1]] for event in decoder.feed(wire)]
    assert [type(event) for event in ends].count(Stopped) == 1


def test_content_that_stands_in_the_opening_frame_is_not_lost() -> None:
    assert items_of(
        *block("thinking", thinking="hm", signature="EqQB"),
        *block("text", {"type": "text_delta", "text": " there"}, index=1, text="Hi"),
    ) == (Reasoning("hm", sealed=Sealed("EqQB", "claude")), Message("assistant", (Text("Hi there"),)))


def test_a_thought_without_a_signature_still_belongs_to_its_maker() -> None:
    assert items_of(*block("thinking", {"type": "thinking_delta", "thinking": "hm"}, thinking="")) == (
        Reasoning("hm", sealed=Sealed("", "claude")),
    )


def test_a_signature_in_pieces_is_joined() -> None:
    pieces = [{"type": "signature_delta", "signature": piece} for piece in ("Eq", "QB")]
    assert items_of(*block("thinking", *pieces, thinking="", signature="")) == (
        Reasoning(sealed=Sealed("EqQB", "claude")),
    )


def test_an_input_that_comes_whole_is_streamed_all_the_same() -> None:
    events = events_of(START, *block("tool_use", id="toolu_1", name="f", input={"città": "Roma"}), *END)
    assert ArgumentsDelta(0, '{"città": "Roma"}') in events
    assert CallClosed(0, '{"città": "Roma"}') in events


def test_a_call_without_arguments_has_an_empty_object() -> None:
    empty = {"type": "input_json_delta", "partial_json": ""}
    assert items_of(*block("tool_use", empty, id="toolu_1", name="f", input={})) == (ToolCall("toolu_1", "f", "{}"),)


def test_blocks_that_stream_side_by_side_are_told_apart() -> None:
    first = block("tool_use", {"type": "input_json_delta", "partial_json": '{"a": 1}'}, id="t1", name="f", input={})
    second = block(
        "tool_use", {"type": "input_json_delta", "partial_json": '{"b": 2}'}, index=1, id="t2", name="g", input={}
    )
    mixed = [wire for pair in zip(first, second, strict=True) for wire in pair]
    assert items_of(*mixed) == (ToolCall("t1", "f", '{"a": 1}'), ToolCall("t2", "g", '{"b": 2}'))


def test_events_and_deltas_that_nobody_knows_are_passed_over() -> None:
    events = events_of(
        START,
        {"type": "ping"},
        {"type": "aurora", "index": 0},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": "of no block"}},
        *block("text", {"type": "sparkle_delta", "sparkle": 1}, {"type": "text_delta", "text": "Hi"}, text=""),
        *END,
    )
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hi"]


def test_a_later_count_leaves_out_what_has_not_changed() -> None:
    events = events_of(
        {"type": "message_start", "message": {"usage": {"input_tokens": 3, "cache_read_input_tokens": 10}}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2, "input_tokens": None}},
    )
    assert isinstance(events[0], RoundBegan)
    assert [event.usage.input_tokens for event in events if isinstance(event, UsageSeen)] == [13, 13]
    assert [event.usage.output_tokens for event in events if isinstance(event, UsageSeen)] == [0, 2]


def test_an_error_in_the_stream_is_raised_with_its_own_status() -> None:
    with pytest.raises(UpstreamRefused, match="Overloaded") as caught:
        events_of(START, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert caught.value.status_hint == 529


@pytest.mark.parametrize(
    "wire",
    [
        [],
        "text",
        {"type": "message_start", "message": "text"},
        {"type": "content_block_start", "index": "first", "content_block": {"type": "text"}},
        {"type": "content_block_start", "index": 0, "content_block": "text"},
        {"type": "message_delta", "delta": 3, "usage": {}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": "many"}},
    ],
)
def test_a_frame_in_an_impossible_shape_is_the_upstreams_fault(wire: Any) -> None:
    with pytest.raises(UpstreamBroke, match="what nobody can read"):
        MessagesStreamDecoder(TARGET).feed(wire)
