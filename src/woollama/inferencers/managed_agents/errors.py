"""What goes wrong inside a hosted session, as our errors."""

from __future__ import annotations

from collections.abc import Mapping

from woollama.domain.errors import RouterError, UpstreamRefused
from woollama.domain.messages import Json

STATUS_OF_TYPE: Mapping[str, int] = {
    "model_rate_limited_error": 429,
    "model_overloaded_error": 529,
    "billing_error": 402,
    "mcp_authentication_failed_error": 401,
    "repository_authentication_error": 401,
    "repository_forbidden_error": 403,
    "repository_not_found_error": 404,
}
"""The status that an error would have had outside of a session. Of every other kind it is 502."""


def error_of(who: str, error: Mapping[str, Json]) -> RouterError:
    """`error` is that of a `session.error` event: `{type, message, retry_status}`, and more of some kinds."""
    kind = str(error.get("type") or "unknown_error")
    said = str(error.get("message") or kind)
    return UpstreamRefused(f"{who}: {said}", status=STATUS_OF_TYPE.get(kind, 502), payload=dict(error), code=kind)


def goes_on(error: Mapping[str, Json]) -> bool:
    """Whether the service tries again by itself."""
    status = error.get("retry_status")
    return isinstance(status, Mapping) and status.get("type") == "retrying"
