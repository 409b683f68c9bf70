"""All tool servers together: one toolbox over every tool, and how each server is."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

from woollama.domain.errors import BadRequest, Conflict, UnknownServer
from woollama.domain.messages import Json
from woollama.domain.peers import Host, HostSession
from woollama.domain.ports import ChangedTool, Sampler, ServerHealth, Spawner, ToolContext
from woollama.domain.tools import Denied, Example, Function, Invalid, Offline, Tool, ToolOutcome
from woollama.toolservers.logins import Logins
from woollama.toolservers.means import Means
from woollama.toolservers.names import Key, WireNames
from woollama.toolservers.offered import offered, own_names
from woollama.toolservers.peers import ServersAsPeers
from woollama.toolservers.per_client import PerClient
from woollama.toolservers.pins import Pins
from woollama.toolservers.server import Server
from woollama.toolservers.spec import ServerSpec
from woollama.toolservers.watched import Updates, Watched

__all__ = ["Fleet", "ServerSpec"]

READY_WITHIN_S = 10.0
DRAIN_S = 60.0
"""How long the calls that a server was given before it was taken out may go on."""


class Fleet:
    """Answers from memory; a server that is slow, broken or down delays neither its neighbours nor a listing.

    `environment` is what every stdio server gets, below its own `env`.
    """

    def __init__(
        self,
        specs: Iterable[ServerSpec],
        *,
        spawner: Spawner,
        environment: Mapping[str, str],
        pins: Pins | None = None,
        sampler: Sampler | None = None,
        logins: Logins | None = None,
        instance: str = "",
        taken: Collection[str] = (),
    ) -> None:
        """`taken` are wire names that none of its functions may have."""
        self._names = WireNames(taken)
        self._known: dict[Key, Function] = {}
        self._of_hosts: dict[Key, Function] = {}
        self._functions: tuple[Function, ...] = ()
        self._listeners: list[Callable[[], None]] = []
        self._updates = Updates()
        self._watched: defaultdict[str, Watched] = defaultdict(Watched)
        """By name, so that whoever has subscribed stays so over all entries that a server has."""
        self._means = Means(spawner, environment, sampler, logins, instance)
        self._pins = pins or Pins()
        self._servers = {spec.name: self._server(spec) for spec in specs}
        self._leaving: dict[asyncio.Task[None], Server] = {}
        self.peers = ServersAsPeers(lambda: self._servers, self._updates)

    def __repr__(self) -> str:
        states = Counter(server.state for server in self._servers.values())
        counts = [f"{states['ready']} up"]
        counts += [f"{states[state]} {state}" for state in ("starting", "disabled") if states[state]]
        down = [f"{name!r} ({server.last_error})" for name, server in self._servers.items() if server.state == "down"]
        counts += [f"{len(down)} down: {', '.join(down)}"] if down else []
        return f"<Fleet {', '.join(counts)}>"

    def start(self) -> None:
        """Begins to start every server, and returns at once."""
        for server in self._servers.values():
            server.start()

    def update(self, specs: Iterable[ServerSpec]) -> None:
        """From now on these servers. One whose spec is the same goes on as it is; one that has changed is started anew.

        A server that leaves ends once the calls that it was given are over, or after `DRAIN_S`.
        """
        before, self._servers = self._servers, {}
        for spec in specs:
            old = before.get(spec.name)
            if old is not None and old.spec == spec:
                self._servers[spec.name] = before.pop(spec.name)
                continue
            server = self._servers[spec.name] = self._server(spec)
            if old is not None:
                server.expect(old.tools)
            server.start()
            if old is not None:
                self.peers.follow(spec.name, old.retire())
        for server in before.values():
            task = asyncio.create_task(server.leave(DRAIN_S), name=f"tool server {server.spec.name} leaves")
            self._leaving[task] = server
            task.add_done_callback(self._leaving.pop)
        self._judge()

    async def close(self) -> None:
        """Ends every connection and every process at once."""
        self.peers.close()
        await asyncio.gather(*(server.close() for server in (*self._servers.values(), *self._leaving.values())))
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _server(self, spec: ServerSpec) -> Server:
        kind = PerClient if spec.sharing == "per-client" else Server
        return kind(
            spec,
            means=self._means,
            pins=self._pins,
            on_tools=self._renew,
            updates=self._updates,
            watched=self._watched[spec.name],
            tell_host=lambda session: self.peers.tools_changed(session),
        )

    async def wait_warm(self, timeout_s: float) -> bool:
        """Waits until no server is starting any more, up or not. False if one still is after that time."""
        try:
            async with asyncio.timeout(timeout_s):
                for server in self._servers.values():
                    await server.settled()
        except TimeoutError:
            return False
        return True

    async def ready(self, globs: Sequence[str]) -> None:
        """Waits a moment for those servers that are still starting and whose tools `globs` (`server.tool`) can mean."""
        meant = [
            server
            for name, server in self._servers.items()
            if any(fnmatchcase(name, glob.partition(".")[0]) for glob in globs)
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_WITHIN_S):
                for server in meant:
                    await server.settled()

    async def tools_of(self, names: Sequence[str]) -> Sequence[Tool]:
        """The tools of these servers, once they have started, or have had a moment to."""
        await self.ready([f"{name}.*" for name in names])
        return [tool for tool in self.tools() if tool.server in names]

    def on_tools(self, tell: Callable[[], None]) -> None:
        """`tell` is called whenever the tools of a server, or what else it has, have been listed anew."""
        self._listeners.append(tell)

    def functions(self) -> Sequence[Function]:
        """Without those in quarantine. The same object until something is another."""
        return self._functions

    def functions_of(self, session: HostSession) -> Sequence[Function]:
        """Those that a host has beside these, without those in quarantine."""
        return tuple(each for each in self._beside(session) if each.tool is not None and each.tool.pin != "quarantined")

    def tools(self) -> Sequence[Tool]:
        return tuple(tool for server in self._servers.values() for tool in server.tools)

    def starting(self) -> list[str]:
        """Whom a daemon that is not ready waits for. A server that is down is told by its health, not waited for."""
        return [name for name, server in self._servers.items() if server.state == "starting"]

    def health(self) -> Sequence[ServerHealth]:
        return tuple(server.health for server in self._servers.values())

    def processes(self) -> Sequence[ServerHealth]:
        """As `health`, but a server of which clients have one each is there once for each of them, too."""
        return tuple(process for server in self._servers.values() for process in server.processes)

    def resolve(self, name: str) -> Function | None:
        """The tool that is meant by its wire name, by `server.tool`, `server__tool` or `mcp__server__tool`."""
        key = self._names.resolve(name)
        return self._known.get(key) if key else None

    def why_not(self, name: str) -> tuple[Tool, ToolOutcome] | None:
        """What is known of a tool that is not offered, and why it is not: it is in quarantine, or its server is not up
        and has never said what it has. Of a server that is up, what it does not list is not there."""
        key = self._names.resolve(name)
        function = (self._known.get(key) or self._of_hosts.get(key)) if key else None
        if function is not None and function.tool is not None:
            return (function.tool, _kept_away(function.tool)) if function.tool.pin == "quarantined" else None
        for server, tool in _spelled(name, self._servers):
            if (meant := self._servers[server]).state != "ready":
                return Tool(server, tool, {}), Offline(meant.why_not)
        return None

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        """Never raises for what a server does. A server that is still starting is waited for."""
        tool = function.tool
        known = self._known_for(context.host, (tool.server, tool.name)) if tool is not None else None
        if tool is None or known is None:
            return Invalid((f"there is no tool {function.name!r}",))
        if (now := known.tool) is not None and now.pin == "quarantined":
            return _kept_away(now)
        server = self._servers[tool.server]
        if tool.origin != server.spec.origin:  # whoever said yes has said it to the one that was there before
            return _moved(tool)
        return await server.call(tool, arguments, context)

    def changes(self, server: str) -> Sequence[ChangedTool]:
        """The tools of a server that are not what they were when first seen. Raises `UnknownServer`."""
        found = self._server_of(server)
        return tuple(self._pins.changes(found.spec, (*found.tools, *found.host_tools.every)))

    def trust(self, server: str, digests: Mapping[str, str]) -> Sequence[str]:
        """Accept tools, by name, as the digest says that they were shown; the names of those that were accepted.

        Raises `UnknownServer`, and `Conflict` where one is by now another thing than what was shown.
        """
        found = self._server_of(server)
        accepted = []
        for tool in (*found.tools, *found.host_tools.every):
            if (shown := digests.get(tool.name)) is None:
                continue
            if tool.digest != shown:
                raise Conflict(f"{tool.qualified} has changed again: look at it anew", code="tool_changed")
            accepted.append(tool)
        if missing := sorted(set(digests) - {tool.name for tool in accepted}):
            raise BadRequest(f"{server!r} has no tool {missing[0]!r}", param="tools")
        self._pins.accept(found.spec, accepted)
        self._judge()
        return [tool.name for tool in accepted]

    def _judge(self) -> None:
        """Look at all pins anew: they, or what the owner wants to be asked about, may be another thing now."""
        for each in self._servers.values():
            each.judge()
        self._renew()

    def _server_of(self, name: str) -> Server:
        if name not in self._servers:
            raise UnknownServer(f"there is no tool server {name!r}", code="server_not_found")
        return self._servers[name]

    def _renew(self) -> None:
        self._known = {
            (tool.server, tool.name): self._function(server.spec, tool, self._known)
            for server in self._servers.values()
            for tool in server.tools
        }
        known = self._known.values()
        self._functions = tuple(each for each in known if each.tool is None or each.tool.pin != "quarantined")
        for tell in self._listeners:
            tell()

    def _known_for(self, host: Host | None, key: Key) -> Function | None:
        if (known := self._known.get(key)) is not None or host is None or host.session is None:
            return known
        return next((each for each in self._beside(host.session) if each.tool and key == _key(each.tool)), None)

    def _beside(self, session: HostSession) -> list[Function]:
        """What a host has beside everybody's, those in quarantine too."""
        found = []
        for server in self._servers.values():
            for tool in server.host_tools.of(session):
                self._of_hosts[_key(tool)] = function = self._function(server.spec, tool, self._of_hosts)
                found.append(function)
        return found

    def _function(self, spec: ServerSpec, tool: Tool, known_before: Mapping[Key, Function]) -> Function:
        known = known_before.get(_key(tool))
        if known is not None and known.tool == tool:
            return known
        return Function(
            name=self._names.name(tool, spec.name if spec.prefix is None else spec.prefix),
            description=tool.description,
            parameters=offered(tool.input_schema),
            tool=tool,
            renamed=own_names(tool.input_schema),
            examples=tuple(_examples(tool.input_schema.get("examples"))),
        )


def _key(tool: Tool) -> Key:
    return tool.server, tool.name


def _kept_away(tool: Tool) -> ToolOutcome:
    seen = f"{tool.qualified} is not what it was when it was first seen, and is kept away"
    return Denied("its pin", f"{seen}: `woollama trust {tool.server}` shows the difference and can accept it.")


def _moved(tool: Tool) -> ToolOutcome:
    why = f"{tool.qualified} has another one than when it was offered; what was allowed there does not count."
    return Denied("its address", why)


def _spelled(name: str, servers: Mapping[str, Server]) -> Iterable[tuple[str, str]]:
    """As which server's tool a name can be read, the longest name of a server first."""
    for server in sorted(servers, key=len, reverse=True):
        prefix = servers[server].others.prefix
        starts = (f"{server}.", f"{server}__", f"mcp__{server}__", *((f"{prefix}__",) if prefix else ()))
        if (start := next(filter(name.startswith, starts), None)) is not None:
            yield server, name.removeprefix(start)


def _examples(found: Json) -> Iterable[Example]:
    """Examples of whole argument objects, plain or as `{"ask": …, "arguments": {…}}`."""
    for example in found if isinstance(found, list) else ():
        match example:
            case {"ask": str(ask), "arguments": dict(arguments)}:
                yield Example(arguments, ask)
            case dict():
                yield Example(example)
