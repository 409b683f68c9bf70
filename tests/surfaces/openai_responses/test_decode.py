"""Responses requests: every field is honoured, kept or refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import Answer, Message, Text
from woollama.domain.turns import INTERNAL, Params, ResponseFormat, StateWish, Turn
from woollama.surfaces.openai_responses import decode


def turn_of(**body: Any) -> Turn:
    return decode({"model": "lab/model", "input": "hi", **body}, turn_id="turn_1", caller=INTERNAL)


def refusal_of(**body: Any) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        turn_of(**body)
    return refused.value


def test_the_smallest_request_is_one_user_message() -> None:
    turn = turn_of()

    assert (turn.id, turn.dialect, turn.model, turn.caller) == ("turn_1", "responses", "lab/model", INTERNAL)
    assert turn.items == (Message("user", (Text("hi"),)),)
    assert (turn.params, turn.state, turn.on_ask, turn.choice) == (Params(), StateWish(), "wait", None)
    assert not turn.state.wanted


def test_instructions_come_first() -> None:
    assert turn_of(instructions="Be brief.").items[0] == Message("system", (Text("Be brief."),))


@pytest.mark.parametrize(
    ("body", "params"),
    [
        ({"temperature": 0, "top_p": 0.5}, Params(temperature=0, top_p=0.5)),
        ({"max_output_tokens": 20}, Params(max_tokens=20)),
        ({"presence_penalty": 1, "frequency_penalty": -1.5}, Params(presence_penalty=1, frequency_penalty=-1.5)),
        ({"parallel_tool_calls": False}, Params(parallel_tool_calls=False)),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, Params(reasoning_effort="high")),
        ({"text": {"verbosity": "low"}}, Params(verbosity="low")),
        ({"text": {"format": {"type": "json_object"}}}, Params(response_format=ResponseFormat("json_object"))),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}}},
            Params(response_format=ResponseFormat("json_schema", "n", {"type": "object"}, True)),
        ),
        ({"top_logprobs": 3}, Params(logprobs=True, top_logprobs=3)),
        ({"top_logprobs": 0}, Params(top_logprobs=0)),
        ({"include": ["message.output_text.logprobs"]}, Params(logprobs=True)),
        ({"include": ["reasoning.encrypted_content"]}, Params()),
        ({"user": "u", "metadata": {"a": "b"}}, Params(user="u", metadata={"a": "b"})),
        ({"service_tier": "flex"}, Params(service_tier="flex")),
        ({"options": {"num_ctx": 8192}}, Params(options={"num_ctx": 8192})),
        ({"temperature": None, "text": None, "reasoning": None, "include": None}, Params()),
    ],
)
def test_a_setting_is_what_it_says(body: dict[str, Any], params: Params) -> None:
    assert turn_of(**body).params == params


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"store": False}, StateWish(store=False)),
        ({"store": True}, StateWish(store=True)),
        ({"previous_response_id": "resp_1"}, StateWish(previous_response_id="resp_1")),
        ({"conversation": "conv_1"}, StateWish(conversation="conv_1")),
        ({"conversation": {"id": "conv_1"}}, StateWish(conversation="conv_1")),
        ({"key": "panel:7"}, StateWish(key="panel:7")),
        ({"background": True}, StateWish(background=True)),
        ({"previous_response_id": "resp_1", "input": None}, StateWish(previous_response_id="resp_1")),
    ],
)
def test_a_wish_for_state_is_handed_on(body: dict[str, Any], state: StateWish) -> None:
    assert turn_of(**body).state == state


def test_what_has_no_word_of_ours_is_kept_for_a_target_of_the_same_dialect() -> None:
    kept = {
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "a_field_of_tomorrow": [1],
        "reasoning": {"summary": "detailed"},
    }
    said = {"temperature": 1, "stream": True, "stream_options": {"include_obfuscation": False}, "instructions": "x"}
    turn = turn_of(**{**kept, **said, "reasoning": {"effort": "low", "summary": "detailed"}, "another": None})

    assert turn.extra == {"responses": kept}


def test_what_is_as_the_target_likes_need_not_be_carried() -> None:
    assert turn_of(reasoning={"effort": "low", "summary": "auto"}, text={"verbosity": "low"}).extra == {"responses": {}}


def test_what_the_answer_repeats_is_remembered_as_it_came() -> None:
    echoed = {
        "instructions": "x",
        "tools": [{"type": "function", "name": "f"}],
        "tool_choice": "auto",
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": "low"},
        "truncation": "auto",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
    }
    assert turn_of(**echoed, temperature=1).echo == echoed


def test_calls_of_ours_can_be_bounded() -> None:
    assert turn_of(max_tool_calls=2).max_tool_calls == 2


def test_template_variables_reach_a_recipe() -> None:
    assert turn_of(variables={"tone": "dry", "count": 3}).variables == {"tone": "dry", "count": "3"}


def test_an_approval_in_the_input_shows_that_the_client_can_take_a_pause() -> None:
    turn = turn_of(input=[{"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}])

    assert turn.items == (Answer("mcpr_1", True, by="client"),)
    assert turn.on_ask == "pause"


@pytest.mark.parametrize("field", ["prompt", "context_management", "moderation", "image", "access_programs"])
def test_what_nobody_here_does_is_refused_by_name(field: str) -> None:
    refused = refusal_of(**{field: {"id": "x"}})

    assert isinstance(refused, UnsupportedField)
    assert refused.param == field


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"instructions": ["x"]}, "instructions"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"max_tool_calls": 0}, "max_tool_calls"),
        ({"top_logprobs": -1}, "top_logprobs"),
        ({"metadata": "x"}, "metadata"),
        ({"stream": "yes"}, "stream"),
        ({"store": "no"}, "store"),
        ({"background": True, "store": False}, "background"),
        ({"conversation": 7}, "conversation"),
        ({"conversation": {}}, "conversation.id"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"include": ["everything"]}, "include[0]"),
        ({"truncation": "sometimes"}, "truncation"),
        ({"text": "short"}, "text"),
        ({"text": {"verbosity": 1}}, "text.verbosity"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"reasoning": {"summary": 3}}, "reasoning.summary"),
        ({"safety_identifier": 3}, "safety_identifier"),
        ({"stream_options": {"include_obfuscation": "x"}}, "stream_options.include_obfuscation"),
        ({"options": []}, "options"),
    ],
)
def test_a_mistake_is_named_by_its_path(body: dict[str, Any], param: str) -> None:
    assert refusal_of(**body).param == param
