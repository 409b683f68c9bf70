"""Recorded streams of four dialects, through our events and back: the proof that the vocabulary has all the words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.dialects.normal_forms import normal_anthropic, normal_chat
from tests.dialects.readings import Ending, Said, meaning_of, read
from tests.dialects.recordings import DIALECTS, DONE, Recording, recordings, wires_of
from woollama.domain.answers import Answer
from woollama.domain.events import (
    CallOpened,
    Event,
    Failed,
    ItemOpened,
    OpaqueSeen,
    RoundBegan,
    SealedSeen,
    Stopped,
    StopReason,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
)
from woollama.domain.messages import Dialect, Message, Opaque, Reasoning, Refusal, ToolCall

ENDINGS: dict[StopReason, Ending] = {
    "end": "done",
    "stop_sequence": "done",
    "length": "length",
    "tool_calls": "calls",
    "refusal": "filtered",
    "content_filter": "filtered",
}


def named(recording: Recording) -> str:
    return str(recording)


def same(wires: Sequence[Any], back: Sequence[Any]) -> None:
    for number, (before, after) in enumerate(zip(wires, back, strict=False)):
        assert after == before, f"frame {number}"
    assert len(back) == len(wires)


@pytest.mark.parametrize("recording", [each for each in recordings("anthropic") if each.name != "cut"], ids=named)
def test_a_messages_stream_comes_back_as_it_was(recording: Recording) -> None:
    same(normal_anthropic(recording.wires), normal_anthropic(wires_of(recording.encoded("anthropic"))))


@pytest.mark.parametrize("recording", [each for each in recordings("chat") if each.name != "cut"], ids=named)
def test_a_chat_stream_comes_back_as_it_was(recording: Recording) -> None:
    same(normal_chat(recording.wires), normal_chat(wires_of(recording.encoded("chat"))))


@pytest.mark.parametrize("dialect", ["anthropic", "chat"])
def test_a_stream_that_was_cut_comes_back_with_an_error_and_no_end(dialect: Dialect) -> None:
    recording = Recording(dialect, "cut")
    normal = normal_anthropic if dialect == "anthropic" else normal_chat

    *begun, error = wires_of(recording.encoded(dialect))

    same(normal(recording.wires), normal(begun))
    assert error["error"]["at_fault"] == "upstream"
    assert DONE not in begun


@pytest.mark.parametrize("into", DIALECTS)
@pytest.mark.parametrize("recording", recordings(), ids=named)
def test_a_stream_says_the_same_in_every_dialect(recording: Recording, into: Dialect) -> None:
    answer = Answer(recording.events)
    said = read(into, wires_of(recording.encoded(into)))

    assert (said.begins, said.ends) == (1, 1)
    assert said.ending == ending_in(into, answer)
    assert_same_words(into, said, answer)
    assert_same_thoughts(said, answer)
    assert said.called == [(call.id, call.name, meaning_of(call.arguments)) for call in client_calls(answer)]


def ending_in(dialect: Dialect, answer: Answer) -> Ending:
    """Each dialect has its own way to end a refusal that was put into words."""
    match answer.ending:
        case Stopped(reason=reason):
            if refusal_of(answer) and dialect == "anthropic":
                return "filtered"
            return ENDINGS[reason]
        case _:
            return "failed"


def assert_same_words(dialect: Dialect, said: Said, answer: Answer) -> None:
    text = "".join(item.text for item in answer.items if isinstance(item, Message))
    if dialect == "anthropic":  # which has no part of its own for a refusal
        assert said.text == text + refusal_of(answer)
    else:
        assert (said.text, said.refusal) == (text, refusal_of(answer))


def assert_same_thoughts(said: Said, answer: Answer) -> None:
    """White space apart: what stands between the parts of a summary is each dialect's own."""
    thoughts = [item.text + "".join(item.summary) for item in answer.items if isinstance(item, Reasoning)]
    assert "".join(said.reasoning.split()) == "".join("".join(thoughts).split())


def refusal_of(answer: Answer) -> str:
    parts = (part for item in answer.items if isinstance(item, Message) for part in item.parts)
    return "".join(part.text for part in parts if isinstance(part, Refusal))


def client_calls(answer: Answer) -> list[ToolCall]:
    return [item for item in answer.items if isinstance(item, ToolCall) and item.runs == "client"]


def test_a_messages_stream_is_decoded_to_thoughts_text_and_calls() -> None:
    events = Recording("anthropic", "thinking_and_two_tools").events
    told = [type(event) for event in events if not isinstance(event, TextDelta | ThinkingDelta)]
    answer = Answer(events)

    assert told[:4] == [RoundBegan, UsageSeen, ItemOpened, SealedSeen]
    assert [(call.index, call.name) for call in events if isinstance(call, CallOpened)] == [
        (0, "get_weather"),
        (1, "get_weather"),
    ]
    thought, message, zurich, new_york = answer.items
    assert isinstance(thought, Reasoning)
    assert thought.sealed is not None
    assert thought.sealed.made_by == "maker"
    assert isinstance(message, Message)
    assert message.text == "I'll look up both cities."
    assert isinstance(zurich, ToolCall)
    assert zurich.arguments == '{"location": "Zürich", "unit": "celsius"}'
    assert isinstance(new_york, ToolCall)
    assert new_york.extra == {"anthropic": {"caller": {"type": "direct"}}}
    assert answer.ending == Stopped("tool_calls", "tool_use", "msg_01XFDUDYJgAACzvnptvVoYEL")


def test_the_usage_of_a_messages_stream_counts_what_was_cached_as_input() -> None:
    usage = Answer(Recording("anthropic", "thinking_and_two_tools").events).usage.total
    assert (usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens) == (472 + 1821 + 412, 1821, 412)
    assert (usage.output_tokens, usage.reasoning_tokens) == (166, 41)


def test_blocks_that_only_messages_knows_are_kept_whole_between_its_texts() -> None:
    answer = Answer(Recording("anthropic", "web_search").events)
    opaque = [item for item in answer.items if isinstance(item, Opaque)]

    assert [item.raw["content"][0]["type"] for item in opaque] == ["server_tool_use", "web_search_tool_result"]
    assert opaque[0].raw["content"][0]["input"] == {"query": "claude shannon birth date"}
    assert answer.text == ("I'll search for that.Claude Shannon was born on April 30, 1916, in Petoskey, Michigan.")
    assert not any(isinstance(event, OpaqueSeen) for event in Recording("chat", "parallel_tools").events)


@pytest.mark.parametrize("recording", recordings(), ids=named)
def test_every_recording_has_one_beginning_and_one_end(recording: Recording) -> None:
    events: list[Event] = recording.events
    assert isinstance(events[0], RoundBegan)
    assert [event for event in events if isinstance(event, Stopped | Failed)] == events[-1:]
    assert recording.is_whole == (not recording.name.startswith(("cut", "overloaded")))
