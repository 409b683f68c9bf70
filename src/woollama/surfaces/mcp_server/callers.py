"""Who makes a request, and over which connection."""

from __future__ import annotations

import re
from dataclasses import replace

from woollama.domain.federation import HOPS_KEY
from woollama.domain.turns import Abilities, Caller
from woollama.surfaces.mcp_server.lines import Context
from woollama.surfaces.mcp_server.questions import can_ask

STDIO = Caller("stdio", "stdio")
_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")


def caller_of(ctx: Context) -> Caller:
    """Who asks, by the name of its token or else by the one that the host gives itself."""
    caller: Caller = ctx.request.scope["state"]["caller"] if ctx.request is not None else STDIO
    client = ctx.session.client_params
    name = _NOT_IN_NAMES.sub("-", client.client_info.name)[:40] if client and client.client_info else ""
    known_as = caller.scope.token or name or caller.name
    hops = (ctx.meta or {}).get(HOPS_KEY)
    return replace(caller, name=known_as, can=Abilities(elicit=can_ask(ctx)), hops=hops if isinstance(hops, int) else 0)


def is_piped(ctx: Context) -> bool:
    """Whether all that the host sends comes over one pipe, and not each request by itself."""
    return ctx.request is None or ctx.request.scope["path"] == "/mcp/pipe"


def session_of(ctx: Context) -> str | None:
    """The connection that a call belongs to, where the host keeps one: of the handshake era, or a pipe."""
    if ctx.request is None:
        return "stdio"
    if ctx.request.scope["path"] == "/mcp/pipe":
        return f"pipe {ctx.request.scope['state']['request_id']}"
    session = ctx.request.headers.get("mcp-session-id")
    return f"mcp {session}" if session else None
