"""What `claude` says when it fails, as our errors: its own word for it, or the status that it got."""

from __future__ import annotations

from collections.abc import Mapping

from woollama.domain.errors import ContextTooLong, Gone, RouterError, UpstreamBroke, UpstreamRefused
from woollama.domain.messages import Json

STATUS_OF_WORD: Mapping[str, int] = {
    "authentication_failed": 401,
    "oauth_org_not_allowed": 403,
    "billing_error": 402,
    "rate_limit": 429,
    "invalid_request": 400,
    "model_not_found": 404,
    "server_error": 500,
    "overloaded": 529,
}
_NOT_LOGGED_IN = "is not logged in: run `claude` as the user of this daemon, and /login"


def error_of(who: str, result: Mapping[str, Json], word: str | None) -> RouterError:
    """`result` is the line that it ends with, `word` what the message before it was marked with."""
    errors = result.get("errors")
    said = str(result.get("result") or (errors[0] if isinstance(errors, list) and errors else "") or "gave no reason")
    status = result.get("api_error_status")
    if not isinstance(status, int):
        status = STATUS_OF_WORD.get(word or "")
    if word == "authentication_failed" and status in (None, 401):
        return UpstreamRefused(f"{who} {_NOT_LOGGED_IN} ({said})", status=401, payload=dict(result), code=word)
    if "no conversation found with session id" in said.lower():
        return Gone(f"{who} does not know its session any more ({said})", code="session_lost")
    if "prompt is too long" in said.lower():
        return ContextTooLong(f"{who}: {said}")
    if status is None or status < 400:
        return UpstreamBroke(f"{who}: {said}")
    return UpstreamRefused(f"{who}: {said}", status=status, payload=dict(result), code=word)
