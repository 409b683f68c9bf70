"""The tool servers as parties that MCP hosts reach through us: all of MCP but the calls of tools."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from woollama.domain.messages import Json
from woollama.domain.peers import Host, HostSession, ListKind, PeerError, ServerListing
from woollama.domain.ports import ToolContext
from woollama.domain.turns import INTERNAL
from woollama.toolservers.lanes import Lane, set_level
from woollama.toolservers.losses import ConnectionLost
from woollama.toolservers.server import CONNECTION_CLOSED, Server
from woollama.toolservers.watched import Tell, Updates

if TYPE_CHECKING:
    from woollama.toolservers.connection import Connection

log = logging.getLogger(__name__)

SUBSCRIBE_TIMEOUT_S = 30.0
INVALID_PARAMS = -32602
TELL_AFTER_S = 0.05
SLOWEST_HOST_S = 5.0


class ServersAsPeers:
    """`servers` gives those at work now, by their names."""

    def __init__(self, servers: Callable[[], Mapping[str, Server]], updates: Updates) -> None:
        self._servers = servers
        self._updates = updates
        self._on_shared: dict[tuple[HostSession, str, str], AsyncExitStack] = {}
        """What hosts without a connection of their own have subscribed to: (host, server, uri)."""
        self._following: dict[asyncio.Task[None], HostSession] = {}
        self._untold: set[HostSession] = set()
        """Hosts that find other tools now than they have been told of."""
        self._telling: set[asyncio.Task[None]] = set()
        updates.listeners.append(self._tell_subscribers)

    def __repr__(self) -> str:
        return f"<ServersAsPeers {len(self._on_shared)} subscriptions>"

    def listings(self) -> Sequence[ServerListing]:
        return [server.others for server in self._servers().values()]

    async def request(
        self,
        server: str,
        method: str,
        params: Mapping[str, Json],
        host: Host,
        progress: Callable[[float, float | None, str | None], Awaitable[None]] | None = None,
    ) -> Mapping[str, Json]:
        return await self._server(server).request(method, params, ToolContext(INTERNAL, progress=progress, host=host))

    async def subscribe(self, server: str, uri: str, session: HostSession) -> None:
        there = self._server(server)
        if await there.needs_own(session):
            lane = there.lanes.own(session)
            await self._ask(lane.used(), "resources/subscribe", uri)
            lane.subscribed.add(uri)
        elif (session, server, uri) not in self._on_shared:
            subscription = self._on_shared[session, server, uri] = AsyncExitStack()
            await subscription.enter_async_context(there.watched.one(uri))

    def follow(self, server: str, subscribed: Mapping[HostSession, Collection[str]]) -> None:
        """Subscribe with that server, as soon as it is ready, to what another one in its place was subscribed to."""
        for session, uris in subscribed.items():
            task = asyncio.create_task(self._follow(server, session, uris), name=f"subscribing with {server} anew")
            self._following[task] = session
            task.add_done_callback(self._following.pop)

    async def _follow(self, server: str, session: HostSession, uris: Collection[str]) -> None:
        ready, now = False, self._servers().get(server)
        while now is not None and not ready:
            ready, was = await now.ready(), now
            if (now := self._servers().get(server)) is was and not ready:
                return
            ready = ready and now is was
        for uri in uris if ready else ():
            try:
                await self.subscribe(server, uri, session)
            except PeerError as error:
                log.info("%s: %s is not followed any more: %s", server, uri, error)

    async def unsubscribe(self, server: str, uri: str, session: HostSession) -> None:
        if (subscription := self._on_shared.pop((session, server, uri), None)) is not None:
            await subscription.aclose()
        elif (lane := self._server(server).lanes.of(session)) is not None:
            await self._ask(lane.used(), "resources/unsubscribe", uri)
            lane.subscribed.discard(uri)

    @asynccontextmanager
    async def watch(self, server: str, uri: str) -> AsyncIterator[None]:
        if (there := self._servers().get(server)) is None:
            yield
            return
        async with there.watched.one(uri):
            yield

    def on_update(self, tell: Tell) -> None:
        self._updates.listeners.append(tell)

    def on_change(self, tell: Callable[[Collection[ListKind], bool], None]) -> None:
        self._updates.hears_changes.append(tell)

    async def set_level(self, session: HostSession) -> None:
        if (level := session.log_level) is None:
            return
        for server in self._servers().values():
            for lane in (own := _own(server, session)):
                with suppress(ConnectionLost):
                    async with lane.used() as connection:
                        await set_level(connection, level)
            if not own:
                await server.set_shared_level(level)

    async def roots_changed(self, session: HostSession) -> None:
        for server in self._servers().values():
            for lane in _own(server, session):
                with suppress(ConnectionLost):
                    async with lane.used() as connection:
                        await connection.notify_roots_changed()

    def listed(self, session: HostSession, servers: Collection[str]) -> None:
        for name, server in self._servers().items():
            if name in servers:
                server.listed_to(session)

    def tools_changed(self, session: HostSession) -> None:
        """Told in a moment, and once for all that changes until then: servers open one after the other."""
        if session not in self._untold:
            self._untold.add(session)
            task = asyncio.create_task(self._tell(session), name="telling a host of its tools")
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    def close(self) -> None:
        for task in self._telling:
            task.cancel()

    async def _tell(self, session: HostSession) -> None:
        await asyncio.sleep(TELL_AFTER_S)
        if session in self._untold:
            self._untold.discard(session)
            with suppress(TimeoutError):
                async with asyncio.timeout(SLOWEST_HOST_S):
                    await session.tools_changed()

    async def leave(self, session: HostSession) -> None:
        self._untold.discard(session)
        for task in [task for task, whose in self._following.items() if whose is session]:
            task.cancel()
        for key in [key for key in self._on_shared if key[0] is session]:
            await self._on_shared.pop(key).aclose()
        await asyncio.gather(*(server.left(session) for server in self._servers().values()))

    async def _tell_subscribers(self, server: str, uri: str) -> None:
        for session, name, subscribed in tuple(self._on_shared):
            if (name, subscribed) == (server, uri):
                await session.updated(server, uri)

    async def _ask(self, used: AbstractAsyncContextManager[Connection], method: str, uri: str) -> None:
        try:
            async with used as connection:
                await connection.request(method, {"uri": uri}, ToolContext(INTERNAL), SUBSCRIBE_TIMEOUT_S)
        except ConnectionLost as lost:
            raise PeerError(CONNECTION_CLOSED, str(lost)) from lost

    def _server(self, name: str) -> Server:
        if (server := self._servers().get(name)) is None:
            raise PeerError(INVALID_PARAMS, f"there is no tool server {name!r}")
        return server


def _own(server: Server, session: HostSession) -> list[Lane]:
    """The connections that a host has of its own there."""
    return [lane for lanes in server.all_lanes if (lane := lanes.of(session)) is not None]
