"""How a call can lose its server. Known to all parts, also to those that do not load the MCP SDK."""

from __future__ import annotations

from woollama.toolservers.spec import ServerSpec

UNSENT = "woollama: not sent"
BROKEN = "woollama: broken off"
WANTS_LOGIN = "woollama: wants a login"
"""Marks in the `data` of a JSON-RPC error that our transports make themselves."""


class ConnectionLost(Exception):
    """The server went away. `unsent`: the call never reached it, so that it may be made again."""

    def __init__(self, why: str, *, unsent: bool) -> None:
        super().__init__(why)
        self.unsent = unsent


def why_not_started(error: Exception, spec: ServerSpec, last_words: str) -> str:
    """Why a start failed, in a sentence."""
    cause = leaf(error)
    words = f": {last_words}" if last_words else ""
    match cause:
        case TimeoutError():
            return f"no answer within {spec.start_timeout_s:g} s of its start"
        case ConnectionError() if spec.url:
            return str(cause)
        case ConnectionError():
            return f"ended at its start: {cause}{words}"
        case OSError():
            return f"spawn failed: {cause.strerror}: {cause.filename}" if cause.filename else f"spawn failed: {cause}"
        case _:
            return f"start failed: {cause}{words}"


def leaf(error: BaseException) -> BaseException:
    """The first of what a group of exceptions is about."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
