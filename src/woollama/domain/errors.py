"""Every way to fail that leaves the core. Each says whose fault it is and which HTTP status fits.

A surface renders these in its dialect; nothing else becomes an error body. Foreign exceptions are mapped to these
only where the foreign library is called.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

Fault = Literal["client", "router", "upstream", "tool"]


class RouterError(Exception):
    """`str(error)` is a sentence for a person. `param` names the offending field, `code` a machine's word.

    Those who know set on the way out where it happened: `path` (`engine; recipe`), `target` and `attempts`.
    """

    kind: ClassVar[str] = "router_error"
    status_hint: int = 500
    at_fault: Fault = "router"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after
        self.path: str | None = None
        self.target: str | None = None
        self.attempts = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status_hint} {self.at_fault}: {self.message}>"


class BadRequest(RouterError):
    kind = "bad_request"
    status_hint = 400
    at_fault: Fault = "client"


class UnsupportedField(BadRequest):
    kind = "unsupported_field"


class ContextTooLong(BadRequest):
    kind = "context_too_long"


class NotAuthorized(RouterError):
    kind = "not_authorized"
    status_hint = 401
    at_fault: Fault = "client"


class NotSetUp(RouterError):
    """An inferencer lacks something here, as `code` says: another candidate may do, and this one will not."""

    kind = "not_set_up"
    status_hint = 502


class NoKey(NotSetUp):
    """It is asked with a key of ours, and there is none."""

    kind = "no_key"
    status_hint = 401


class Forbidden(RouterError):
    kind = "forbidden"
    status_hint = 403
    at_fault: Fault = "client"


class UnknownModel(RouterError):
    kind = "unknown_model"
    status_hint = 404
    at_fault: Fault = "client"


class UnknownResponse(RouterError):
    kind = "unknown_response"
    status_hint = 404
    at_fault: Fault = "client"


class UnknownConversation(RouterError):
    kind = "unknown_conversation"
    status_hint = 404
    at_fault: Fault = "client"


class UnknownApproval(RouterError):
    kind = "unknown_approval"
    status_hint = 404
    at_fault: Fault = "client"


class UnknownServer(RouterError):
    kind = "unknown_server"
    status_hint = 404
    at_fault: Fault = "client"


class UnknownPattern(RouterError):
    kind = "unknown_pattern"
    status_hint = 404
    at_fault: Fault = "client"


class UnknownRoute(RouterError):
    kind = "unknown_route"
    status_hint = 404
    at_fault: Fault = "client"


class WrongMethod(RouterError):
    kind = "wrong_method"
    status_hint = 405
    at_fault: Fault = "client"


class SlowRequest(RouterError):
    kind = "request_timeout"
    status_hint = 408
    at_fault: Fault = "client"


class Conflict(RouterError):
    kind = "conflict"
    status_hint = 409
    at_fault: Fault = "client"


class ConversationBusy(Conflict):
    kind = "conversation_busy"


class Gone(RouterError):
    kind = "gone"
    status_hint = 410
    at_fault: Fault = "client"


class TooLarge(RouterError):
    kind = "too_large"
    status_hint = 413
    at_fault: Fault = "client"


class WrongContentType(RouterError):
    kind = "wrong_content_type"
    status_hint = 415
    at_fault: Fault = "client"


class WrongHost(RouterError):
    kind = "wrong_host"
    status_hint = 421
    at_fault: Fault = "client"


class TooMany(RouterError):
    kind = "too_many"
    status_hint = 429
    at_fault: Fault = "client"


class NoStateOwner(RouterError):
    kind = "no_state_owner"
    status_hint = 501


class Backpressure(RouterError):
    kind = "backpressure"
    status_hint = 503


class StoreUnreachable(RouterError):
    kind = "store_unreachable"
    status_hint = 503


class UpstreamRefused(RouterError):
    """The upstream answered with an error of its own.

    `payload` is its body, `headers` those worth passing on, with names in lower case.
    """

    kind = "upstream_refused"
    at_fault: Fault = "upstream"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        payload: Any = None,
        headers: Mapping[str, str] | None = None,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        self.headers = dict(headers or {})
        super().__init__(message, param=param, code=code, retry_after=_seconds(self.headers.get("retry-after")))
        self.status_hint = status
        self.payload = payload


class UpstreamUnreachable(RouterError):
    kind = "upstream_unreachable"
    status_hint = 502
    at_fault: Fault = "upstream"


class UpstreamBroke(RouterError):
    """The upstream answered and then broke off, or said what nobody can read."""

    kind = "upstream_broke"
    status_hint = 502
    at_fault: Fault = "upstream"


class UpstreamTimeout(RouterError):
    kind = "upstream_timeout"
    status_hint = 504
    at_fault: Fault = "upstream"


class ShuttingDown(RouterError):
    kind = "shutting_down"
    status_hint = 503


class InternalFault(RouterError):
    """A defect of ours. The message never carries the exception's own text: that goes to the log."""

    kind = "internal_fault"


class ToolFailed(RouterError):
    """A tool server could not be used. Never leaves the engine: the model is told."""

    kind = "tool_failed"
    at_fault: Fault = "tool"


def _seconds(retry_after: str | None) -> float | None:
    """A date is rare in this header, and clocks differ."""
    try:
        seconds = float(retry_after or "nan")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
