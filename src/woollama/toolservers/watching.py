"""What is followed on the connection that everybody shares: lists that change, and resources that somebody watches."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import anyio
from mcp import MCPError
from mcp_types import METHOD_NOT_FOUND
from pydantic import ValidationError

from woollama.domain.messages import Json
from woollama.domain.peers import ListKind, PeerError
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Tool
from woollama.domain.turns import INTERNAL
from woollama.toolservers.connection import Connection
from woollama.toolservers.losses import ConnectionLost
from woollama.toolservers.watched import Watched

log = logging.getLogger(__name__)

SUBSCRIBE_TIMEOUT_S = 30.0


async def follow(
    server: str,
    connection: Connection,
    watched: Watched,
    *,
    refreshed: Callable[[Sequence[Tool]], None],
    others: Callable[[Mapping[str, tuple[Mapping[str, Json], ...]]], None],
    said: Callable[[Collection[ListKind]], None],
    updated: Callable[[str], Awaitable[None]],
) -> None:
    """Lists anew whenever the server says that something has changed, in whichever way its era has for that."""
    watched.follow_anew()
    async with anyio.create_task_group() as group:
        group.start_soon(_listen if connection.era == "modern" else _subscribe, connection, watched, updated)
        others(await connection.list_others())
        while True:
            kinds, tools = await connection.changes.take(), None
            try:
                tools = await connection.list_tools()
            except (MCPError, ValidationError) as error:
                log.warning("%s: its changed tools could not be listed: %s", server, error)
            listed = await connection.list_others()
            said(kinds)  # in one go with what is new, so that it is told once
            if tools is not None:
                refreshed(tools)
            others(listed)


async def follow_tools(connection: Connection, showed: Callable[[Sequence[Tool]], None]) -> None:
    """On a connection of one host's own: what tools it shows, whenever the server says that they have changed."""
    while True:
        if (kinds := await connection.changes.take()) and "tools" not in kinds:
            continue
        try:
            showed(await connection.list_tools())
        except (MCPError, ValidationError, LookupError) as error:
            log.debug("its tools for one host could not be listed: %s", error)


async def _listen(connection: Connection, watched: Watched, updated: Callable[[str], Awaitable[None]]) -> None:
    """A stream for the lists and one for each resource, so that none has to be closed for another to begin."""
    scopes: dict[str, anyio.CancelScope] = {}

    async def listen(uri: str) -> None:
        with anyio.CancelScope() as scopes[uri]:
            await connection.listen(uri, updated, lambda: watched.follow(uri))

    async with anyio.create_task_group() as group:
        # What changed after it was listed and before the stream had begun was told to nobody.
        group.start_soon(connection.listen, None, updated, connection.changes.note)
        while True:
            changed, wanted = watched.changed, watched.uris
            for uri in wanted - set(scopes):
                scopes[uri] = anyio.CancelScope()
                group.start_soon(listen, uri)
            for uri in set(scopes) - wanted:
                scopes.pop(uri).cancel()
            await changed.wait()


async def _subscribe(connection: Connection, watched: Watched, updated: Callable[[str], Awaitable[None]]) -> None:
    have: frozenset[str] = frozenset()
    context = ToolContext(INTERNAL)
    while True:
        changed, wanted = watched.changed, watched.uris
        for method, uris in (("subscribe", wanted - have), ("unsubscribe", have - wanted)):
            for uri in sorted(uris):
                try:
                    await connection.request(f"resources/{method}", {"uri": uri}, context, SUBSCRIBE_TIMEOUT_S)
                except PeerError as error:
                    level = logging.DEBUG if error.code == METHOD_NOT_FOUND else logging.INFO
                    log.log(level, "cannot %s to %s: %s", method, uri, error)
                except ConnectionLost:
                    return
        for uri in wanted - have:
            watched.follow(uri)
        have = wanted
        await changed.wait()
