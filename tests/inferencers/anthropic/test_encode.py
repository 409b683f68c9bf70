"""Calls as Messages requests: the tools, the settings, and a request of the same dialect from end to end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from woollama.domain.messages import Message, Text
from woollama.domain.tools import Example, Function
from woollama.domain.turns import INTERNAL, NO_TOOLS, Call, Params, ResponseFormat, Target, ToolChoice
from woollama.inferencers.anthropic.encode import DEFAULT_MAX_TOKENS, Request, encode
from woollama.surfaces.anthropic_messages import decode

WEATHER = Function("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})


def call(**fields: Any) -> Call:
    return Call(Target("claude", "claude-sonnet"), (Message("user", (Text("Hi"),)),), **fields)


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def with_params(**params: Any) -> Request:
    return encode(call(params=Params(**params)))


def test_a_bare_call_asks_for_a_model_and_a_limit() -> None:
    assert encode(call()) == Request(
        {
            "model": "claude-sonnet",
            "max_tokens": DEFAULT_MAX_TOKENS,
            "messages": [{"role": "user", "content": [text("Hi")]}],
        },
        (),
    )


# --- tools


def test_tools_are_offered_with_their_examples() -> None:
    body = encode(
        call(tools=(replace(WEATHER, strict=True, examples=(Example({"city": "Oslo"}),)), Function("now")))
    ).body
    assert body["tools"] == [
        {
            "name": "weather",
            "description": "The weather.",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
            "strict": True,
            "input_examples": [{"city": "Oslo"}],
        },
        {"name": "now", "description": "", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (ToolChoice("auto"), None, None),
        (ToolChoice("auto"), True, None),
        (ToolChoice("auto"), False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("named", "weather"), None, {"type": "tool", "name": "weather"}),
        (NO_TOOLS, False, {"type": "none"}),
    ],
)
def test_a_choice_has_its_word(choice: ToolChoice, parallel: bool | None, wire: Any) -> None:
    request = encode(call(tools=(WEATHER,), choice=choice, params=Params(parallel_tool_calls=parallel)))
    assert request.body.get("tool_choice") == wire
    assert request.body["tools"], "the tools stay, also when none may be called"


def test_without_tools_there_is_no_choice() -> None:
    assert "tool_choice" not in encode(call(choice=NO_TOOLS)).body


# --- settings


def test_settings_that_the_api_knows_are_said_in_its_words() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    body = with_params(
        temperature=0.2,
        top_p=0.9,
        top_k=5,
        max_tokens=50,
        stop=("END",),
        reasoning_effort="minimal",
        response_format=ResponseFormat("json_schema", "answer", schema, strict=True),
        user="u-1",
        service_tier="default",
    ).body
    assert {name: body[name] for name in body if name not in ("model", "messages")} == {
        "temperature": 0.2,
        "top_p": 0.9,
        "top_k": 5,
        "max_tokens": 50,
        "stop_sequences": ["END"],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}},
        "metadata": {"user_id": "u-1"},
        "service_tier": "standard_only",
    }


def test_a_thinking_budget_comes_on_top_of_the_limit_that_we_choose() -> None:
    body = with_params(reasoning_budget_tokens=4000).body
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 4000}
    assert body["max_tokens"] == DEFAULT_MAX_TOKENS + 4000
    assert with_params(reasoning_budget_tokens=4000, max_tokens=5000).body["max_tokens"] == 5000


def test_no_effort_is_no_thinking() -> None:
    body = with_params(reasoning_effort="none").body
    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body


@pytest.mark.parametrize(
    "params",
    [
        {"seed": 7},
        {"presence_penalty": 0.5},
        {"frequency_penalty": 0.5},
        {"logit_bias": {"42": 1.0}},
        {"logprobs": True},
        {"top_logprobs": 2},
        {"verbosity": "low"},
        {"options": {"num_ctx": 8192}},
    ],
)
def test_a_setting_that_the_api_has_not_is_left_out_and_told(params: dict[str, Any]) -> None:
    request = with_params(**params)
    (name,) = params
    assert name not in request.body
    assert request.rewrites == (f"{name} was left out: the target has no such setting",)


def test_what_the_api_would_refuse_is_left_out_and_told() -> None:
    request = with_params(stop=("\n", "END"), response_format=ResponseFormat("json_object"))
    assert request.body["stop_sequences"] == ["END"]
    assert len(request.rewrites) == 2


def test_fields_of_another_dialect_are_left_out_and_told() -> None:
    request = encode(call(extra={"chat": {"prediction": {}, "stream_options": {"include_usage": True}, "audio": {}}}))
    assert request.rewrites == ("fields were left out: audio, prediction",)


def test_an_inferencers_own_settings_fill_in_what_nobody_has_set() -> None:
    request = encode(call(params=Params(temperature=0.5)), defaults={"temperature": 1.0, "speed": "fast"})
    assert (request.body["temperature"], request.body["speed"]) == (0.5, "fast")


# --- from the same dialect, nothing is lost

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet",
    "max_tokens": 4096,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {
                    "type": "document",
                    "source": {"type": "content", "content": [text("a"), text("b")]},
                    "title": "Notes",
                    "context": "old",
                    "citations": {"enabled": True},
                },
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
                    "cache_control": {"type": "ephemeral"},
                },
                text("What do they say?"),
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {
                    "type": "text",
                    "text": "a",
                    "citations": [{"type": "char_location", "cited_text": "a", "document_index": 0}],
                },
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "weather",
                    "input": {"n": 1},
                    "caller": {"type": "direct"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [text("snow"), {"type": "search_result", "source": "s", "title": "t", "content": []}],
                    "is_error": True,
                    "cache_control": {"type": "ephemeral"},
                },
                text("Go on."),
            ],
        },
        {"role": "system", "content": [text("In French.")]},
    ],
    "tools": [
        {
            "name": "weather",
            "description": "The weather.",
            "input_schema": {"type": "object", "properties": {}},
            "input_examples": [{"n": 1}],
            "defer_loading": True,
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    ],
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "temperature": 1.0,
    "top_k": 10,
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
    "output_config": {"effort": "max", "task_budget": {"type": "tokens", "total": 9}},
    "metadata": {"user_id": "u-1"},
    "service_tier": "standard_only",
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "container": "container_1",
}


VARIATIONS: list[dict[str, Any]] = [
    {},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "low"}},
    {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
    {"thinking": {"type": "between_tools"}},
    {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    {"metadata": {"user_id": "u-1", "team": "x"}, "tool_choice": {"type": "none"}},
]


@pytest.mark.parametrize("variation", VARIATIONS, ids=str)
def test_a_messages_request_reaches_a_messages_target_as_it_came(variation: dict[str, Any]) -> None:
    body = {**REQUEST, **variation}
    turn = decode(body, turn_id="turn_1", caller=INTERNAL)
    request = encode(
        Call(
            Target("claude", "claude-sonnet"),
            turn.items,
            tools=turn.client_tools,
            choice=turn.choice or ToolChoice(),
            params=turn.params,
            dialect="anthropic",
            extra=turn.extra,
        )
    )
    assert request == Request(body, ())


def test_adaptive_thinking_stays_as_the_client_said_it() -> None:
    adaptive = {"type": "adaptive", "display": "omitted"}
    assert encode(call(dialect="anthropic", extra={"anthropic": {"thinking": adaptive}})).body["thinking"] == adaptive
