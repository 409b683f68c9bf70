"""A call becomes the body of a request to Ollama; what that cannot say is listed or refused, never lost in silence."""

from __future__ import annotations

from typing import Any

import pytest

from woollama.domain.errors import UnsupportedField
from woollama.domain.messages import (
    Ask,
    Audio,
    File,
    Image,
    Item,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Sealed,
    Text,
    ToolCall,
    ToolResult,
)
from woollama.domain.tools import Denied, Function, Returned
from woollama.domain.turns import AUTO, Call, Params, ResponseFormat, Target, ToolChoice
from woollama.inferencers.ollama.encode import EncodedCall, encode

TARGET = Target("here", "qwen3:14b")
PIXEL = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NOW = Function("clock__now", "Tells the time", SCHEMA)
STOP = Function("stop")


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def encoded(*items: Item, extra_body: Any = None, **call: Any) -> EncodedCall:
    return encode(Call(TARGET, items or (user("hi"),), **call), extra_body=extra_body)


def messages(*items: Item, **call: Any) -> list[Any]:
    return list(encoded(*items, **call).body["messages"])


def with_params(**params: Any) -> EncodedCall:
    return encoded(params=Params(**params))


def test_a_plain_call_is_a_model_and_its_messages():
    assert encoded() == EncodedCall(
        {"model": "qwen3:14b", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    )


def test_a_system_text_comes_first_and_a_developer_is_the_system():
    developer = Message("developer", (Text("Be kind."),))
    assert messages(developer, user("hi"), system="Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi"},
    ]


def test_images_stand_beside_the_text_as_bare_base64():
    picture = Image(f"data:image/png;base64,{PIXEL}")
    assert messages(user("What is ", picture, "this?")) == [
        {"role": "user", "content": "What is this?", "images": [PIXEL]}
    ]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (Image("https://example.com/cat.png"), "does not fetch images"),
        (Image("data:image/svg+xml,<svg/>"), "does not fetch images"),
        (Image(file_id="file-1"), "no images by id"),
        (File("a.pdf", data="JVBE"), "no file"),
        (Audio("UklG", "wav"), "no audio"),
    ],
)
def test_content_that_no_model_could_see_is_refused(part: Part, why: str):
    with pytest.raises(UnsupportedField, match=why) as caught:
        encoded(user("Look:", part))
    assert caught.value.param == "messages"


def test_a_round_with_calls_is_one_message_and_its_results_name_their_tools():
    seen = Returned(({"type": "text", "text": "a clock"}, {"type": "image", "mimeType": "image/png", "data": PIXEL}))
    history = (
        user("Time?"),
        Reasoning("Hm.", sealed=Sealed("", "here")),
        Message("assistant", (Text("I look."),)),
        ToolCall("c1", "clock__now", '{"city": "Paris"}'),
        ToolCall("c2", "stop", ""),
        ToolResult("c1", seen),
        ToolResult("c2", Denied()),
        ToolResult("gone", Returned.of_text("late")),
    )
    assert messages(*history) == [
        {"role": "user", "content": "Time?"},
        {
            "role": "assistant",
            "content": "I look.",
            "thinking": "Hm.",
            "tool_calls": [
                {"id": "c1", "function": {"name": "clock__now", "arguments": {"city": "Paris"}}},
                {"id": "c2", "function": {"name": "stop", "arguments": {}}},
            ],
        },
        {
            "role": "tool",
            "content": "a clock\n[image image/png]",
            "tool_name": "clock__now",
            "tool_call_id": "c1",
            "images": [PIXEL],
        },
        {"role": "tool", "content": "The call was denied by the user.", "tool_name": "stop", "tool_call_id": "c2"},
        {"role": "tool", "content": "late", "tool_call_id": "gone"},
    ]


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", "[" * 100_000])
def test_arguments_must_be_an_object(arguments: str):
    told = encoded(ToolCall("c", "now", arguments))
    assert told.body["messages"][0]["tool_calls"][0]["function"]["arguments"] == {}
    assert told.rewrites == ("arguments of a call that are no JSON object were left out",)


def test_answers_in_a_row_stay_apart_and_words_after_calls_join_them():
    say = [Message("assistant", (Text(text),)) for text in ("one", "two", "three")]
    assert messages(say[0], say[1], ToolCall("c", "now", "{}"), say[2]) == [
        {"role": "assistant", "content": "one"},
        {
            "role": "assistant",
            "content": "two\n\nthree",
            "tool_calls": [{"id": "c", "function": {"name": "now", "arguments": {}}}],
        },
    ]


def test_thoughts_go_back_to_their_maker_alone():
    own, other = Reasoning("own", sealed=Sealed("", "here")), Reasoning("other", sealed=Sealed("", "there"))
    unknown = Reasoning(summary=("in", "short"))
    say = Message("assistant", (Refusal("no"),))
    left_out = ("reasoning of another model was left out",)
    assert messages(own, say)[0] == {"role": "assistant", "content": "no", "thinking": "own"}
    assert encoded(other, other, say).rewrites == left_out
    assert messages(other, say) == [{"role": "assistant", "content": "no"}]
    assert messages(unknown, say)[0]["thinking"] == "in\n\nshort"
    assert encoded(unknown, say, dialect="anthropic").rewrites == left_out


def test_items_of_other_dialects_are_listed_and_those_between_people_are_not():
    told = encoded(user("hi"), Opaque("responses", {"type": "web_search_call"}), Ask("a", "c", "s", "t", "{}"))
    assert told.rewrites == ("an item was left out: web_search_call",)
    assert len(told.body["messages"]) == 1


def test_settings_are_options():
    said = with_params(
        temperature=0.0, top_p=0.9, top_k=20, seed=7, max_tokens=64, presence_penalty=1.0, frequency_penalty=0.5,
        stop=("END",), options={"num_ctx": 8192, "temperature": 1.0},
    )  # fmt: skip
    assert said.rewrites == ()
    assert said.body["options"] == {
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 20,
        "seed": 7,
        "num_predict": 64,
        "presence_penalty": 1.0,
        "frequency_penalty": 0.5,
        "stop": ["END"],
        "num_ctx": 8192,
    }


def test_the_configured_body_is_the_ground_and_the_call_wins_option_by_option():
    configured = {"keep_alive": "30m", "think": False, "options": {"num_ctx": 4096, "num_gpu": 1}}
    call = {"params": Params(options={"num_ctx": 8192}), "extra": {"chat": {"keep_alive": 0}}}
    body = encoded(extra_body=configured, **call).body
    assert (body["keep_alive"], body["think"], body["options"]) == (0, False, {"num_ctx": 8192, "num_gpu": 1})
    assert configured["options"] == {"num_ctx": 4096, "num_gpu": 1}


@pytest.mark.parametrize("dialect", ["chat", "ollama"])
def test_fields_of_ollamas_own_pass_in_whichever_dialect_they_come(dialect: Any):
    own = {"keep_alive": "5m", "think": "high", "truncate": False}
    told = encoded(dialect=dialect, extra={dialect: own}, params=Params(reasoning_effort="low"))
    assert {name: told.body[name] for name in own} == own
    assert told.rewrites == ()
    assert not told.think_is_a_guess


def test_other_foreign_fields_are_listed():
    told = encoded(extra={"chat": {"store": True, "stream_options": {}, "prediction": {}}, "anthropic": {"x": 1}})
    assert told.rewrites == ("fields were left out: prediction, store, x",)
    assert told.body.keys() == {"model", "messages", "stream"}


@pytest.mark.parametrize(
    ("params", "think"),
    [
        ({}, None),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "medium"}, "medium"),
        ({"reasoning_effort": "xhigh"}, "high"),
        ({"reasoning_effort": "high", "reasoning_budget_tokens": 100}, "high"),
        ({"reasoning_budget_tokens": 1024}, True),
        ({"reasoning_budget_tokens": 0}, False),
        ({"reasoning_effort": "enormous"}, None),
    ],
)
def test_how_much_it_thinks(params: Any, think: Any):
    told = with_params(**params)
    assert told.body.get("think") == think
    assert told.think_is_a_guess == bool(think)


def test_a_budget_and_an_unknown_effort_are_listed():
    assert with_params(reasoning_budget_tokens=9).rewrites == (
        "the reasoning budget was left out: Ollama thinks as long as it likes",
    )
    assert with_params(reasoning_effort="enormous").rewrites == (
        "the reasoning effort 'enormous' was left out: Ollama does not know it",
    )


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (ResponseFormat("text"), None),
        (ResponseFormat("json_object"), "json"),
        (ResponseFormat("json_schema", "answer", SCHEMA, True), SCHEMA),
    ],
)
def test_structured_output_is_a_format(form: ResponseFormat, written: Any):
    assert with_params(response_format=form).body.get("format") == written


def test_tools_are_functions():
    assert encoded(tools=(NOW, STOP)).body["tools"] == [
        {
            "type": "function",
            "function": {"name": "clock__now", "description": "Tells the time", "parameters": SCHEMA},
        },
        {
            "type": "function",
            "function": {"name": "stop", "description": "", "parameters": {"type": "object", "properties": {}}},
        },
    ]


@pytest.mark.parametrize(
    ("choice", "offered", "rewrites"),
    [
        (AUTO, ["clock__now", "stop"], ()),
        (ToolChoice("none"), [], ()),
        (
            ToolChoice("required"),
            ["clock__now", "stop"],
            ("tool_choice required was left out: Ollama decides by itself",),
        ),
        (
            ToolChoice("named", "stop"),
            ["stop"],
            ("the tool stop is the only one offered: Ollama cannot be made to call it",),
        ),
    ],
)
def test_a_choice_of_tools_is_honoured_as_far_as_it_can_be(choice: ToolChoice, offered: Any, rewrites: Any):
    told = encoded(tools=(NOW, STOP), choice=choice)
    assert [tool["function"]["name"] for tool in told.body.get("tools", [])] == offered
    assert told.rewrites == rewrites


def test_settings_that_it_does_not_have_are_listed():
    told = encoded(tools=(NOW,), params=Params(logit_bias={"1": 2.0}, verbosity="low", parallel_tool_calls=False))
    assert told.rewrites == (
        "logit_bias was left out: Ollama has no such setting",
        "verbosity was left out: Ollama has no such setting",
        "parallel_tool_calls was left out: Ollama has no such setting",
    )
    assert "options" not in told.body


def test_log_probabilities_can_be_asked_for():
    body = with_params(logprobs=True, top_logprobs=3).body
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)
    assert "logprobs" not in with_params(logprobs=False, top_logprobs=3).body
