"""A call to the body of a chat completions request. What chat completions cannot say is left out and listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from woollama.domain.messages import Extra
from woollama.domain.tools import Function
from woollama.domain.turns import Call, Params, ResponseFormat, ToolChoice
from woollama.inferencers.openai.messages import Messages

_PLAIN_PARAMS = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "verbosity",
    "user",
)
_OPENAI_DIALECTS = ("chat", "responses")
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class EncodedCall:
    """A request body, and what of the call it does not carry, each in a few words."""

    body: Mapping[str, Any]
    rewrites: tuple[str, ...] = ()


def encode(
    call: Call, *, extra_body: Mapping[str, Any] | None = None, max_tokens_field: str = "max_tokens"
) -> EncodedCall:
    """Always asks for a stream with its usage. `extra_body` is added where the call says nothing."""
    messages = Messages(call.target.inferencer, keeps_developer=call.dialect == "chat")
    if call.system:
        messages.add_system(call.system)
    for item in call.items:
        messages.add(item)
    rewrites = list(messages.rewrites)
    own: dict[str, Any] = {"model": call.target.model, "messages": messages.finished()}
    own |= _params(call, max_tokens_field, rewrites)
    if call.tools:
        own["tools"] = [_tool(function) for function in call.tools]
        if (choice := _choice(call.choice)) is not None:
            own["tool_choice"] = choice
        if call.params.parallel_tool_calls is not None:
            own["parallel_tool_calls"] = call.params.parallel_tool_calls
    own["stream"] = True
    own["stream_options"] = {"include_usage": True}
    as_it_came = call.extra.get("chat", {}) if call.dialect == "chat" else {}
    rewrites += _foreign(call.extra)
    return EncodedCall({**(extra_body or {}), **as_it_came, **own}, tuple(dict.fromkeys(rewrites)))


def _params(call: Call, max_tokens_field: str, rewrites: list[str]) -> dict[str, Any]:
    params: Params = call.params
    said = {name: value for name in _PLAIN_PARAMS if (value := getattr(params, name)) is not None}
    if params.max_tokens is not None:
        said[max_tokens_field] = params.max_tokens
    if params.stop:
        said["stop"] = list(params.stop)
    if params.response_format is not None and params.response_format.kind != "text":
        said["response_format"] = _response_format(params.response_format)
    if params.service_tier is not None and call.dialect in _OPENAI_DIALECTS:
        said["service_tier"] = params.service_tier
    if params.metadata is not None and call.dialect == "chat":
        said["metadata"] = params.metadata
    if params.reasoning_budget_tokens is not None and params.reasoning_effort is None:
        rewrites.append("the reasoning budget was left out")
    if params.options:
        rewrites.append(f"options were left out: {', '.join(sorted(params.options))}")
    return said


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    schema: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.description:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}


def _tool(function: Function) -> dict[str, Any]:
    described: dict[str, Any] = {"name": function.name}
    if function.description:
        described["description"] = function.description
    described["parameters"] = function.parameters if function.parameters is not None else _NO_ARGUMENTS
    if function.strict is not None:
        described["strict"] = function.strict
    return {**(function.extra or {}).get("chat", {}), "type": "function", "function": described}


def _choice(choice: ToolChoice) -> Any:
    match choice.mode:
        case "auto":
            return None  # what every upstream does unasked
        case "named":
            return {"type": "function", "function": {"name": choice.name}}
        case mode:
            return mode


def _foreign(extra: Extra) -> list[str]:
    names = sorted({name for dialect, fields in extra.items() if dialect != "chat" for name in fields})
    return [f"fields were left out: {', '.join(names)}"] if names else []
