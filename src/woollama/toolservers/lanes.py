"""The connections to one server that are not everybody's: one for a host, or lent to a call.

In the handshake era a server asks and tells its client, not a call. So what it says over a connection that many share
belongs to nobody in particular, and its client can do what only one of them can. A host that can do more than be shown
a form (or any host, where a connection costs no process) has one of its own, which opens at its first call and ends
with the host, or when it has long been idle. A call of a modern host to a server that knows only the handshake is lent
one for as long as it lasts, however often its host has to come back with answers.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from woollama.domain.messages import Json
from woollama.domain.peers import Host, HostSession, PeerError
from woollama.domain.ports import ServerHealth, ToolContext
from woollama.domain.tools import Tool
from woollama.domain.turns import INTERNAL
from woollama.toolservers.host_tools import HostTools, can_more
from woollama.toolservers.losses import ConnectionLost, leaf
from woollama.toolservers.means import Means
from woollama.toolservers.spec import Era, ServerSpec

if TYPE_CHECKING:
    from woollama.toolservers.connecting import Whose
    from woollama.toolservers.connection import Connection

log = logging.getLogger(__name__)

IDLE_S = 600.0
MOST_LENT = 16
MOST_OWN = 16
"""So many hosts have one of their own at a time; the one that was not used the longest makes room."""
FAREWELL_S = 5.0
SETTING_TIMEOUT_S = 30.0
REOPEN_AFTER_S = 0.25
MOST_DOUBLINGS = 8
LONG_LIFE_S = 60.0
QUIETEST = "emergency"
"""What a lent connection is set to for a host that wants to hear nothing: an earlier one may have wanted more."""

Showed = Callable[[HostSession, Sequence[Tool], bool], None]
"""Hears which tools a host was shown, and whether that was before a call can have changed it."""
Open = Callable[["Whose", Callable[[str], None]], AbstractAsyncContextManager["Connection"]]
"""Opens a handshake connection: for whom, and whom to tell that it is lost."""


def needs_own(*, is_modern: bool, capabilities: Mapping[str, Json], shared: Era, spec: ServerSpec) -> bool:
    """Whether a host's request must not go over the connection that everybody shares, whose era is `shared`."""
    if spec.era == "modern":
        return False
    wants = set(capabilities)
    if is_modern:
        return shared == "handshake" and bool(wants if spec.transport != "stdio" else wants & {"sampling", "roots"})
    if spec.transport != "stdio":
        return True
    return bool(wants & {"sampling", "roots"}) or (bool(wants) and shared == "modern")


class Lane:
    """One such connection and the task that owns it, made in an empty context: its reader lives longer than a call."""

    def __init__(self, label: str, open_it: Open, whose: Whose, showed: Showed, *, lists_at_once: bool = False) -> None:
        """`showed` hears of the tools of a host's own, when the server says that they have changed, or at once."""
        self.label = label
        self._open = open_it
        self._whose = whose
        self._showed = showed
        self._lists_at_once = lists_at_once
        self.was_closed = False
        """By us, as its host has left, or another one needed its place."""
        self._has_shown = False
        self._was_used = False
        self._users = 0
        self._scope = anyio.CancelScope()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._opened: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self._used = asyncio.Event()
        self.subscribed: set[str] = set()
        """The resources whose updates the host wants."""
        self.began = time.monotonic()
        self.short_lives = 0
        """How many came before it, one soon after the other."""
        self._owner = asyncio.get_running_loop().create_task(self._own(), context=contextvars.Context())

    def when_ended(self, tell: Callable[[], None]) -> None:
        self._owner.add_done_callback(lambda _: tell())

    def follow(self, lost: Lane) -> None:
        """Be to the host what that one was."""
        self.subscribed |= lost.subscribed
        was_short = time.monotonic() - lost.began < LONG_LIFE_S
        self.short_lives = min(lost.short_lives + 1, MOST_DOUBLINGS) if was_short else 0

    @property
    def is_open(self) -> bool:
        return not self._lost.done() and not self._owner.done()

    @property
    def state(self) -> str:
        return "ready" if self._opened.done() else "starting"

    @property
    def is_in_use(self) -> bool:
        """By a call, or by a host that waits for updates."""
        return bool(self._users or self.subscribed)

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Connection]:
        """Raises `ConnectionLost` where it cannot be opened."""
        self._users += 1
        self._was_used = True
        self._used.set()
        try:
            yield await asyncio.shield(self._opened)
        finally:
            self._users -= 1
            self._used.set()

    async def close(self) -> None:
        self.was_closed = True
        self._lose("it was closed")
        await asyncio.wait({self._owner}, timeout=FAREWELL_S)
        self._scope.cancel()  # not `Task.cancel`, which an unwinding session takes for one of its own
        await asyncio.wait({self._owner})

    def _lose(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_result(why)

    async def _own(self) -> None:
        why: object = "it ended"
        try:
            with self._scope:
                async with self._open(self._whose, self._lose) as connection:
                    if (session := self._whose.session) is not None and session.log_level:
                        await set_level(connection, session.log_level)
                    for uri in tuple(self.subscribed):  # an earlier one's, which was lost
                        with suppress(PeerError):
                            await connection.request(
                                "resources/subscribe", {"uri": uri}, ToolContext(INTERNAL), SETTING_TIMEOUT_S
                            )
                    self._opened.set_result(connection)
                    async with anyio.create_task_group() as group:
                        if session is not None:
                            group.start_soon(self._follow_tools, connection, session)
                        await self._until_lost_or_idle()
                        group.cancel_scope.cancel()
        except Exception as error:
            why = self._lost.result() if self._lost.done() else leaf(error)
            log.debug("a connection of one host's own broke: %s", why)
        finally:
            self._lose(str(why))
            if not self._opened.done():
                self._opened.set_exception(ConnectionLost(str(why), unsent=True))
                self._opened.exception()  # whether anybody waits for it or not

    async def _follow_tools(self, connection: Connection, session: HostSession) -> None:
        from woollama.toolservers.watching import follow_tools

        def showed(tools: Sequence[Tool]) -> None:
            at_first = self._lists_at_once and not (self._has_shown and self._was_used)
            self._has_shown = True
            self._showed(session, tools, at_first)

        if self._lists_at_once:
            connection.changes.note("tools")
        await follow_tools(connection, showed)

    async def _until_lost_or_idle(self) -> None:
        while not self._lost.done():
            self._used.clear()
            is_idle = not self.is_in_use
            used = asyncio.create_task(self._used.wait())
            try:
                both: set[asyncio.Future[Any]] = {used, self._lost}
                timeout_s = IDLE_S if is_idle else None
                await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                used.cancel()
            if is_idle and not self._used.is_set():
                return


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def set_level(connection: Connection, level: str) -> None:
    if connection.logs and connection.era == "handshake":
        with suppress(PeerError):
            await connection.request("logging/setLevel", {"level": level}, ToolContext(INTERNAL), SETTING_TIMEOUT_S)


class Lanes:
    """All of one server's. `one` gives the one that a request goes over."""

    def __init__(self, spec: ServerSpec, means: Means, log_line: Callable[[str], None], host_tools: HostTools) -> None:
        self._spec = spec
        self._means = means
        self._host_tools = host_tools
        self._log_line = log_line
        self._of_host: dict[HostSession, Lane] = {}
        self._lent: defaultdict[str, list[Lane]] = defaultdict(list)
        self._places = asyncio.Semaphore(MOST_LENT)
        self._out: set[Lane] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._reopening: set[asyncio.Task[None]] = set()
        self._is_retired = False
        self._made = 0

    def __repr__(self) -> str:
        return f"<Lanes of {len(self._of_host)} hosts, {len(self._out)} lent>"

    @property
    def processes(self) -> Sequence[ServerHealth]:
        """Those that are open, under the names of their processes: `git/host-1`, or `git/call-2` for a lent one."""
        every = (*self._of_host.values(), *self._out, *(lane for idle in self._lent.values() for lane in idle))
        transport = self._spec.transport
        return [ServerHealth(lane.label, transport, lane.state, 0, 1, None) for lane in every if lane.is_open]

    def of(self, session: HostSession) -> Lane | None:
        """The host's own, where it has one open."""
        lane = self._of_host.get(session)
        return lane if lane is not None and lane.is_open else None

    def find_out(self, session: HostSession) -> None:
        """What the server shows hosts like it, if that can be more and is not known: by opening its own."""
        if can_more(session.capabilities, self._spec) and (kind := self._host_tools.seek(session)) is not None:
            lane = self.own(session)
            lane.when_ended(lambda: self._host_tools.give_up(kind) if lane.was_closed else None)

    @asynccontextmanager
    async def one(self, host: Host) -> AsyncIterator[Connection]:
        """A connection for one request. Raises `ConnectionLost` where there is none to be had."""
        if host.session is None:
            async with self._borrowed(host.capabilities) as lane, lane.used() as connection:
                await set_level(connection, host.log_level or QUIETEST)
                yield connection
            return
        async with self.own(host.session).used() as connection:
            yield connection

    def own(self, session: HostSession) -> Lane:
        """The host's own, opened where it has none."""
        if (lane := self.of(session)) is None:
            lost = self._of_host.pop(session, None)
            self._make_room()
            lane = self._new(session.capabilities, session)
            if lost is not None:
                lane.follow(lost)
            lane.when_ended(partial(self._reopen_soon, session, lane))
        else:
            del self._of_host[session]
        self._of_host[session] = lane  # behind all others, as the one that was used last
        return lane

    def _reopen_soon(self, session: HostSession, lost: Lane) -> None:
        """A host that waits for updates makes no calls, so what was lost opens anew without one."""
        if lost.subscribed and self._of_host.get(session) is lost:
            _keep(self._reopening, self._reopen(session, lost))

    async def _reopen(self, session: HostSession, lost: Lane) -> None:
        await asyncio.sleep(REOPEN_AFTER_S * 2**lost.short_lives)
        if self._of_host.get(session) is lost:
            self.own(session)

    def _make_room(self) -> None:
        """Hosts that never say that they leave, one after the other, must not fill the machine with processes."""
        for session in [session for session, lane in self._of_host.items() if not lane.is_open]:
            if not self._of_host[session].subscribed:
                del self._of_host[session]
        unused = [session for session, lane in self._of_host.items() if lane.is_open and not lane.is_in_use]
        for session in unused[: max(0, len(self._of_host) - MOST_OWN + 1)]:
            _keep(self._ending, self._of_host.pop(session).close())

    def retire(self) -> Mapping[HostSession, Collection[str]]:
        """The updates of resources are another's to tell from now on; who has subscribed to which."""
        self._is_retired = True
        return {session: frozenset(lane.subscribed) for session, lane in self._of_host.items() if lane.subscribed}

    async def leave(self, session: HostSession) -> None:
        if (lane := self._of_host.pop(session, None)) is not None:
            await lane.close()

    async def close(self) -> None:
        lanes = [*self._of_host.values(), *self._out, *(lane for idle in self._lent.values() for lane in idle)]
        self._of_host.clear()
        self._lent.clear()
        for task in self._reopening:
            task.cancel()
        await asyncio.gather(*(lane.close() for lane in lanes), *self._ending)

    @asynccontextmanager
    async def _borrowed(self, capabilities: Mapping[str, Json]) -> AsyncIterator[Lane]:
        idle = self._lent[json.dumps(dict(capabilities), sort_keys=True)]
        async with self._places:
            while idle and not idle[-1].is_open:
                idle.pop()
            lane = idle.pop() if idle else self._new(capabilities, None)
            self._out.add(lane)
            try:
                yield lane
            finally:
                self._out.discard(lane)
                if lane.is_open:
                    idle.append(lane)

    def _new(self, capabilities: Mapping[str, Json], session: HostSession | None) -> Lane:
        from woollama.toolservers.connecting import Whose

        self._made += 1
        label = f"{self._spec.label or self._spec.name}/{'host' if session else 'call'}-{self._made}"
        whose = Whose(capabilities, is_own=True, session=session)
        tools = self._host_tools
        lists_at_once = session is not None and (can_more(capabilities, self._spec) or tools.has_shown(session))
        return Lane(label, partial(self._open, label), whose, tools.showed, lists_at_once=lists_at_once)

    @asynccontextmanager
    async def _open(self, label: str, whose: Whose, lose: Callable[[str], None]) -> AsyncIterator[Connection]:
        from woollama.toolservers.connecting import connect

        async def updated(uri: str) -> None:
            if whose.session is not None and not self._is_retired:
                await whose.session.updated(self._spec.name, uri)

        with anyio.fail_after(self._spec.start_timeout_s) as starting:
            async with connect(
                replace(self._spec, label=label),
                self._means,
                era="handshake",
                lose=lose,
                log_line=self._log_line,
                updated=updated,
                whose=whose,
            ) as connection:
                starting.deadline = math.inf
                yield connection
