"""Ollama's lines become events: recorded answers whole, and what versions of it do differently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ollama_wire import answer, call, piece
from woollama.domain.answers import Answer
from woollama.domain.errors import ContextTooLong, UpstreamBroke, UpstreamRefused
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    RoundBegan,
    SealedSeen,
    Stopped,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Reasoning, Sealed
from woollama.domain.turns import Target
from woollama.inferencers.ollama.decode import OllamaStreamDecoder

GOLDEN = Path(__file__).parents[2] / "golden/ollama"
TARGET = Target("here", "mock-model")


def decoded(*objects: Any) -> list[Event]:
    decoder = OllamaStreamDecoder(TARGET)
    events = [event for each in objects for event in decoder.feed(each)]
    decoder.close()
    return events


def recorded(name: str) -> list[Any]:
    return [json.loads(line) for line in (GOLDEN / f"{name}.ndjson").read_bytes().splitlines()]


def test_thoughts_text_and_two_calls_in_one_message():
    *events, usage, ending = decoded(*recorded("thinking_and_two_tools"))
    zurich = '{"location": "Zürich", "unit": "celsius"}'
    new_york = '{"location": "New York", "days": 3}'
    assert events == [
        RoundBegan(0, TARGET, None, "qwen3:14b"),
        ItemOpened("reasoning"),
        ThinkingDelta("Two cities,"),
        ThinkingDelta(" so two calls."),
        SealedSeen(Sealed("", "here")),
        ItemOpened("message"),
        TextDelta("I look both up."),
        CallOpened(0, "call_x1y2z3a4", "get_weather"),
        ArgumentsDelta(0, zurich),
        CallClosed(0, zurich),
        CallOpened(1, "call_b5c6d7e8", "get_weather"),
        ArgumentsDelta(1, new_york),
        CallClosed(1, new_york),
    ]
    assert isinstance(usage, UsageSeen)
    assert (usage.usage.input_tokens, usage.usage.output_tokens) == (187, 64)
    assert ending == Stopped("tool_calls", "stop")


@pytest.mark.parametrize(
    ("name", "text", "thought", "ending"),
    [
        ("text", "The sky is blue – Rayleigh scattering 🦙.\n", "", Stopped("end", "stop")),
        ("thinking", "Hello! How can I help?", "The user greets me.\n", Stopped("end", "stop")),
        ("length", "Once upon a", "", Stopped("length", "length")),
        ("whole_in_the_last_line", "Four.", "2 + 2.", Stopped("end", "stop")),
    ],
)
def test_recorded_answers(name: str, text: str, thought: str, ending: Stopped):
    told = Answer(decoded(*recorded(name)))
    thoughts = [item.text for item in told.items if isinstance(item, Reasoning)]
    assert (told.text, "".join(thoughts), told.ending) == (text, thought, ending)


def test_an_answer_from_the_cloud_says_where_it_was_made():
    began = decoded(*recorded("whole_in_the_last_line"))[0]
    assert isinstance(began, RoundBegan)
    assert began.extra == {"ollama": {"remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"}}


def test_the_cost_is_counted_and_kept_as_it_was_told():
    (usage,) = (event.usage for event in decoded(*answer("x")) if isinstance(event, UsageSeen))
    cost = {"total_duration": 5_000_000, "prompt_eval_count": 11, "eval_count": 7}
    assert usage == Usage(11, 7, native=cost)


def test_an_end_without_a_cost_is_an_end():
    assert decoded(piece(done=True, members={"done_reason": "load"})) == [
        RoundBegan(0, TARGET, None, "mock-model"),
        Stopped("end", "load"),
    ]


@pytest.mark.parametrize(
    ("word", "calls", "reason"),
    [
        ("stop", False, "end"),
        ("stop", True, "tool_calls"),
        ("length", True, "length"),
        ("tool_calls", True, "tool_calls"),
        ("tool_calls", False, "end"),
        ("unload", False, "end"),
        ("something new", False, "end"),
        ("", True, "tool_calls"),
    ],
)
def test_what_the_reasons_mean(word: str, calls: bool, reason: str):
    ending = decoded(*answer("x", calls=[("now", {})] if calls else [], reason=word))[-1]
    assert ending == Stopped(reason, word or None)  # type: ignore[arg-type]


def test_calls_without_ids_or_with_the_same_id_get_ids_of_their_own():
    calls = [call("a", {}), call("a", {}), call("b", {}, id="same"), call("b", {}, id="same")]
    told = Answer(decoded(piece(tool_calls=calls[:1]), piece(tool_calls=calls[1:]), piece(done=True)))
    assert [each.name for each in told.calls] == ["a", "a", "b", "b"]
    assert len({each.id for each in told.calls}) == 4
    assert told.calls[2].id == "same"


@pytest.mark.parametrize(
    ("arguments", "text"), [({}, "{}"), (None, "{}"), ("", "{}"), ('{"a": 1}', '{"a": 1}'), ({"a": "é"}, '{"a": "é"}')]
)
def test_arguments_are_json_text_whatever_they_were(arguments: Any, text: str):
    told = Answer(decoded(piece(tool_calls=[call("now", arguments)]), piece(done=True)))
    assert told.calls[0].arguments == text


def test_log_probabilities_go_with_their_text():
    logprob = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
    events = decoded(piece("x", members={"logprobs": [logprob]}), piece(done=True))
    assert TextDelta("x", (logprob,)) in events


def test_what_comes_after_the_end_is_not_told():
    assert decoded(*answer("x"), piece("y")) == decoded(*answer("x"))


def test_a_cut_answer_is_no_answer():
    with pytest.raises(UpstreamBroke, match="without finishing"):
        decoded(*recorded("cut"))
    with pytest.raises(UpstreamBroke, match="without finishing"):
        decoded()


def test_an_error_in_the_middle_is_the_upstreams():
    decoder = OllamaStreamDecoder(TARGET)
    *pieces, error = recorded("cut_by_an_error")
    assert len([event for each in pieces for event in decoder.feed(each) if isinstance(event, TextDelta)]) == 2
    with pytest.raises(
        UpstreamRefused, match=r"here/mock-model broke off .* runner has unexpectedly stopped"
    ) as caught:
        decoder.feed(error)
    assert caught.value.status_hint == 502


def test_a_context_that_is_too_long_is_told_as_such():
    with pytest.raises(ContextTooLong):
        decoded({"error": "the input length exceeds the context length"})


@pytest.mark.parametrize(
    "nonsense", [7, None, [], "text", piece(tool_calls=[{"function": {}}]), piece(tool_calls=[{"function": 1}])]
)
def test_nonsense_is_told_as_such(nonsense: Any):
    with pytest.raises(UpstreamBroke, match="here/mock-model"):
        decoded(nonsense)


@pytest.mark.parametrize("message", [None, 7, {"content": None}, {"content": 7, "tool_calls": {}}, {"tool_calls": [7]}])
def test_members_of_another_type_are_passed_over(message: Any):
    events = decoded({"model": 7, "message": message, "done": True, "eval_count": -1, "prompt_eval_count": "many"})
    assert events == [
        RoundBegan(0, TARGET),
        UsageSeen(0, Usage(native={"eval_count": -1, "prompt_eval_count": "many"})),
        Stopped("end"),
    ]
