"""A call becomes a chat completions request, and what it cannot carry is listed."""

from __future__ import annotations

from typing import Any

import pytest

from woollama.domain.messages import (
    Answer,
    Ask,
    Audio,
    File,
    Image,
    Item,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Sealed,
    Text,
    ToolCall,
    ToolResult,
)
from woollama.domain.tools import Denied, Function, Returned
from woollama.domain.turns import NO_TOOLS, Call, Params, ResponseFormat, Target, ToolChoice
from woollama.inferencers.openai.encode import encode

TARGET = Target("up", "m")


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def said(text: str) -> Message:
    return Message("assistant", (Text(text),))


def result(call_id: str, text: str) -> ToolResult:
    return ToolResult(call_id, Returned.of_text(text))


def body_of(*items: Item, **how: Any) -> dict[str, Any]:
    return dict(encode(Call(TARGET, items, **how)).body)


def messages_of(*items: Item, **how: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = body_of(*items, **how)["messages"]
    return messages


def rewrites_of(*items: Item, **how: Any) -> tuple[str, ...]:
    return encode(Call(TARGET, items, **how)).rewrites


def call_message(id: str, name: str = "now", arguments: str = "{}") -> dict[str, Any]:  # noqa: A002
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_plain_call_is_a_streamed_request_with_usage():
    encoded = encode(Call(TARGET, (user("hi"),), system="Be brief."))
    assert encoded.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert encoded.rewrites == ()


def test_words_and_calls_of_one_answer_are_one_message_and_results_follow():
    items = [
        user("time?"),
        Reasoning("I look", sealed=Sealed("", "up")),
        said("One moment."),
        ToolCall("a", "now", "{}"),
        ToolCall("b", "now", ""),
        result("a", "noon"),
        ToolResult("b", Denied()),
        said("It is noon."),
        said("Truly."),
    ]
    assert messages_of(*items) == [
        {"role": "user", "content": "time?"},
        {
            "role": "assistant",
            "content": "One moment.",
            "reasoning_content": "I look",
            "tool_calls": [call_message("a"), call_message("b")],
        },
        {"role": "tool", "tool_call_id": "a", "content": "noon"},
        {"role": "tool", "tool_call_id": "b", "content": "The call was denied by the user."},
        {"role": "assistant", "content": "It is noon."},
        {"role": "assistant", "content": "Truly."},
    ]


def test_calls_without_words_have_no_content():
    assert messages_of(user("x"), ToolCall("a", "now", "{}"))[1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [call_message("a")],
    }


def test_words_between_a_call_and_its_result_join_the_message_of_the_call():
    messages = messages_of(said("First"), ToolCall("a", "now", "{}"), said("then"), result("a", "noon"))
    assert messages[0]["content"] == "First\n\nthen"
    assert [message["role"] for message in messages] == ["assistant", "tool"]


def test_a_new_thought_begins_a_new_message():
    thought = Reasoning("hm", sealed=Sealed("", "up"))
    assert [message["content"] for message in messages_of(said("one"), thought, said("two"))] == ["one", "two"]


@pytest.mark.parametrize(
    ("sealed", "dialect", "kept"),
    [
        (Sealed("", "up"), "chat", True),
        (Sealed("", "up"), "anthropic", True),
        (Sealed("", "other"), "chat", False),
        (Sealed("sig", ""), "chat", True),
        (None, "chat", True),
        (None, "anthropic", False),
        (Sealed("sig", ""), "responses", False),
    ],
)
def test_thoughts_go_back_to_their_maker_only(sealed: Sealed | None, dialect: Any, kept: bool):
    items = (user("x"), Reasoning("hm", sealed=sealed), said("so"))
    assert ("reasoning_content" in messages_of(*items, dialect=dialect)[1]) is kept
    assert bool(rewrites_of(*items, dialect=dialect)) is not kept


def test_sealed_details_go_back_as_they_came():
    thought = Reasoning("hm", sealed=Sealed('[{"type": "reasoning.encrypted", "data": "…"}]', "up"))
    assert messages_of(thought, said("so"))[0] == {
        "role": "assistant",
        "content": "so",
        "reasoning_content": "hm",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "…"}],
    }


def test_parts_of_all_kinds():
    parts = (
        Text("look", extra={"chat": {"cache": 1}}),
        Image("https://x/y.png", detail="low"),
        Audio("QUJD", "wav"),
        File("a.pdf", "data:application/pdf;base64,QUJD"),
        File(file_id="file-1"),
    )
    assert messages_of(Message("user", parts))[0]["content"] == [
        {"type": "text", "text": "look", "cache": 1},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]


@pytest.mark.parametrize(
    ("part", "what"),
    [(Image(file_id="f"), "image"), (File(url="https://x/y.pdf"), "file"), (Audio(transcript="hi"), "audio")],
)
def test_parts_that_chat_cannot_say_are_left_out_and_listed(part: Any, what: str):
    message = Message("user", (Text("look"), part))
    assert messages_of(message)[0]["content"] == [{"type": "text", "text": "look"}]
    assert rewrites_of(message) == (f"{what} content was left out",)


def test_an_assistants_refusal_and_audio_stand_on_its_message():
    refused = Message("assistant", (Refusal("no"), Audio(id="audio_1")))
    assert messages_of(refused) == [{"role": "assistant", "content": None, "refusal": "no", "audio": {"id": "audio_1"}}]


def test_names_of_speakers_and_vendor_fields_of_calls_are_kept():
    items = (
        Message("user", (Text("x"),), extra={"chat": {"name": "ann"}, "anthropic": {"cache_control": {}}}),
        ToolCall("a", "now", "{}", extra={"chat": {"extra_content": {"sig": "s"}}}),
    )
    messages = messages_of(*items)
    assert messages[0] == {"role": "user", "content": "x", "name": "ann"}
    assert messages[1]["tool_calls"][0] == {**call_message("a"), "extra_content": {"sig": "s"}}


def test_a_developer_is_the_system_unless_the_client_speaks_chat_itself():
    message = Message("developer", (Text("x"),))
    assert messages_of(message, dialect="chat")[0]["role"] == "developer"
    assert messages_of(message, dialect="responses")[0]["role"] == "system"


def test_items_of_other_dialects_are_left_out_and_listed_once():
    search = Opaque("responses", {"type": "web_search_call"})
    assert messages_of(search, search, Opaque("chat", {"role": "custom"})) == [{"role": "custom"}]
    assert rewrites_of(search, search) == ("an item was left out: web_search_call",)


def test_what_is_between_a_person_and_us_is_not_the_models_affair():
    assert messages_of(Ask("k", "a", "srv", "tool", "{}"), Answer("k", True)) == []


def test_images_in_results_leave_a_placeholder():
    image = {"type": "image", "mimeType": "image/png", "data": "QUJD"}
    shown = ToolResult("a", Returned(({"type": "text", "text": "see"}, image)))
    assert messages_of(shown)[0]["content"] == "see\n[image image/png]"
    assert rewrites_of(shown) == ("images in tool results were left out",)


def test_params_have_their_names():
    params = Params(
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        max_tokens=9,
        stop=("a", "b"),
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logit_bias={"5": 1},
        logprobs=True,
        top_logprobs=2,
        reasoning_effort="low",
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        response_format=ResponseFormat("json_object"),
    )
    body = body_of(user("x"), params=params)
    assert {key: body[key] for key in body if key not in ("model", "messages", "stream", "stream_options")} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 3,
        "max_tokens": 9,
        "stop": ["a", "b"],
        "seed": 1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logit_bias": {"5": 1},
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "low",
        "verbosity": "low",
        "user": "u",
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "response_format": {"type": "json_object"},
    }


def test_params_that_chat_has_no_word_for_are_listed():
    params = Params(reasoning_budget_tokens=1000, options={"num_ctx": 1, "mirostat": 2})
    assert rewrites_of(user("x"), params=params) == (
        "the reasoning budget was left out",
        "options were left out: mirostat, num_ctx",
    )


def test_the_output_limit_goes_under_the_name_that_the_upstream_knows():
    call = Call(TARGET, (user("x"),), params=Params(max_tokens=9))
    assert encode(call, max_tokens_field="max_completion_tokens").body["max_completion_tokens"] == 9


@pytest.mark.parametrize(
    ("wanted", "encoded"),
    [
        (ResponseFormat("text"), None),
        (
            ResponseFormat("json_schema", "a", {"type": "object"}, True, "d"),
            {"name": "a", "schema": {"type": "object"}, "strict": True, "description": "d"},
        ),
        (ResponseFormat("json_schema", None, {}), {"name": "answer", "schema": {}}),
    ],
)
def test_response_formats(wanted: ResponseFormat, encoded: Any):
    expected = {"type": "json_schema", "json_schema": encoded} if encoded else None
    assert body_of(user("x"), params=Params(response_format=wanted)).get("response_format") == expected


def test_tools_are_functions_and_the_choice_is_said_if_it_is_one():
    tools = (
        Function("now", "Tells the time", {"type": "object"}, strict=True),
        Function("bare", extra={"chat": {"cache_control": {}}}),
    )
    body = body_of(user("x"), tools=tools, params=Params(parallel_tool_calls=False))
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "now",
                "description": "Tells the time",
                "parameters": {"type": "object"},
                "strict": True,
            },
        },
        {
            "cache_control": {},
            "type": "function",
            "function": {"name": "bare", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert body["parallel_tool_calls"] is False
    assert "tool_choice" not in body
    assert body_of(user("x"), tools=tools, choice=NO_TOOLS)["tool_choice"] == "none"
    assert body_of(user("x"), tools=tools, choice=ToolChoice("required"))["tool_choice"] == "required"
    named = body_of(user("x"), tools=tools, choice=ToolChoice("named", "now"))
    assert named["tool_choice"] == {"type": "function", "function": {"name": "now"}}


def test_without_tools_nothing_is_said_of_them():
    body = body_of(user("x"), choice=NO_TOOLS, params=Params(parallel_tool_calls=True))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(body)


def test_raw_fields_of_the_same_dialect_pass_and_others_are_listed():
    extra = {"chat": {"vendor": 1, "stream_options": {}, "model": "no"}, "anthropic": {"betas": [], "container": "c"}}
    body = body_of(user("x"), extra=extra)
    assert (body["vendor"], body["model"], body["stream_options"]) == (1, "m", {"include_usage": True})
    assert rewrites_of(user("x"), extra=extra) == ("fields were left out: betas, container",)
    assert "vendor" not in body_of(user("x"), extra=extra, dialect="responses")


def test_an_inferencers_own_additions_give_way_to_what_the_call_says():
    call = Call(TARGET, (user("x"),), params=Params(temperature=1.0), extra={"chat": {"a": 1}})
    body = encode(call, extra_body={"temperature": 0, "a": 0, "b": 0}).body
    assert (body["temperature"], body["a"], body["b"]) == (1.0, 1, 0)
