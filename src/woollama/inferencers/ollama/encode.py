"""A call to the body of a request to Ollama's `/api/chat`. What that cannot say is left out and listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from woollama.domain.messages import Extra
from woollama.domain.tools import Function
from woollama.domain.turns import Call, Params
from woollama.inferencers.ollama.messages import Messages

OWN_KEYS = frozenset({"options", "keep_alive", "think"})
"""Fields that only this API honours: Ollama's OpenAI-compatible endpoints pass over them."""

_OWN_FIELDS = OWN_KEYS | {"truncate", "shift"}
_OF_THE_ANSWER = frozenset({"stream_options"})
"""Fields of other dialects that are about how the answer is told, which is not the target's concern."""

_OPTION_OF_PARAM: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "max_tokens": "num_predict",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_THINK_OF_EFFORT: Mapping[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_NOT_SAYABLE = ("logit_bias", "verbosity")
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class EncodedCall:
    """A request body, and what of the call it does not carry, each in a few words.

    `think_is_a_guess`: `think` stands for another dialect's wish for more or less thought, which a model that does not
    think can be spared.
    """

    body: Mapping[str, Any]
    rewrites: tuple[str, ...] = ()
    think_is_a_guess: bool = False


def encode(call: Call, *, extra_body: Mapping[str, Any] | None = None) -> EncodedCall:
    """Always asks for a stream. `extra_body` is added where the call says nothing, `options` one by one.

    Raises `UnsupportedField` for content that no model behind this API can take.
    """
    defaults = dict(extra_body or {})
    messages = Messages(call.target.inferencer, takes_foreign_thoughts=call.dialect in ("chat", "ollama"))
    if call.system:
        messages.add_system(call.system)
    for item in call.items:
        messages.add(item)
    rewrites = messages.rewrites
    body: dict[str, Any] = {"model": call.target.model, "messages": messages.finished(), "stream": True}
    if tools := _tools(call, rewrites):
        body["tools"] = tools
    if options := {**(defaults.pop("options", None) or {}), **(call.params.options or {}), **_options(call.params)}:
        body["options"] = options
    wanted = call.params.response_format
    if wanted is not None and wanted.kind != "text":
        body["format"] = "json" if wanted.kind == "json_object" else wanted.schema
    if call.params.logprobs:
        body["logprobs"] = True
        if call.params.top_logprobs is not None:
            body["top_logprobs"] = call.params.top_logprobs
    own = _own_fields(call.extra)
    think = _think(call.params, rewrites) if "think" not in own else None
    if think is not None:
        body["think"] = think
    unset = Params()
    rewrites += [
        f"{name} was left out: Ollama has no such setting"
        for name in _NOT_SAYABLE
        if getattr(call.params, name) != getattr(unset, name)
    ]
    if call.params.parallel_tool_calls is False and tools:
        rewrites.append("parallel_tool_calls was left out: Ollama has no such setting")
    rewrites += _foreign(call.extra)
    return EncodedCall({**defaults, **own, **body}, tuple(dict.fromkeys(rewrites)), bool(think))


def _options(params: Params) -> dict[str, Any]:
    said = {option: value for name, option in _OPTION_OF_PARAM.items() if (value := getattr(params, name)) is not None}
    return {**said, "stop": list(params.stop)} if params.stop else said


def _tools(call: Call, rewrites: list[str]) -> list[dict[str, Any]]:
    """Ollama cannot be told whether to call. A tool that must not be called is not offered; one that must, alone."""
    offered = call.tools
    match call.choice.mode:
        case "none":
            return []
        case "named":
            offered = tuple(function for function in offered if function.name == call.choice.name)
            rewrites.append(f"the tool {call.choice.name} is the only one offered: Ollama cannot be made to call it")
        case "required" if offered:
            rewrites.append("tool_choice required was left out: Ollama decides by itself")
        case _:
            pass
    return [_tool(function) for function in offered]


def _tool(function: Function) -> dict[str, Any]:
    described: dict[str, Any] = {"name": function.name, "description": function.description}
    described["parameters"] = function.parameters if function.parameters is not None else _NO_ARGUMENTS
    return {"type": "function", "function": described}


def _think(params: Params, rewrites: list[str]) -> bool | str | None:
    if params.reasoning_effort is not None:
        if params.reasoning_effort in _THINK_OF_EFFORT:
            return _THINK_OF_EFFORT[params.reasoning_effort]
        rewrites.append(f"the reasoning effort {params.reasoning_effort!r} was left out: Ollama does not know it")
    if params.reasoning_budget_tokens:
        rewrites.append("the reasoning budget was left out: Ollama thinks as long as it likes")
        return True
    return None if params.reasoning_budget_tokens is None else False


def _own_fields(extra: Extra) -> dict[str, Any]:
    """Fields of Ollama's own, in whichever dialect they came."""
    own: dict[str, Any] = {}
    for dialect, fields in extra.items():
        own |= fields if dialect == "ollama" else {name: fields[name] for name in fields if name in _OWN_FIELDS}
    return own


def _foreign(extra: Extra) -> list[str]:
    fields = {name for dialect, given in extra.items() if dialect != "ollama" for name in given}
    names = sorted(fields - _OWN_FIELDS - _OF_THE_ANSWER)
    return [f"fields were left out: {', '.join(names)}"] if names else []
