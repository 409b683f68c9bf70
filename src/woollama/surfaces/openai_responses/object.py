"""The Response object: what was asked, echoed, and what came of it. All its fields are always there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from woollama.domain.errors import RouterError
from woollama.domain.events import StopReason, Usage
from woollama.domain.messages import Json
from woollama.domain.turns import ResponseFormat, Turn

INCOMPLETE: Mapping[StopReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "max_rounds": "max_messages",
}
"""Why an answer is incomplete. `refusal` is one only where the model gave no words of refusal."""

_SECRET = frozenset({"authorization", "headers"})


def response_id(turn: Turn) -> str:
    return "resp_" + turn.id.removeprefix("turn_")


def echo(turn: Turn) -> dict[str, Any]:
    """The fields that say what was asked for, with the dialect's defaults where nothing was."""
    asked, params, state = turn.echo, turn.params, turn.state
    reasoning, text = asked.get("reasoning") or {}, asked.get("text") or {}
    said: dict[str, Any] = {
        "background": state.background,
        "frequency_penalty": params.frequency_penalty or 0.0,
        "instructions": asked.get("instructions"),
        "max_output_tokens": params.max_tokens,
        "max_tool_calls": turn.max_tool_calls,
        "metadata": params.metadata or {},
        "model": turn.model,
        "parallel_tool_calls": params.parallel_tool_calls is not False,
        "presence_penalty": params.presence_penalty or 0.0,
        "previous_response_id": state.previous_response_id,
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "reasoning": {"effort": params.reasoning_effort, "summary": reasoning.get("summary")},
        "safety_identifier": asked.get("safety_identifier"),
        "service_tier": _tier(params.service_tier),
        "store": state.store is True,
        "temperature": 1.0 if params.temperature is None else params.temperature,
        "text": {"format": _format(params.response_format), "verbosity": text.get("verbosity") or "medium"},
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": [_tool(tool) for tool in asked.get("tools") or ()],
        "top_logprobs": params.top_logprobs or 0,
        "top_p": 1.0 if params.top_p is None else params.top_p,
        "truncation": asked.get("truncation") or "disabled",
    }
    if params.user is not None:
        said["user"] = params.user
    if state.conversation is not None:
        said["conversation"] = {"id": state.conversation}
    return said


def encode_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def encode_failure(error: RouterError) -> dict[str, Any]:
    """The `error` of a failed response. The dialect has few codes; `at_fault` says what they cannot."""
    if error.status_hint == 429:
        code = "rate_limit_exceeded"
    elif error.at_fault == "client":
        code = "invalid_prompt"
    else:
        code = "server_error"
    return {"code": code, "message": error.message, "at_fault": error.at_fault}


def _tier(asked: str | None) -> str:
    return asked if asked not in (None, "auto") else "default"


def _format(asked: ResponseFormat | None) -> dict[str, Json]:
    if asked is None or asked.kind != "json_schema":
        return {"type": "text" if asked is None else asked.kind}
    return {
        "type": "json_schema",
        "name": asked.name,
        "description": asked.description,
        "schema": dict(asked.schema or {}),
        "strict": bool(asked.strict),
    }


def _tool(tool: Mapping[str, Json]) -> dict[str, Json]:
    if tool.get("type") == "function":
        return {"description": None, "parameters": None, "strict": None, **tool}
    shown = {key: value for key, value in tool.items() if key not in _SECRET}
    return {**shown, "server_url": _without_path(shown["server_url"])} if shown.get("server_url") else shown


def _without_path(url: str) -> str:
    """Some servers have their keys in there."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}/<redacted>"
