"""The error body of OpenAI's dialects, chat completions and Responses alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from woollama.domain.errors import RouterError, UpstreamRefused
from woollama.domain.messages import Json

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_CODES = {
    "unsupported_field": "unsupported_parameter",
    "context_too_long": "context_length_exceeded",
    "not_authorized": "invalid_api_key",
    "unknown_model": "model_not_found",
    "unknown_response": "response_not_found",
    "unknown_conversation": "conversation_not_found",
    "too_many": "rate_limit_exceeded",
}


def encode_error(error: RouterError) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code", "at_fault"}}`; `param` alone may be null.

    What an upstream said of its own refusal (`type`, `param`, `code`) is passed on.
    """
    said = _said_upstream(error)
    return {
        "error": {
            "message": error.message,
            "type": said.get("type") or _type_of(error),
            "param": error.param or said.get("param"),
            "code": error.code or said.get("code") or _CODES.get(error.kind, error.kind),
            "at_fault": error.at_fault,
        }
    }


def _type_of(error: RouterError) -> str:
    status = error.status_hint
    if status >= 500:
        return "upstream_error" if error.at_fault == "upstream" else "server_error"
    return _TYPES.get(status, "invalid_request_error")


def _said_upstream(error: RouterError) -> Mapping[str, Json]:
    payload = error.payload if isinstance(error, UpstreamRefused) else None
    said = payload.get("error") if isinstance(payload, Mapping) else None
    if not isinstance(said, Mapping):
        return {}
    return {key: said[key] for key in ("type", "param", "code") if isinstance(said.get(key), str)}
