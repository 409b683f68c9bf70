"""Errors of OpenAI-compatible upstreams, in a status or in the middle of a stream, as errors of `domain`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from woollama.domain.errors import ContextTooLong, RouterError, UpstreamRefused
from woollama.domain.turns import Target
from woollama.domain.wire_json import loads
from woollama.http.connection import HttpAnswer
from woollama.http.content_coding import decoded
from woollama.inferencers.http.endpoint import Endpoint

_KEPT_HEADERS = frozenset({"retry-after", "x-request-id", "request-id"})
_KEPT_PREFIXES = ("x-ratelimit-", "ratelimit-", "anthropic-ratelimit-")
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_too_long = re.compile(
    r"maximum context length|prompt is too long|"
    r"context (?:length|window|size)[^.]{0,40}exceed|exceed\w*[^.]{0,60}context (?:length|window|size)",
    re.IGNORECASE,
)
_STATUS_BY_WORD: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 503,
}
_EXCERPT_CHARS = 300
_REFUSAL_LIMIT_BYTES = 64 * 1024
_SECRET_STAND_IN = b"***"


async def read_refusal(endpoint: Endpoint, who: Target | str, answer: HttpAnswer, key: str | None) -> RouterError:
    """The error that an answer without success is. The key of the request is taken out of what it says."""
    if 300 <= answer.status < 400:
        return redirected(endpoint.name, endpoint.base_url, answer.header(b"location"))
    body = b""
    async for chunk in decoded(answer, answer.header(b"content-encoding")):
        body += chunk
        if len(body) > _REFUSAL_LIMIT_BYTES:
            break
    if key:
        body = body.replace(key.strip().encode(), _SECRET_STAND_IN)
    return refused(who, answer.status, answer.headers, body)


def refused(target: Target | str, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> RouterError:
    """An answer with a status that is no success. `ContextTooLong` only where the upstream says so clearly."""
    kept = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers
        if (key := name.decode("latin-1")) in _KEPT_HEADERS or key.startswith(_KEPT_PREFIXES)
    }
    try:
        payload = loads(body)
    except ValueError:
        payload = None
    error = _error_in(payload)
    said = _message(error) or _message(payload) or _excerpt(body)
    code = _word(error, "code") or _word(error, "type")
    if status in (400, 413) and _says_too_long(error, said):
        return ContextTooLong(f"{target}: {said}", code="context_length_exceeded")
    return UpstreamRefused(
        f"{target} refused with status {status}: {said}",
        status=status if status >= 400 else 502,
        payload=payload,
        headers=kept,
        param=_word(error, "param"),
        code=code,
    )


def redirected(name: str, base_url: str, location: bytes) -> UpstreamRefused:
    """Redirects are not followed: they would take the key to another place."""
    where = location.decode("latin-1") or "nowhere"
    return UpstreamRefused(
        f"{name} at {base_url} redirects to {where}: correct its base_url", status=502, code="redirected"
    )


def refused_in_stream(target: Target, chunk: Mapping[str, Any]) -> RouterError:
    """An error where a chunk should be. Its status is what the error says of itself, else 502."""
    error = _error_in(chunk)
    said = _message(error) or "no reason was given"
    if _says_too_long(error, said):
        return ContextTooLong(f"{target}: {said}", code="context_length_exceeded")
    words = [error.get(name) for name in ("code", "status", "type")] if isinstance(error, Mapping) else []
    numbers = [word for word in words if isinstance(word, int) and 400 <= word < 600]
    statuses = numbers + [_STATUS_BY_WORD[word] for word in words if isinstance(word, str) and word in _STATUS_BY_WORD]
    return UpstreamRefused(
        f"{target} broke off with an error: {said}",
        status=statuses[0] if statuses else 502,
        payload=dict(chunk),
        param=_word(error, "param"),
        code=_word(error, "code") or _word(error, "type"),
    )


def _error_in(payload: Any) -> Any:
    if isinstance(payload, list) and payload:
        payload = payload[0]  # one of the large providers wraps its errors in an array
    if not isinstance(payload, Mapping):
        return None
    return payload if payload.get("object") == "error" else payload.get("error")  # some engines wrap nothing


def _message(holder: Any) -> str | None:
    if isinstance(holder, str):
        return holder or None
    if isinstance(holder, Mapping):
        found = holder.get("message") or holder.get("detail")
        return found if isinstance(found, str) else None
    return None


def _word(error: Any, name: str) -> str | None:
    word = error.get(name) if isinstance(error, Mapping) else None
    return word if isinstance(word, str) else None


def _says_too_long(error: Any, said: str) -> bool:
    return bool({_word(error, "code"), _word(error, "type")} & _TOO_LONG_CODES or _too_long.search(said))


def _excerpt(body: bytes) -> str:
    text = re.sub(r"<[^>]*>|\s+", " ", body[: _EXCERPT_CHARS * 4].decode("utf-8", "replace"))
    text = " ".join(text.split())
    return text[:_EXCERPT_CHARS] or "it said nothing more"
