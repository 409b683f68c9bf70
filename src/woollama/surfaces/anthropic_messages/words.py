"""Messages' own words for how an answer ended, what it cost and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from woollama.domain.errors import RouterError, UpstreamRefused
from woollama.domain.events import Stopped, StopReason, Usage, UsageMeter
from woollama.domain.messages import Json

STOP_REASONS: Mapping[StopReason, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "stop_sequence": "stop_sequence",
    "content_filter": "refusal",
    "refusal": "refusal",
    "paused": "pause_turn",
    "max_rounds": "pause_turn",
    "cancelled": "end_turn",
}
"""`pause_turn` is what this dialect says when a loop of server-side tools has met its limit: send it back to go on."""

_FINER_WORDS: Mapping[str, StopReason] = {"model_context_window_exceeded": "length"}

_ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_STARTING_USAGE = ("cache_creation", "service_tier", "inference_geo", "speed")
_FINAL_USAGE = ("server_tool_use",)


def stop_reason(stopped: Stopped, *, refused: bool = False) -> str:
    """`refused`: the model said its refusal as such, which other dialects do not count as a reason to stop."""
    if refused and stopped.reason == "end":
        return "refusal"
    if stopped.detail and _FINER_WORDS.get(stopped.detail) == stopped.reason:
        return stopped.detail
    return STOP_REASONS[stopped.reason]


def starting_usage(usage: Usage) -> dict[str, Json]:
    """The usage of `message_start`: the prompt's, and what has been written before the first byte."""
    native = usage.native or {}
    return {
        **_input_of(usage),
        "output_tokens": usage.output_tokens,
        **{name: native[name] for name in _STARTING_USAGE if name in native},
    }


def final_usage(meter: UsageMeter) -> dict[str, Json]:
    """The usage of `message_delta`: the last round's prompt, and all that was written in all rounds.

    Clients of this dialect take the input for the size of the context, which a sum over rounds would overstate.
    """
    last, total = meter.last_round, meter.total
    native = last.native or {}
    usage = {**_input_of(last), "output_tokens": total.output_tokens}
    if total.reasoning_tokens or "thinking_tokens" in (native.get("output_tokens_details") or {}):
        usage["output_tokens_details"] = {"thinking_tokens": total.reasoning_tokens}
    return usage | {name: native[name] for name in _FINAL_USAGE if name in native}


def _input_of(usage: Usage) -> dict[str, Json]:
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
    }


def encode_error(error: RouterError) -> dict[str, Any]:
    """`{"type": "error", "error": {"type", "message", "at_fault", "param"?}}`.

    What a Messages upstream said of its own refusal (`type`, `details`, `request_id`) is passed on. This dialect's
    clients show the message alone, so it names the field as well.
    """
    payload = error.payload if isinstance(error, UpstreamRefused) else None
    theirs = payload if isinstance(payload, Mapping) and payload.get("type") == "error" else {}
    said = theirs.get("error")
    if not isinstance(said, Mapping):
        said = {}
    body: dict[str, Json] = {
        "type": "error",
        "error": {
            "type": said.get("type") or _type_of(error.status_hint),
            "message": _message_of(error),
            "at_fault": error.at_fault,
        },
    }
    if "details" in said:
        body["error"]["details"] = said["details"]
    if error.param:
        body["error"]["param"] = error.param
    if "request_id" in theirs:
        body["request_id"] = theirs["request_id"]
    return body


def _message_of(error: RouterError) -> str:
    named = error.param is None or error.param in error.message
    return error.message if named else f"{error.param}: {error.message}"


def _type_of(status: int) -> str:
    return _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
