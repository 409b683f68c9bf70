"""Chat streams become events; what upstreams get wrong is mended, and what cannot be mended is an error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import chat_wire
from tests.chat_wire import chunk
from woollama.domain.answers import Answer
from woollama.domain.errors import ContextTooLong, UpstreamBroke, UpstreamRefused
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    RefusalDelta,
    Rewrote,
    RoundBegan,
    SealedSeen,
    Stopped,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
)
from woollama.domain.frames import data_of
from woollama.domain.messages import Message, Reasoning, Sealed, ToolCall
from woollama.domain.turns import Target
from woollama.http.frames import FrameSplitter
from woollama.inferencers.openai.decode import ChatStreamDecoder

TARGET = Target("up", "mock-model")
CALLS = [("now", {"timezone": "Asia/Tokyo"}), ("count", {"to": 2})]


def decoded(*chunks: Any, done: bool = True) -> list[Event]:
    decoder = ChatStreamDecoder(TARGET)
    return [event for each in chunks for event in decoder.feed(each)] + decoder.close(done=done)


def decoded_bytes(*reads: bytes) -> list[Event]:
    splitter, decoder = FrameSplitter(), ChatStreamDecoder(TARGET)
    datas = [data_of(frame) for read in reads for frame in splitter.feed(read)]
    events = [event for data in datas if data and data != b"[DONE]" for event in decoder.feed(json.loads(data))]
    return events + decoder.close(done=b"[DONE]" in datas)


def calls_of(events: list[Event]) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in Answer(events).calls]


def piece(
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
    arguments: Any = None,
) -> dict[str, Any]:
    said = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return chunk({"tool_calls": [{key: value for key, value in said.items() if value is not None}]})


def test_a_proper_answer_is_a_round_with_items_usage_and_an_end():
    events = decoded(*chat_wire.chunks("It is", calls=[("now", {})], reasoning="Hm"))
    assert events == [
        RoundBegan(0, TARGET, "chatcmpl-1", "mock-model"),
        ItemOpened("reasoning"),
        ThinkingDelta("Hm"),
        SealedSeen(Sealed("", "up")),
        ItemOpened("message"),
        TextDelta("It "),
        TextDelta("is"),
        CallOpened(0, "call_0", "now"),
        ArgumentsDelta(0, "{"),
        ArgumentsDelta(0, "}"),
        CallClosed(0, "{}"),
        UsageSeen(0, events[-2].usage),  # type: ignore[union-attr]
        Stopped("tool_calls", "tool_calls"),
    ]


WHOLE = [kind for kind in chat_wire.MALFORMED if kind not in ("json", "errorevent", "html", "empty")]


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("calls", [[], CALLS], ids=["text", "calls"])
def test_odd_answers_mean_the_same_wherever_they_are_cut(kind: str, calls: list[Any]):
    stream = b"".join(chat_wire.malformed(kind, calls=calls))
    for at in range(0, len(stream) + 1, 7):
        events = decoded_bytes(stream[:at], stream[at:] + b"\n")  # a carriage return waits for what may follow it
        answer = Answer(events)
        texts = [item.text for item in answer.items if isinstance(item, Message)]
        assert texts in (["Hello, wörld 🦙"], []) if kind in ("noindex", "argsobj", "noid") else ["Hello, wörld 🦙"]
        if calls:
            assert calls_of(events) == CALLS
        assert isinstance(answer.ending, Stopped)
        expects_calls = calls or kind in ("noindex", "argsobj", "noid")
        assert answer.ending.reason == ("tool_calls" if expects_calls else "end")
        assert sum(isinstance(event, Stopped) for event in events) == 1
        assert answer.usage.total.input_tokens == (0 if kind == "usagenull" else 11)


def test_interleaved_calls_come_out_one_after_the_other():
    events = decoded(
        piece(0, "a", "now", '{"zone"'),
        piece(1, "b", "count", '{"to"'),
        piece(0, arguments=": 1}"),
        piece(1, arguments=": 2}"),
        chunk({}, "tool_calls"),
    )
    assert events[1:-1] == [
        CallOpened(0, "a", "now"),
        ArgumentsDelta(0, '{"zone"'),
        ArgumentsDelta(0, ": 1}"),
        CallClosed(0, '{"zone": 1}'),
        CallOpened(1, "b", "count"),
        ArgumentsDelta(1, '{"to"'),
        ArgumentsDelta(1, ": 2}"),
        CallClosed(1, '{"to": 2}'),
    ]


def test_sequential_calls_are_not_held_back():
    decoder = ChatStreamDecoder(TARGET)
    decoder.feed(piece(0, "a", "now", '{"zone": 1}'))
    assert decoder.feed(piece(1, "b", "count", '{"to"')) == [
        CallClosed(0, '{"zone": 1}'),
        CallOpened(1, "b", "count"),
        ArgumentsDelta(1, '{"to"'),
    ]


def test_a_call_without_arguments_has_an_empty_object():
    events = decoded(piece(0, "a", "now", ""), chunk({}, "tool_calls"))
    assert events[2:4] == [ArgumentsDelta(0, "{}"), CallClosed(0, "{}")]


def test_a_name_that_comes_after_the_id_is_waited_for():
    events = decoded(piece(0, "a"), piece(0, name="now", arguments="{}"), chunk({}, "stop"))
    assert events[1] == CallOpened(0, "a", "now")


def test_a_call_that_never_gets_a_name_is_no_answer():
    with pytest.raises(UpstreamBroke, match="without naming it"):
        decoded(piece(0, "a", None, "{}"), chunk({}, "tool_calls"))


def test_a_vendors_fields_of_a_call_are_kept_with_it():
    signed = chunk({"tool_calls": [{**chat_wire.call_delta(0, "a", "now", "{}"), "extra_content": {"sig": "x"}}]})
    call = Answer(decoded(signed, chunk({}, "stop"))).calls[0]
    assert call == ToolCall("a", "now", "{}", extra={"chat": {"extra_content": {"sig": "x"}}})


def test_the_retired_function_call_is_a_call():
    retired = chunk({"function_call": {"name": "now", "arguments": "{}"}})
    events = decoded(retired, chunk({}, "function_call"))
    assert calls_of(events) == [("now", {})]
    assert events[-1] == Stopped("tool_calls", "function_call")


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_thoughts_are_thoughts_under_either_name(member: str):
    items = Answer(decoded(chunk({member: "I think"}), chunk({"content": "so"}), chunk({}, "stop"))).items
    assert items == (Reasoning("I think", sealed=Sealed("", "up")), Message("assistant", items[1].parts))  # type: ignore[union-attr]


def test_thoughts_under_both_names_are_one():
    item = Answer(decoded(chunk({"reasoning": "x", "reasoning_content": "x"}), chunk({}, "stop"))).items[0]
    assert item == Reasoning("x", sealed=Sealed("", "up"))


def test_details_of_thoughts_are_sealed_for_their_maker():
    details = [{"type": "reasoning.encrypted", "data": "…"}]
    item = Answer(decoded(chunk({"reasoning": "x", "reasoning_details": details}), chunk({}, "stop"))).items[0]
    assert isinstance(item, Reasoning)
    assert item.sealed
    assert json.loads(item.sealed.data) == details


def test_content_in_parts_is_thought_and_text():
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "so"}]
    events = decoded(chunk({"content": parts}), chunk({}, "stop"))
    assert ThinkingDelta("hm") in events
    assert TextDelta("so") in events


def test_a_refusal_logprobs_and_annotations_are_told():
    logprobs = {"content": [{"token": "a", "logprob": -0.1}], "refusal": None}
    said = chunk({"content": "a", "annotations": [{"type": "url_citation"}]})
    said["choices"][0]["logprobs"] = logprobs
    events = decoded(said, chunk({"refusal": "no"}), chunk({}, "stop"))
    assert events[2:4] == [
        TextDelta("a", (logprobs["content"][0],), ({"type": "url_citation"},)),  # type: ignore[index]
        RefusalDelta("no"),
    ]


def test_audio_that_has_no_event_is_said_to_be_left_out_once():
    events = decoded(chunk({"audio": {"data": "x"}}), chunk({"audio": {"data": "y"}}), chunk({}, "stop"))
    assert [event for event in events if isinstance(event, Rewrote)] == [Rewrote("audio output was left out")]


def test_other_choices_than_the_first_are_no_part_of_the_round():
    other = chunk({"content": "other"})
    other["choices"][0]["index"] = 1
    both = chunk({"content": "first"})
    both["choices"] = other["choices"] + both["choices"]
    assert Answer(decoded(other, both, chunk({}, "stop"))).text == "first"


@pytest.mark.parametrize(
    ("native", "called", "reason"),
    [
        ("stop", False, "end"),
        ("STOP", False, "end"),
        ("eos", False, "end"),
        ("length", False, "length"),
        ("MAX_TOKENS", False, "length"),
        ("content_filter", False, "content_filter"),
        ("SAFETY", False, "content_filter"),
        ("stop_sequence", False, "stop_sequence"),
        ("something new", False, "end"),
        ("stop", True, "tool_calls"),
        ("tool_use", True, "tool_calls"),
        ("tool_calls", False, "end"),
        ("length", True, "length"),
    ],
)
def test_the_reason_is_the_true_one_and_the_upstreams_word_is_kept(native: str, called: bool, reason: str):
    made = [piece(0, "a", "now", "{}")] if called else [chunk({"content": "x"})]
    assert decoded(*made, chunk({}, native))[-1] == Stopped(reason, native)  # type: ignore[arg-type]


@pytest.mark.parametrize("native", ["error", "insufficient_system_resource"])
def test_a_breakdown_in_place_of_a_reason_is_no_end(native: str):
    with pytest.raises(UpstreamBroke, match=native):
        decoded(chunk({"content": "x"}), chunk({}, native))


def test_an_end_needs_a_finish_or_a_done():
    with pytest.raises(UpstreamBroke, match="without finishing"):
        decoded(chunk({"content": "x"}), done=False)
    with pytest.raises(UpstreamBroke, match="without finishing"):
        decoded(done=True)
    assert decoded(chunk({"content": "x"}), done=True)[-1] == Stopped("end")
    assert decoded(chunk({"content": "x"}, "stop"), done=False)[-1] == Stopped("end", "stop")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "m", "code": 429}, 429),
        ({"message": "m", "type": "rate_limit_error"}, 429),
        ({"message": "m", "type": "overloaded_error"}, 503),
        ({"message": "m", "code": "mid_stream", "type": "server_error"}, 502),
        ("just words", 502),
    ],
)
def test_an_error_in_a_chunks_place_is_a_refusal(error: Any, status: int):
    with pytest.raises(UpstreamRefused) as refused:
        decoded(chunk({"content": "x"}), {"error": error})
    assert refused.value.status_hint == status
    assert refused.value.payload == {"error": error}
    assert (error if isinstance(error, str) else "m") in refused.value.message


def test_an_error_that_wraps_nothing_is_one_too():
    bare = {"object": "error", "message": "engine died", "type": "InternalServerError", "code": 500}
    with pytest.raises(UpstreamRefused, match="engine died") as refused:
        decoded(chunk({"content": "x"}), bare)
    assert refused.value.status_hint == 500


def test_a_prompt_found_too_long_in_the_stream_is_the_clients_fault():
    with pytest.raises(ContextTooLong):
        decoded({"error": {"message": "too much", "code": "context_length_exceeded"}})


@pytest.mark.parametrize("value", [None, [], "text", 7])
def test_what_is_no_object_is_no_chunk(value: Any):
    with pytest.raises(UpstreamBroke, match="not an object"):
        decoded(value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"choices": None},
        {"choices": [None, 7]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": 7, "tool_calls": [None, {"function": "x"}][:1]}}]},
        {"choices": [], "usage": 7, "id": 7, "model": None},
        {"choices": [{"index": None, "delta": {"content": None}, "logprobs": None}]},
    ],
)
def test_chunks_of_strange_shapes_say_nothing(value: Any):
    events = decoded(value, chunk({"content": "x"}, "stop"))
    assert [type(event) for event in events] == [RoundBegan, ItemOpened, TextDelta, Stopped]


@pytest.mark.parametrize(
    "holder",
    [
        lambda usage: chunk(choices=[], usage=usage),
        lambda usage: chunk(choices=[], x_groq={"usage": usage}),
        lambda usage: {**chunk(), "choices": [{"index": 0, "delta": {}, "usage": usage}]},
    ],
)
def test_usage_is_found_where_upstreams_put_it(holder: Any):
    native = {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    events = decoded(chunk({"content": "x"}, "stop"), holder(native), holder(native))
    usages = [event.usage for event in events if isinstance(event, UsageSeen)]
    assert [(u.input_tokens, u.output_tokens, u.cached_tokens, u.reasoning_tokens) for u in usages] == [(11, 7, 5, 3)]
    assert usages[0].native == native


def test_what_an_answer_says_of_itself_is_kept_but_not_its_name():
    began = decoded({**chunk({"content": "x"}, "stop"), "system_fingerprint": "fp", "service_tier": None})[0]
    assert began == RoundBegan(0, TARGET, "chatcmpl-1", "mock-model", {"chat": {"system_fingerprint": "fp"}})


def test_an_answer_that_is_not_streamed_is_one_chunk():
    message = {
        "role": "assistant",
        "content": "so",
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            {"type": "function", "function": {"name": "now", "arguments": {"zone": 1}}},
        ],
    }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    events = decoded({"id": "x", "choices": [choice], "usage": chat_wire.USAGE})
    answer = Answer(events)
    assert (answer.text, calls_of(events)) == ("so", [("now", {}), ("now", {"zone": 1})])
    assert answer.usage.total.total_tokens == 18
