"""Chat completions: what a request means, and what the chunks of an answer add up to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from woollama.domain.answers import Answer
from woollama.domain.errors import BadRequest, RouterError, UnsupportedField, UpstreamBroke
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    Failed,
    ItemOpened,
    RefusalDelta,
    Rewrote,
    RoundBegan,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolReturned,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Audio, File, Image, Message, Reasoning, Refusal, Text, ToolCall, ToolResult
from woollama.domain.tools import Function, Returned, images_of
from woollama.domain.turns import INTERNAL, Params, ResponseFormat, Target, ToolChoice, Turn
from woollama.surfaces.openai_chat import StreamEncoder, decode, encode_answer

BEGAN = RoundBegan(0, Target("fake", "m"))
SAID = [BEGAN, TextDelta("It is "), TextDelta("noon."), UsageSeen(0, Usage(10, 5)), Stopped("end", "stop")]


def decoded(**body: Any) -> Turn:
    whole = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **body}
    return decode(whole, turn_id="turn_1", caller=INTERNAL)


def frames_of(events: list[Event], **body: Any) -> list[Any]:
    encoder = StreamEncoder(decoded(stream=True, **body))
    frames = b"".join(frame for event in events for frame in encoder.encode(event)).split(b"\n\n")
    assert frames.pop() == b""
    return [json.loads(data) if (data := frame.removeprefix(b"data: ")) != b"[DONE]" else "[DONE]" for frame in frames]


def body_of(events: list[Event], **body: Any) -> dict[str, Any]:
    return encode_answer(decoded(**body), Answer(events))


def strictly(kind: Any, value: Any) -> None:
    """Valid by the SDK's own types, with no field that they do not know but ours."""
    parsed = kind.model_validate(value, strict=True)
    assert set(parsed.model_extra) <= {"x_woollama"}


def test_every_kind_of_message_is_read() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "name": "zed", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "AA=="}},
        ]},
        {"role": "assistant", "content": None, "reasoning_content": "hmm", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}},
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "seen"}]},
        {"role": "assistant", "content": "a cat", "refusal": "no more"},
    ]  # fmt: skip
    assert decoded(messages=messages).items == (
        Message("system", (Text("be brief"),)),
        Message(
            "user",
            (
                Text("look"),
                Image("data:image/png;base64,AA==", "low"),
                Audio("AA==", "wav"),
                File("a.pdf", "AA=="),
            ),
            extra={"chat": {"name": "zed"}},
        ),
        Reasoning("hmm"),
        ToolCall("call_1", "look", '{"a":1}'),
        ToolResult("call_1", Returned.of_text("seen")),
        Message("assistant", (Text("a cat"), Refusal("no more"))),
    )


def test_settings_tools_and_choice_are_read_and_the_rest_is_kept() -> None:
    schema = {"type": "object", "properties": {}}
    turn = decoded(
        temperature=1,
        max_tokens=5,
        max_completion_tokens=7,
        stop="END",
        seed=3,
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": True}},
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        options={"num_ctx": 4096},
        variables={"language": "German", "n": 3},
        vendor_field={"a": 1},
        top_p=None,
    )
    wanted = ResponseFormat("json_schema", "s", schema, True)
    assert turn.params == Params(
        temperature=1, max_tokens=7, stop=("END",), seed=3, response_format=wanted, options={"num_ctx": 4096}
    )
    assert turn.client_tools == (Function("f", "", schema, True),)
    assert turn.choice == ToolChoice("named", "f")
    assert turn.variables == {"language": "German", "n": "3"}
    assert turn.extra == {"chat": {"vendor_field": {"a": 1}}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]}, "messages[0].tool_calls[0]"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"seed": True}, "seed"),
        ({"stop": [1]}, "stop"),
        ({"n": 2}, "n"),
        ({"functions": []}, "functions"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ],
)
def test_a_mistake_is_named_by_its_path(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as raised:
        decoded(**body)
    assert raised.value.param == param


def test_more_than_one_choice_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedField, match="`n`"):
        decoded(n=3)


def test_a_stream_has_one_beginning_one_finish_and_done() -> None:
    frames = frames_of(SAID)
    assert frames[-1] == "[DONE]"
    chunks = frames[:-1]
    for chunk in chunks:
        strictly(ChatCompletionChunk, chunk)
    assert [chunk["choices"][0]["delta"].get("role") for chunk in chunks] == ["assistant", None, None, None]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "It is noon."
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_usage_comes_in_a_chunk_of_its_own_exactly_when_asked_for() -> None:
    assert not any("usage" in frame for frame in frames_of(SAID)[:-1])
    *chunks, last, done = frames_of(SAID, stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 15)
    assert all(chunk["usage"] is None for chunk in chunks)
    strictly(ChatCompletionChunk, last)


CLIENT_CALLS: list[Event] = [
    BEGAN,
    CallOpened(0, "call_ours", "clock__now", "server"),
    ArgumentsDelta(0, "{}"),
    CallClosed(0, "{}"),
    CallOpened(1, "call_a", "open"),
    CallOpened(2, "call_b", "shut"),
    ArgumentsDelta(2, '{"b":'),
    ArgumentsDelta(1, "{}"),
    ArgumentsDelta(2, "2}"),
    CallClosed(1, "{}"),
    CallClosed(2, '{"b":2}'),
    ToolReturned("call_ours", Returned.of_text("noon")),
    Stopped("tool_calls"),
]


def test_the_clients_calls_are_counted_from_nought_and_ours_are_hidden() -> None:
    *chunks, _ = frames_of(CLIENT_CALLS)
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert [(call["index"], call.get("id"), call["function"].get("name")) for call in calls if "id" in call] == [
        (0, "call_a", "open"),
        (1, "call_b", "shut"),
    ]
    assert "".join(call["function"]["arguments"] for call in calls if call["index"] == 1) == '{"b":2}'
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    message = body_of(CLIENT_CALLS)["choices"][0]["message"]
    assert message["content"] is None
    assert [call["id"] for call in message["tool_calls"]] == ["call_a", "call_b"]


def test_arguments_that_came_in_one_piece_are_told() -> None:
    events: list[Event] = [BEGAN, CallOpened(0, "call_a", "open"), CallClosed(0, '{"a":1}'), Stopped("tool_calls")]
    *chunks, _ = frames_of(events)
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"a":1}'


TWO_ROUNDS: list[Event] = [
    BEGAN,
    TextDelta("Let me look."),
    CallOpened(0, "call_ours", "clock__now", "server"),
    CallClosed(0, '{"zone":"Asia/Tokyo"}'),
    UsageSeen(0, Usage(10, 5)),
    ToolReturned("call_ours", Returned.of_text("noon")),
    RoundBegan(1, Target("fake", "m")),
    TextDelta(""),
    TextDelta("It is noon."),
    UsageSeen(1, Usage(20, 7)),
    Stopped("end"),
]


def test_rounds_with_our_own_tools_are_one_message_and_what_was_called_is_told() -> None:
    *chunks, _ = frames_of(TWO_ROUNDS)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == "Let me look.\n\nIt is noon."
    body = body_of(TWO_ROUNDS)
    strictly(ChatCompletion, body)
    assert body["choices"][0]["message"]["content"] == text
    assert body["usage"]["prompt_tokens"] == 30
    assert body["x_woollama"] == chunks[-1]["x_woollama"] == {
        "rounds": 2,
        "last_round": {"input_tokens": 20, "output_tokens": 7},
        "tool_calls": [
            {"name": "clock__now", "arguments": '{"zone":"Asia/Tokyo"}', "result": "noon", "ok": True}
        ],
    }  # fmt: skip


def test_pieces_of_one_round_are_not_torn_apart() -> None:
    """A text with citations comes in several items of its own."""
    events: list[Event] = [
        RoundBegan(0, Target("fake", "m"), extra={"chat": {"system_fingerprint": "fp_1"}}),
        ItemOpened("message"),
        TextDelta("It is "),
        ItemOpened("message"),
        TextDelta("noon."),
        Stopped("end"),
    ]
    *chunks, _ = frames_of(events)
    body = body_of(events)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "It is noon."
    assert body["choices"][0]["message"]["content"] == "It is noon."
    assert chunks[-1]["system_fingerprint"] == body["system_fingerprint"] == "fp_1"


def test_what_a_target_adds_to_its_calls_comes_back_to_it() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "abc"}}}
    call = CallOpened(0, "call_a", "open", extra={"chat": signed})
    events: list[Event] = [BEGAN, call, CallClosed(0, "{}"), Stopped("tool_calls")]
    (told,) = body_of(events)["choices"][0]["message"]["tool_calls"]
    chunk = next(chunk for chunk in frames_of(events) if "tool_calls" in chunk["choices"][0]["delta"])
    assert told.items() >= signed.items() <= chunk["choices"][0]["delta"]["tool_calls"][0].items()
    (given,) = decoded(messages=[{"role": "assistant", "tool_calls": [told]}]).items
    assert given == ToolCall("call_a", "open", "{}", extra={"chat": signed})
    cached = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    (message,) = decoded(messages=[{"role": "user", "content": [cached]}]).items
    assert isinstance(message, Message)
    assert message.parts == (Text("x", extra={"chat": {"cache_control": {"type": "ephemeral"}}}),)


def test_an_image_that_a_clients_tool_gave_is_kept() -> None:
    content = [
        {"type": "text", "text": "a cat"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    (result,) = decoded(messages=[{"role": "tool", "tool_call_id": "call_1", "content": content}]).items
    assert isinstance(result, ToolResult)
    assert list(images_of(result.outcome)) == ["data:image/png;base64,AA=="]


def test_thoughts_refusals_and_rewrites_have_their_places() -> None:
    events: list[Event] = [
        Rewrote("answered by another"),
        BEGAN,
        ThinkingDelta("hmm"),
        RefusalDelta("I will not"),
        Stopped("refusal"),
    ]
    *chunks, _ = frames_of(events)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert [delta["reasoning_content"] for delta in deltas if "reasoning_content" in delta] == ["hmm"]
    assert [delta["refusal"] for delta in deltas if delta.get("refusal")] == ["I will not"]
    assert chunks[-1]["x_woollama"] == {"rewrites": ["answered by another"]}
    message = body_of(events)["choices"][0]["message"]
    assert (message["content"], message["refusal"], message["reasoning_content"]) == (None, "I will not", "hmm")


def test_a_failure_is_an_error_frame_and_no_sign_of_success() -> None:
    error: RouterError = UpstreamBroke("the upstream died")
    frames = frames_of([BEGAN, TextDelta("half a wo"), Failed(error)])
    assert frames[-1]["error"]["message"] == "the upstream died"
    assert "[DONE]" not in frames
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in frames[:-1])
