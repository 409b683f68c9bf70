"""A server that keeps things for whoever speaks to it: each client gets a connection, and a process, of its own.

Who a client is: the one with a named token; else the process, where the door knows it (on the unix socket always); else
whoever comes the same way under the same name. A connection is made at a client's first call. It ends when its process
is gone, when it was idle for `IDLE_S`, or when it is the one that was idle the longest and another client needs its
place. One more connection, that nobody calls through, knows which tools there are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakSet

from woollama.domain.messages import Json
from woollama.domain.peers import Host, HostSession
from woollama.domain.ports import ServerHealth, ToolContext
from woollama.domain.tools import Offline, Tool, ToolOutcome
from woollama.domain.turns import Caller
from woollama.platform import process_lives
from woollama.toolservers.host_tools import HostTools
from woollama.toolservers.lanes import Lanes
from woollama.toolservers.means import Means
from woollama.toolservers.pins import Pins
from woollama.toolservers.server import Server
from woollama.toolservers.spec import ServerSpec
from woollama.toolservers.watched import Updates, Watched

MOST_CLIENTS = 16
IDLE_S = 600.0
LOOK_EVERY_S = 5.0

Client = tuple[str, str | int]


@dataclass(slots=True)
class _Own:
    """A client's own connection; `pid` is the client's process, where it is known."""

    server: Server
    pid: int | None
    used_at: float = field(default_factory=time.monotonic)
    hosts: WeakSet[HostSession] = field(default_factory=WeakSet)
    """Those that have called through it, and not over a connection of a host's own."""

    def showed(self, host_tools: HostTools) -> None:
        for host in self.hosts:
            host_tools.showed(host, self.server.tools, at_first=False)


class PerClient(Server):
    def __init__(
        self,
        spec: ServerSpec,
        *,
        means: Means,
        pins: Pins,
        on_tools: Callable[[], None],
        updates: Updates,
        watched: Watched | None = None,
        tell_host: Callable[[HostSession], None] = lambda session: None,
    ) -> None:
        super().__init__(
            spec, means=means, pins=pins, on_tools=on_tools, updates=updates, watched=watched, tell_host=tell_host
        )
        self._of_clients: dict[Client, _Own] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._made = 0

    @property
    def processes(self) -> Sequence[ServerHealth]:
        own = [each.server for each in self._of_clients.values()]
        named = (replace(each.health, name=each.spec.label) for each in own)
        return (self.health, *named, *(lane for each in own for lane in each.lanes.processes))

    @property
    def all_lanes(self) -> Sequence[Lanes]:
        return (self.lanes, *(own.server.lanes for own in self._of_clients.values()))

    async def close(self) -> None:
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()
        for client in list(self._of_clients):
            self._end(client)
        await asyncio.gather(super().close(), *self._ending)

    async def _call(self, tool: Tool, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        if self._owner is None or self._closing:
            return Offline(self.why_not)
        client = _client_of(context.caller)
        own = self._of_clients.get(client) or self._connected(client, context.caller.pid)
        if own is None:
            return Offline(f"{MOST_CLIENTS} clients are in the middle of a call to it, and there is one of it for each")
        try:
            return await own.server.call(tool, arguments, context)
        finally:
            own.used_at = time.monotonic()
            self._called(own, context.host)

    async def left(self, session: HostSession) -> None:
        for own in self._of_clients.values():
            own.hosts.discard(session)
        await super().left(session)

    def _called(self, own: _Own, host: Host | None) -> None:
        session = host.session if host is not None else None
        if session is None or session in own.hosts or own.server.state != "ready":
            return
        if own.server.lanes.of(session) is None:
            own.hosts.add(session)
            own.showed(self.host_tools)

    def _connected(self, client: Client, pid: int | None) -> _Own | None:
        if len(self._of_clients) >= MOST_CLIENTS:
            idle = [(own.used_at, each) for each, own in self._of_clients.items() if not own.server.is_busy]
            if not idle:
                return None
            self._end(min(idle)[1])
        self._made += 1
        spec = replace(self.spec, label=f"{self.spec.name}/{self._made}")
        server = Server(
            spec,
            means=self._means,
            pins=self._pins,
            on_tools=lambda: own.showed(self.host_tools),
            updates=self._updates,
            host_tools=self.host_tools,
        )
        own = self._of_clients[client] = _Own(server, pid)
        server.start()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name=f"clients of {self.spec.name}")
        return own

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            for client, own in list(self._of_clients.items()):
                gone = own.pid is not None and not process_lives(own.pid)
                if not own.server.is_busy and (gone or now - own.used_at >= IDLE_S):
                    self._end(client)

    def _end(self, client: Client) -> None:
        own = self._of_clients.pop(client)
        task = asyncio.create_task(own.server.close(), name=f"{own.server.spec.label} ends")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _client_of(caller: Caller) -> Client:
    if caller.scope.token is not None:
        return "token", caller.scope.token
    return ("process", caller.pid) if caller.pid is not None else (caller.via, caller.name)
