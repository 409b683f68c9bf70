"""One tool server: kept running by its owner task, called by everybody."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from woollama.domain.messages import Json
from woollama.domain.peers import Host, HostSession, PeerError, ServerListing
from woollama.domain.ports import ServerHealth, ToolContext
from woollama.domain.tools import Offline, Returned, Tool, ToolOutcome
from woollama.toolservers.health import OUT, Health, health_of, why_not
from woollama.toolservers.host_tools import HostTools
from woollama.toolservers.lanes import Lanes, needs_own, set_level
from woollama.toolservers.losses import ConnectionLost, leaf, why_not_started
from woollama.toolservers.means import Means
from woollama.toolservers.pauses import Pauses
from woollama.toolservers.pins import Pins
from woollama.toolservers.spec import Era, ServerSpec
from woollama.toolservers.watched import Updates, Watched

if TYPE_CHECKING:
    from woollama.toolservers.connection import Connection

log = logging.getLogger(__name__)

T = TypeVar("T")

CALL_TIMEOUT_S = 120.0
FAREWELL_S = 5.0
KNOCK_PATIENCE_S = 5.0
"""How long such a call waits for that attempt."""
CONNECTION_CLOSED = -32000
"""JSON-RPC's word for it, as the MCP SDK has it."""


class Server:
    """`start` returns at once. `tools` are the last ones known, also while it is down; `watched` what is followed."""

    def __init__(
        self,
        spec: ServerSpec,
        *,
        means: Means,
        pins: Pins,
        on_tools: Callable[[], None],
        updates: Updates,
        watched: Watched | None = None,
        host_tools: HostTools | None = None,
        tell_host: Callable[[HostSession], None] = lambda session: None,
    ) -> None:
        """`on_tools` hears that anything was listed anew, `tell_host` that one host's tools were; `updates` more."""
        self.spec = spec
        self.tools: tuple[Tool, ...] = ()
        self.others = ServerListing(spec.name, spec.name if spec.prefix is None else spec.prefix)
        self.watched = watched or Watched()
        self.host_tools = host_tools or HostTools(spec, pins, lambda: self.tools, tell_host)
        self.lanes = Lanes(spec, means, self._log_line, self.host_tools)
        self.state: Health = "disabled" if spec.disabled else "starting"
        self.attempts = 0
        self.last_error: str | None = None
        self._means = means
        self._pins = pins
        self._has_listed = False
        self._on_tools = on_tools
        self._updates = updates
        self._is_only_modern = False
        self._connection: Connection | None = None
        self._lost: asyncio.Future[str]
        self._era: Era = spec.era
        self._last_words = ""
        self._moved = asyncio.Event()
        self._pauses = Pauses()
        self._closing = False
        self._calls = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._owner: asyncio.Task[None] | None = None
        self._scope: anyio.CancelScope | None = None

    def __repr__(self) -> str:
        why = f" ({self.last_error})" if self.state in OUT else ""
        return f"<Server {self.spec.name!r} {self.state}{why}, {len(self.tools)} tools>"

    @property
    def health(self) -> ServerHealth:
        return health_of(self, self._means.login_of(self.spec))

    @property
    def all_lanes(self) -> Sequence[Lanes]:
        return (self.lanes,)

    @property
    def processes(self) -> Sequence[ServerHealth]:
        """How each of its connections is, under the name of its process."""
        return (self.health, *self.lanes.processes)

    @property
    def is_busy(self) -> bool:
        return self._calls > 0

    def start(self) -> None:
        if self._owner is None and self.state != "disabled":
            # Not in the constructor: a daemon is put together before there is an event loop.
            self._scope = anyio.CancelScope()
            self._owner = asyncio.create_task(self._own(self._scope), name=f"tool server {self.spec.name}")

    def expect(self, tools: Sequence[Tool]) -> None:
        """What another life of this server was known to have: that much is known until it has listed its own."""
        if not self.spec.disabled:
            self.tools = tuple(replace(tool, origin=self.spec.origin) for tool in tools if self.spec.allows(tool))

    async def ready(self) -> bool:
        """Waits until it is; false once it never will be."""
        while self.state != "ready" and self._owner is not None and not self._closing:
            await self._moved.wait()
        return self.state == "ready"

    async def left(self, session: HostSession) -> None:
        await asyncio.gather(*(lanes.leave(session) for lanes in self.all_lanes))
        self.host_tools.leave(session)

    def retire(self) -> Mapping[HostSession, Collection[str]]:
        """It says no more of itself: another one does. What hosts have subscribed to over connections of their own."""
        self._updates = Updates()
        self.host_tools.retire()
        return self.lanes.retire()

    async def leave(self, patience_s: float) -> None:
        """Ends once the calls under way are over, or after `patience_s`. It is given no more of them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._quiet.wait()
        await self.close()

    async def close(self) -> None:
        """Ends the connection, and the process behind it."""
        self._closing = True
        await self.lanes.close()
        if self._owner is None or self._scope is None:
            return
        self._become("down", "it was closed")
        if self._connection is not None:
            self._lose(self._lost, "it was closed")
            await asyncio.wait({self._owner}, timeout=FAREWELL_S)
        # Not `Task.cancel`: while a session unwinds, a single cancellation is easily taken for one of its own.
        self._scope.cancel()
        await asyncio.wait({self._owner})

    async def settled(self) -> None:
        """Waits while it is starting."""
        while self.state == "starting":
            await self._moved.wait()

    async def call(self, tool: Tool, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        """Waits for a server that is still starting. Made twice only if the first time cannot have had an effect."""
        self._calls += 1
        self._quiet.clear()
        try:
            return await self._call(tool, arguments, context)
        finally:
            self._calls -= 1
            if not self._calls:
                self._quiet.set()

    async def request(self, method: str, params: Mapping[str, Json], context: ToolContext) -> Mapping[str, Json]:
        """Anything that is no call of a tool. Raises `PeerError`."""
        try:
            return await self._through(
                context, True, lambda used, left_s: used.request(method, params, context, left_s)
            )
        except ConnectionLost as lost:
            raise PeerError(CONNECTION_CLOSED, f"{self.spec.name}: {lost}") from lost

    async def set_shared_level(self, level: str) -> None:
        """What it logs over the shared connection, where that is of the handshake era."""
        with suppress(ConnectionLost):
            if self._connection is not None:
                await set_level(self._connection, level)

    def listed_to(self, session: HostSession) -> None:
        """The host was shown what there is. What it has beside that is found out, for it and for others like it."""
        shared = self._connection if self.spec.lists_per_client else None
        if shared is not None and self._must_not_share(False, session.capabilities, shared):
            self.lanes.find_out(session)

    async def needs_own(self, session: HostSession) -> bool:
        """Whether what this host asks for goes over a connection of its own."""
        if (shared := await self._usable(time.monotonic() + KNOCK_PATIENCE_S)) is None:
            raise PeerError(CONNECTION_CLOSED, self.why_not)
        return self._must_not_share(False, session.capabilities, shared)

    async def _call(self, tool: Tool, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        def send(used: Connection, left_s: float) -> Awaitable[ToolOutcome]:
            return used.call(tool.name, arguments, context, left_s)

        try:
            return await self._through(context, tool.idempotent, send)
        except ConnectionLost as lost:
            if lost.unsent:
                return Offline(str(lost))
            return Returned.of_text(
                f"the server was lost during the call ({lost}); what it did is unknown", is_error=True
            )

    async def _through(
        self,
        context: ToolContext,
        idempotent: bool,
        send: Callable[[Connection, float], Awaitable[T]],
    ) -> T:
        """Sends twice only if the first time cannot have had an effect. Raises `ConnectionLost`."""
        limit_s = min((s for s in (context.timeout_s, self.spec.timeout_s) if s is not None), default=CALL_TIMEOUT_S)
        deadline, again = time.monotonic() + limit_s, True
        while True:
            shared = await self._usable(deadline)
            if shared is None:
                raise ConnectionLost(self.why_not, unsent=True)
            try:
                host = context.host
                if host is None or not self._must_not_share(host.is_modern, host.capabilities, shared):
                    return await send(shared, max(0.0, deadline - time.monotonic()))
                async with self._lane(host, shared) as used:
                    return await send(used, max(0.0, deadline - time.monotonic()))
            except ConnectionLost as lost:
                if not again or not (lost.unsent or idempotent):
                    raise
                again = False

    def _must_not_share(self, is_modern: bool, capabilities: Mapping[str, Json], shared: Connection) -> bool:
        only = self._is_only_modern
        return not only and needs_own(is_modern=is_modern, capabilities=capabilities, shared=shared.era, spec=self.spec)

    @asynccontextmanager
    async def _lane(self, host: Host, shared: Connection) -> AsyncIterator[Connection]:
        """The host's own for one request; or the shared one, where the server turns out to have no other era."""
        async with AsyncExitStack() as lent:
            try:
                used = await lent.enter_async_context(self.lanes.one(host))
            except ConnectionLost:
                if shared.era != "modern":
                    raise
                self._is_only_modern, used = True, shared
            yield used

    async def _usable(self, deadline: float) -> Connection | None:
        """A connection that is not known to be lost, waited for while there is hope."""
        if self._owner is None or self._closing:
            return None
        if self.state == "ready" and self._connection is not None and not self._connection.closed:
            return self._connection
        if self.state in OUT:
            if not self._pauses.knock():
                return None
            deadline = min(deadline, time.monotonic() + KNOCK_PATIENCE_S)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                while self.state != "ready" or self._connection is None or self._connection.closed:
                    await self._moved.wait()
                    if self.state in (*OUT, "disabled"):
                        return None
        except TimeoutError:
            return None
        return self._connection

    @property
    def why_not(self) -> str:
        return why_not(self.spec.name, self.state, self.last_error)

    async def _own(self, scope: anyio.CancelScope) -> None:
        with scope:
            while not self._closing:
                self.attempts += 1
                self._become("starting", self.last_error)
                began, was_ready = time.monotonic(), False
                try:
                    why = await self._live()
                    was_ready = True
                except Exception as error:
                    why = why_not_started(error, self.spec, self._last_words)
                if not self._closing:
                    await self._fell(why, was_ready, time.monotonic() - began)

    async def _fell(self, why: str, was_ready: bool, lived_s: float) -> None:
        """The pause after a life: none after a long one, ever longer ones when lives are short or do not begin."""
        login = self._means.login_of(self.spec)
        known = why == self.last_error and not was_ready  # people read the log, and it may be down for days
        log.log(logging.DEBUG if known else logging.WARNING, "%s: %s", self.spec.name, why)
        self.last_error = why
        if login is not None and login.is_complaint(why):
            self._become("needs login", why)
            await self._pauses.until_logged_in(login)
        elif pause_s := self._pauses.after(was_ready=was_ready, lived_s=lived_s):
            self._era = self.spec.era
            self._become("down", why)
            await self._pauses.rest(pause_s)

    async def _live(self) -> str:
        """From a start to its end: returns why a connection that was ready has ended, raises if it never was."""
        # The MCP SDK costs half a second of imports, which are nobody's wait here.
        await asyncio.to_thread(importlib.import_module, "woollama.toolservers.watching")
        await asyncio.to_thread(importlib.import_module, "woollama.toolservers.connecting")
        from woollama.toolservers.connecting import connect

        # Of this life alone: a late word of its transport must not end the next one.
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._lost = lost
        lose = partial(self._lose, lost)
        try:
            with anyio.fail_after(self.spec.start_timeout_s) as starting:
                async with connect(
                    self.spec,
                    self._means,
                    era=self._era,
                    lose=lose,
                    log_line=self._log_line,
                    updated=self._updated,
                ) as connection:
                    self.others = replace(self.others, federated=connection.is_woollama)
                    self._refreshed(await connection.list_tools())
                    starting.deadline = math.inf
                    self._connection, self._era = connection, connection.era
                    self._is_only_modern = False
                    self._become("ready", None)
                    async with anyio.create_task_group() as group:
                        group.start_soon(self._follow, connection)
                        await asyncio.wait({lost})
                        group.cancel_scope.cancel()
        except Exception as error:
            if self._connection is None:
                if lost.done():  # the loss is the cause, and what the session makes of it is not
                    raise ConnectionError(lost.result()) from error
                raise
            lose(f"its session broke: {leaf(error)}")
        finally:
            self._connection = None
        return lost.result()

    def _lose(self, lost: asyncio.Future[str], why: str) -> None:
        """A connection is of no more use. The first reason counts."""
        if not lost.done():
            lost.set_result(why)
            if self._connection is not None and not self._closing:
                self._become("starting", why)

    def _become(self, state: Health, why: str | None) -> None:
        self.state = state
        self.last_error = why
        self._moved.set()
        self._moved = asyncio.Event()

    def _refreshed(self, tools: Sequence[Tool]) -> None:
        self._has_listed = True
        self.tools = self._pins.judge(self.spec, [tool for tool in tools if self.spec.allows(tool)])
        self._on_tools()

    def judge(self) -> None:
        """Look at its pins anew. What it is only expected to have says nothing about it."""
        if self._has_listed:
            self.tools = self._pins.judge(self.spec, self.tools)
        self.host_tools.judge()

    async def _follow(self, connection: Connection) -> None:
        from woollama.toolservers.watching import follow

        await follow(
            self.spec.name,
            connection,
            self.watched,
            refreshed=self._refreshed,
            others=self._listed,
            said=lambda kinds: self._updates.said(kinds, federated=self.others.federated),
            updated=self._updated,
        )

    def _listed(self, others: Mapping[str, tuple[Mapping[str, Json], ...]]) -> None:
        self.others = replace(
            self.others,
            prompts=others.get("prompts", self.others.prompts),
            resources=others.get("resources", self.others.resources),
            templates=others.get("resourceTemplates", self.others.templates),
        )
        self._on_tools()

    async def _updated(self, uri: str) -> None:
        await self._updates.tell(self.spec.name, uri)

    def _log_line(self, line: str) -> None:
        self._last_words = line.strip() or self._last_words
        log.debug("%s: %s", self.spec.name, line)  # many servers talk all day
