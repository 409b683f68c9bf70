"""What can go wrong with a Messages upstream, as our errors: its error bodies, the SDK's exceptions, the network's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from woollama.domain.errors import (
    ContextTooLong,
    RouterError,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from woollama.inferencers.http.refusals import redirected

STATUS_OF_TYPE: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that an error would have had, for those that come in the middle of a stream."""

_TOO_LONG = ("prompt is too long", "exceed context limit", "exceeds the context window")
_HEADERS_WORTH_PASSING = ("retry-after", "request-id")


def refusal_of(
    payload: Any, *, status: int | None = None, headers: Mapping[str, str] | None = None, who: str = "the upstream"
) -> RouterError:
    """An error body (`{"type": "error", "error": {"type", "message"}}`, or whatever came instead) as our error.

    Without a `status` the body's own type decides it.
    """
    error = payload.get("error") if isinstance(payload, Mapping) else None
    said: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    kind = str(said.get("type") or "")
    status = status or STATUS_OF_TYPE.get(kind, 500)
    message = str(said.get("message") or f"{who} answered with status {status}")
    if status == 400 and any(words in message.lower() for words in _TOO_LONG):
        return ContextTooLong(message)
    headers = headers or {}
    return UpstreamRefused(
        message,
        status=status,
        payload=payload,
        headers={
            name: value
            for name, value in headers.items()
            if name in _HEADERS_WORTH_PASSING or name.startswith("anthropic-ratelimit-")
        },
        code=kind or None,
    )


def router_error_of(error: Exception, who: str) -> RouterError | None:
    """The error of ours that `error` stands for; `None` if it is neither the SDK's nor the network's."""
    import anthropic
    import httpx2

    match error:
        case anthropic.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            return UpstreamTimeout(f"{who} did not answer in time")
        case anthropic.APIConnectionError() | httpx2.ConnectError() | httpx2.ProxyError():
            return UpstreamUnreachable(f"{who} cannot be reached: {_reason(error.__cause__ or error)}")
        case anthropic.APIStatusError() if error.response.is_redirect:
            return redirected(who, str(error.request.url), error.response.headers["location"].encode())
        case anthropic.APIStatusError():
            # An error inside a stream is raised with the stream's own status, which was a success.
            status = error.status_code if error.status_code >= 400 else None
            return refusal_of(error.body, status=status, headers=dict(error.response.headers), who=who)
        case anthropic.CredentialsError():
            return UpstreamRefused(f"{who} has no usable key", status=401, code="authentication_error")
        case httpx2.InvalidURL() | httpx2.UnsupportedProtocol():
            return UpstreamUnreachable(f"{who} has an address that is none: {_reason(error)}")
        case anthropic.AnthropicError() | httpx2.HTTPError() | httpx2.StreamError():
            return UpstreamBroke(f"{who} broke off: {_reason(error)}")
        case json.JSONDecodeError() | UnicodeDecodeError():
            return UpstreamBroke(f"{who} said what nobody can read")
        case _:
            return None


@contextmanager
def mapped(who: str) -> Iterator[None]:
    """Around one use of the SDK or its connection: what it raises leaves as a `RouterError`."""
    try:
        yield
    except RouterError:
        raise
    except Exception as error:
        ours = router_error_of(error, who)
        if ours is None:
            raise
        raise ours from error


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
