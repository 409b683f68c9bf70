"""Members that no revision of the protocol knows: vendors' own, which the SDK leaves out of what it sends.

What a handler answers is kept aside, and what is missing from it on the way out is put back, if its name is nobody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import mcp_types as types
from mcp.server import ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from pydantic import BaseModel

_answered: ContextVar[list[Mapping[str, Any]]] = ContextVar("answered")


def _names_of_the_protocol() -> frozenset[str]:
    models = [each for each in vars(types).values() if isinstance(each, type) and issubclass(each, BaseModel)]
    return frozenset(
        name
        for model in models
        for field, info in model.model_fields.items()
        for name in (field, info.alias, info.serialization_alias)
        if name
    )


_KNOWN = _names_of_the_protocol()


def answered(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Remembers the result of the request that is being answered; gives it back."""
    if (seen := _answered.get(None)) is not None:
        seen.append(result)
    return result


async def keeping_members(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """As a middleware of the SDK's server."""
    seen: list[Mapping[str, Any]] = []
    token = _answered.set(seen)
    try:
        sent = await call_next(ctx)
    finally:
        _answered.reset(token)
    return _restored(sent, seen[-1]) if seen and isinstance(sent, dict) else sent


def _restored(sent: Any, said: Any) -> Any:
    if sent == said:
        return sent
    if isinstance(sent, dict) and isinstance(said, Mapping):
        kept = {name: _restored(value, said[name]) if name in said else value for name, value in sent.items()}
        return kept | {name: value for name, value in said.items() if name not in sent and name not in _KNOWN}
    if isinstance(sent, list) and isinstance(said, list | tuple) and len(sent) == len(said):
        return [_restored(*pair) for pair in zip(sent, said, strict=True)]
    return sent
