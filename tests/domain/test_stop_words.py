"""Why an answer ended: every reason has a word in every dialect, and every dialect's words are understood."""

from __future__ import annotations

from typing import Any, get_args

import anthropic.types
import pytest
from openai.types.chat.chat_completion_chunk import Choice

from tests.dialects import responses_stream
from tests.dialects.recordings import CODECS, DIALECTS, DONE, Recording, wires_of
from woollama.domain.events import CallClosed, CallOpened, Event, RoundBegan, Stopped, StopReason
from woollama.domain.messages import Dialect
from woollama.domain.turns import Target
from woollama.inferencers.anthropic.decode import MessagesStreamDecoder
from woollama.inferencers.openai.decode import ChatStreamDecoder
from woollama.surfaces.openai_responses.object import INCOMPLETE

TARGET = Target("maker", "model")
REASONS: tuple[StopReason, ...] = get_args(StopReason)

MESSAGES_WORDS: tuple[str, ...] = get_args(anthropic.types.StopReason)
CHAT_WORDS = tuple(word for word in get_args(get_args(Choice.model_fields["finish_reason"].annotation)[0]))
INCOMPLETE_WORDS = sorted(set(INCOMPLETE.values()))

TABLE: dict[StopReason, tuple[str, str, str]] = {
    "end": ("end_turn", "stop", "completed"),
    "length": ("max_tokens", "length", "incomplete max_output_tokens"),
    "tool_calls": ("tool_use", "tool_calls", "completed"),
    "stop_sequence": ("stop_sequence", "stop", "completed"),
    "content_filter": ("refusal", "content_filter", "incomplete content_filter"),
    "refusal": ("refusal", "content_filter", "incomplete content_filter"),
    "paused": ("pause_turn", "stop", "completed"),
    "max_rounds": ("pause_turn", "length", "incomplete max_messages"),
    "cancelled": ("end_turn", "stop", "cancelled"),
}
"""Messages, chat completions, Responses. Only Messages tells a stop sequence and a pause from a plain end."""


def streamed(dialect: Dialect, *events: Event) -> list[Any]:
    encoder = CODECS[dialect].StreamEncoder(Recording("anthropic", "text").turn(dialect))
    return wires_of(frame for event in events for frame in encoder.encode(event))


def word(dialect: Dialect, ending: Stopped) -> str:
    wires = [wire for wire in streamed(dialect, RoundBegan(0, TARGET), ending) if wire != DONE]
    match dialect:
        case "anthropic":
            return str(next(wire for wire in wires if wire["type"] == "message_delta")["delta"]["stop_reason"])
        case "chat":
            return str(next(filter(None, (choice["finish_reason"] for wire in wires for choice in wire["choices"]))))
        case _:
            response = wires[-1]["response"]
            details = response["incomplete_details"] or {}
            return " ".join([response["status"], *details.values()])


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_word_in_every_dialect(reason: StopReason) -> None:
    assert tuple(word(dialect, Stopped(reason)) for dialect in DIALECTS) == TABLE[reason]


@pytest.mark.parametrize("native", MESSAGES_WORDS)
def test_every_word_of_messages_is_understood_and_said_again(native: str) -> None:
    decoder = MessagesStreamDecoder(TARGET)
    decoder.feed({"type": "message_delta", "delta": {"stop_reason": native}, "usage": {"output_tokens": 1}})
    (stopped,) = decoder.feed({"type": "message_stop"})

    assert isinstance(stopped, Stopped)
    assert word("anthropic", stopped) == native


@pytest.mark.parametrize("native", [each for each in CHAT_WORDS if each != "function_call"])
def test_every_word_of_chat_completions_is_understood_and_said_again(native: str) -> None:
    called = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    decoder = ChatStreamDecoder(TARGET)
    chunk = {"choices": [{"index": 0, "delta": {"content": "…"}, "finish_reason": native}]}
    if native == "tool_calls":
        chunk["choices"][0]["delta"] = {"tool_calls": [called]}
    decoder.feed(chunk)
    *_, stopped = decoder.close(done=True)

    assert isinstance(stopped, Stopped)
    assert word("chat", stopped) == native


@pytest.mark.parametrize("native", INCOMPLETE_WORDS)
def test_every_reason_for_an_incomplete_response_is_understood_and_said_again(native: str) -> None:
    ended = {"output": [], "usage": None, "incomplete_details": {"reason": native}}
    (stopped,) = responses_stream.events_of([{"type": "response.incomplete", "response": ended}], TARGET)

    assert isinstance(stopped, Stopped)
    assert word("responses", stopped) == f"incomplete {native}"


def test_a_word_that_nobody_knows_ends_the_answer_and_is_kept() -> None:
    decoder = MessagesStreamDecoder(TARGET)
    decoder.feed({"type": "message_delta", "delta": {"stop_reason": "bored"}, "usage": {"output_tokens": 1}})
    assert decoder.feed({"type": "message_stop"}) == [Stopped("end", detail="bored")]


def test_the_words_of_another_dialect_do_not_leak() -> None:
    assert word("anthropic", Stopped("end", detail="stop")) == "end_turn"
    assert word("anthropic", Stopped("tool_calls", detail="tool_calls")) == "tool_use"
    assert word("chat", Stopped("length", detail="model_context_window_exceeded")) == "length"


def test_a_response_that_ends_in_calls_is_complete_and_holds_them() -> None:
    call = [CallOpened(0, "call_1", "f"), CallClosed(0, "{}")]
    wires = streamed("responses", RoundBegan(0, TARGET), *call, Stopped("tool_calls"))
    (stopped,) = (event for event in responses_stream.events_of(wires[:-1], TARGET) if isinstance(event, Stopped))
    assert stopped.reason == "tool_calls"
