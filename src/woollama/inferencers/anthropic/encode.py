"""A call as the body of a Messages request, and what had to be changed on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from woollama.domain.messages import Extra, Json
from woollama.domain.tools import Function
from woollama.domain.turns import Call, Params
from woollama.inferencers.anthropic.messages import Transcript, own

DEFAULT_MAX_TOKENS = 16_384
"""The API insists on a limit; this one every model that is still served can keep."""

_NOT_SAYABLE = (
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "verbosity",
    "options",
)
_EFFORTS: Mapping[str, str] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}
_TIERS: Mapping[str, str] = {"auto": "auto", "default": "standard_only"}
_SAID_HERE = frozenset({"thinking", "output_config", "metadata"})
_OF_THE_ANSWER = frozenset({"stream_options"})
"""Fields of other dialects that are about how the answer is told, which is not the target's concern."""


@dataclass(frozen=True, slots=True)
class Request:
    body: Mapping[str, Json]
    rewrites: tuple[str, ...]


def encode(call: Call, *, max_tokens: int = DEFAULT_MAX_TOKENS, defaults: Mapping[str, Json] | None = None) -> Request:
    """`max_tokens` is for calls without a limit; `defaults` are members of the body that nobody else has set.

    Raises `UnsupportedField` for content that this API cannot take.
    """
    params, extra = call.params, own(call.extra)
    transcript = Transcript(call)
    rewrites = transcript.rewrites
    budget = params.reasoning_budget_tokens
    body: dict[str, Any] = {
        "model": call.target.model,
        "max_tokens": params.max_tokens or max_tokens + (budget or 0),
        "messages": transcript.messages,
    }
    if transcript.system:
        body["system"] = transcript.system
    if call.tools:
        body["tools"] = [_tool(function) for function in call.tools]
        if choice := _choice(call):
            body["tool_choice"] = choice
    if stop := [each for each in params.stop if each.strip()]:
        body["stop_sequences"] = stop
    if len(stop) < len(params.stop):
        rewrites.append("stop sequences of white space were left out")
    for name in ("temperature", "top_p", "top_k"):
        if (value := getattr(params, name)) is not None:
            body[name] = value
    if thinking := _thinking(params, extra.get("thinking")):
        body["thinking"] = thinking
    if output := _output_config(params, extra.get("output_config"), rewrites):
        body["output_config"] = output
    if params.user is not None:
        body["metadata"] = {**(extra.get("metadata") or {}), "user_id": params.user}
    if tier := _TIERS.get(params.service_tier or ""):
        body["service_tier"] = tier
    unset = Params()
    rewrites += [
        f"{name} was left out: the target has no such setting"
        for name in _NOT_SAYABLE
        if getattr(params, name) != getattr(unset, name)
    ]
    rewrites += _foreign(call.extra)
    theirs = {name: value for name, value in extra.items() if name not in _SAID_HERE and name not in body}
    return Request({**(defaults or {}), **theirs, **body}, tuple(rewrites))


def _foreign(extra: Extra) -> list[str]:
    fields = {name for dialect, given in extra.items() if dialect != "anthropic" for name in given}
    names = sorted(fields - _OF_THE_ANSWER)
    return [f"fields were left out: {', '.join(names)}"] if names else []


def _tool(function: Function) -> Mapping[str, Json]:
    extra = own(function.extra)
    if "type" in extra:  # one of the vendor's own tools, which its type describes
        return extra
    tool: dict[str, Json] = {
        "name": function.name,
        "description": function.description,
        "input_schema": {"type": "object", **(function.parameters or {"properties": {}})},
        **extra,
    }
    if function.strict is not None:
        tool["strict"] = function.strict
    if function.examples:
        tool["input_examples"] = [dict(example.arguments) for example in function.examples]
    return tool


def _choice(call: Call) -> Mapping[str, Json] | None:
    serial = {"disable_parallel_tool_use": True} if call.params.parallel_tool_calls is False else {}
    match call.choice.mode:
        case "auto":
            return {"type": "auto", **serial} if serial else None
        case "required":
            return {"type": "any", **serial}
        case "named":
            return {"type": "tool", "name": call.choice.name, **serial}
        case "none":
            return {"type": "none"}


def _thinking(params: Params, given: Mapping[str, Json] | None) -> Mapping[str, Json] | None:
    if given and given.get("type") != "enabled":
        return given
    if params.reasoning_budget_tokens is not None:
        return {**(given or {}), "type": "enabled", "budget_tokens": params.reasoning_budget_tokens}
    return {"type": "disabled"} if params.reasoning_effort == "none" else None


def _output_config(params: Params, given: Mapping[str, Json] | None, rewrites: list[str]) -> Mapping[str, Json]:
    config = dict(given or {})
    if params.reasoning_effort not in (None, "none"):
        config["effort"] = _EFFORTS.get(params.reasoning_effort, params.reasoning_effort)
    wanted = params.response_format
    if wanted is not None and wanted.kind == "json_schema":
        config["format"] = {"type": "json_schema", "schema": wanted.schema}
    elif wanted is not None and wanted.kind == "json_object":
        rewrites.append("response_format json_object was left out: the target only knows schemas")
    return config
