"""How a host's request is carried to whoever answers it, and what comes back on the way.

In the handshake era everything goes over the request's own stream. In the modern one a request whose host can be asked
anything is parked while it waits for an answer, and one whose tool server asks in the modern way itself is not: there
the question and the state of the server are passed on, and come back in a request of their own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.connection import Connection

from woollama.domain.messages import Json
from woollama.domain.peers import Host, Peers
from woollama.domain.visible import visible
from woollama.surfaces.mcp_server.callers import is_piped
from woollama.surfaces.mcp_server.lines import (
    ConnectedHost,
    Context,
    Line,
    RequestLine,
    core_capabilities,
    foreign_meta,
    is_modern,
)
from woollama.surfaces.mcp_server.parking import Begin, ParkedCalls, Result

OF_US = "woollama"
T = TypeVar("T")


class Carrier:
    """`hosts` are those of the handshake era that are connected."""

    def __init__(self, peers: Callable[[], Peers]) -> None:
        self._peers = peers
        self.parked = ParkedCalls()
        self.hosts: set[Connection] = set()

    def connected(self, ctx: Context) -> ConnectedHost | None:
        """The host behind a request of the handshake era."""
        if is_modern(ctx):
            return None
        connection = ctx.session._connection  # the SDK has no public list of its sessions
        known: ConnectedHost | None = connection.state.get(OF_US)
        if known is not None:
            return known
        host = connection.state[OF_US] = ConnectedHost(connection, self._peers())
        self.hosts.add(connection)

        async def left() -> None:
            self.hosts.discard(connection)
            await self._peers().leave(host)

        connection.exit_stack.push_async_callback(left)
        return host

    def line(self, ctx: Context) -> RequestLine:
        return RequestLine(ctx, self._level(ctx))

    async def carry(self, ctx: Context, params: types.InputResponseRequestParams, begin: Begin) -> Result:
        if is_modern(ctx) and core_capabilities(ctx.session.client_capabilities):
            return await self.parked.serve(self.line(ctx), params, begin)
        work = begin(self.line(ctx))
        return await (released(work) if is_piped(ctx) else work)

    def host(self, ctx: Context, line: Line, server: str) -> Host:
        """The host of a request that is for that server. Raises `MCPError` for the state of another one."""
        given = ctx.params or {}
        return Host(
            session=self.connected(ctx),
            capabilities=core_capabilities(ctx.session.client_capabilities),
            ask=line.request,
            log=line.log,
            meta=foreign_meta(ctx),
            log_level=self._level(ctx),
            answers=given.get("inputResponses"),
            state=_state(given.get("requestState"), server),
            stream_ended=None if is_modern(ctx) else ctx.close_sse_stream,
        )

    def _level(self, ctx: Context) -> str | None:
        if (host := self.connected(ctx)) is not None:
            return host.log_level
        level = (ctx.meta or {}).get(types.LOG_LEVEL_META_KEY)
        return level if isinstance(level, str) else None


def is_of_server(ctx: Context) -> bool:
    """Whether a request comes back with what its tool server wanted, having been let through before."""
    state = (ctx.params or {}).get("requestState")
    return state is not None and "server" in json.loads(state)


def returned(server: str, result: Mapping[str, Json]) -> dict[str, Json]:
    """A server's result as ours: what it says of itself is not said of us, and its state comes back to it alone."""
    own = dict(result)
    if meta := {
        key: value for key, value in (own.pop("_meta", None) or {}).items() if key != types.SERVER_INFO_META_KEY
    }:
        own["_meta"] = meta
    if own.get("resultType") == "input_required":
        own["requestState"] = json.dumps({"server": server, "state": own.get("requestState")})
        own["inputRequests"] = {key: _shown(server, each) for key, each in (own.get("inputRequests") or {}).items()}
    return own


def _shown(server: str, request: Any) -> Any:
    """A question that a person is asked says whose it is, and nothing in it is disguised."""
    match request:
        case {"method": "elicitation/create", "params": {"message": str(message)} as params}:
            return {**request, "params": {**params, "message": visible(f"{server}: {message}")}}
    return request


def _state(sealed: str | None, server: str) -> str | None:
    """What the server gave out, taken out of what we did. The SDK's boundary has seen that it is ours."""
    if sealed is None:
        return None
    said = json.loads(sealed)
    if "server" in said and said["server"] != server:
        raise MCPError(types.INVALID_PARAMS, "the state is another server's")
    state: str | None = said.get("state")
    return state


async def released(work: Coroutine[Any, Any, T]) -> T:
    """`work`, and when its request is cancelled not before it has let go of everything.

    Over a pipe the SDK cancels again at every wait; in a task of its own `work` is cancelled once and can end in order.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({task})
        raise
    return task.result()
