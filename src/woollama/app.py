"""The composition root: from a configuration to everything wired. The only module that knows all the parts.

`Core` is the router without a server, for programs that embed it; `Daemon` is the core with its HTTP surface, which is
what `server` puts behind the door.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import fields
from fnmatch import fnmatchcase

from starlette.types import ASGIApp

from woollama import __version__
from woollama.config.model import Config, ToolServer
from woollama.config.model import Inferencer as InferencerEntry
from woollama.config.model import Recipe as RecipeEntry
from woollama.core.ask_first import AskFirst
from woollama.core.attempts import Attempts
from woollama.core.catalog import Catalog, Source
from woollama.core.continuations import Continuations
from woollama.core.engine import Engine
from woollama.core.lease import LeasePolicy
from woollama.core.names import Names
from woollama.core.recipes import Recipe, Variable
from woollama.core.runs import Run, Runs
from woollama.domain.errors import RouterError
from woollama.domain.tools import Example, Tool
from woollama.domain.turns import Turn
from woollama.inferencing import Inferencing
from woollama.observe import LoggedToolbox, Scrubber, request_id
from woollama.processes.children import Supervisor
from woollama.processes.environment import private_environment
from woollama.routes import Site, render_error, routes
from woollama.surfaces import openai_chat, openai_responses
from woollama.surfaces.exchange import Exchange, Surroundings
from woollama.surfaces.feed import Feed
from woollama.surfaces.listings import Models, Probes, Tools
from woollama.surfaces.mcp_server.endpoint import McpEndpoint
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.metrics import Gauge, Metrics
from woollama.surfaces.passage import Passage
from woollama.surfaces.patterns import Patterns
from woollama.surfaces.relay import Relayer
from woollama.surfaces.watched import Watched
from woollama.toolservers.fleet import Fleet, ServerSpec

_SECRET_VARIABLE = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_SHORTEST_SECRET = 8
_SECRET_NAME = re.compile("key|token|secret|pass|auth|cookie|credential", re.IGNORECASE)


class Core:
    """The router: names, runs, tools. `warm` and `close` bracket its life; in between `start` plays turns."""

    def __init__(self, config: Config, environ: Mapping[str, str], scrubber: Scrubber) -> None:
        self.config = config
        self.supervisor = Supervisor()
        self.inferencing = Inferencing(config.inferencers, environ, self.supervisor)
        self.tool_servers = Fleet(
            map(_server, config.servers.values()), spawner=self.supervisor, environment=private_environment(environ)
        )
        self.attempts = Attempts({name: _policy(entry) for name, entry in config.inferencers.items()})
        self.catalog = Catalog(self._sources(), aliases=config.aliases, recipes=config.recipes)
        self.names = Names(
            inferencers=config.inferencers,
            recipes={name: _recipe(entry) for name, entry in config.recipes.items()},
            aliases=config.aliases,
            catalog=self.catalog,
            local=[name for name, entry in config.inferencers.items() if entry.local],
        )
        self.toolbox = LoggedToolbox(self.tool_servers)
        engine = Engine(
            self.names,
            self.inferencing.inferencers,
            self.attempts,
            self.toolbox,
            Continuations(),
            self.tool_servers.ready,
        )
        self.runs = Runs(engine.play)
        self._following: asyncio.Task[None] | None = None
        self._scrubber = scrubber
        scrubber.add(*self.inferencing.secrets(), *_secrets_of(config.servers.values()), *_secrets_in(environ))

    def __repr__(self) -> str:
        return f"<Core {self.names!r}, {self.runs!r}, {self.tool_servers!r}>"

    def start(self, turn: Turn, *, background: bool = False) -> AbstractAsyncContextManager[Run]:
        """Play a turn: `async with core.start(turn) as run: async for event in run.watch()`."""
        return self.runs.start(turn, background=background)

    def offer(self) -> Offer:
        """What MCP hosts may use of this core."""
        servers = self.config.servers
        trusted = [name for name, server in servers.items() if server.trusted]

        def exposes(tool: Tool) -> bool:
            globs = servers[tool.server].expose
            return any(fnmatchcase(name, glob) for glob in globs for name in (tool.name, tool.qualified))

        return Offer(
            names=self.names,
            runs=self.runs,
            toolbox=AskFirst(self.toolbox, trusted),
            exposes=exposes,
            on_tools=self.tool_servers.on_tools,
            scrub=self._scrubber.scrub,
        )

    async def warm(self) -> None:
        """Start what takes time, and wait for none of it."""
        await self.supervisor.start()
        self.tool_servers.start()
        self._following = asyncio.create_task(self.catalog.run(), name="catalogue")

    async def close(self) -> None:
        """Runs first, then what they used; each of these even where another cannot be closed."""
        async with AsyncExitStack() as last_first:
            for close in (self.supervisor.close, self.inferencing.close, self.tool_servers.close):
                last_first.push_async_callback(close)
            await self.runs.close()
            if self._following is not None:
                self._following.cancel()
                await asyncio.wait([self._following])

    def _sources(self) -> dict[str, Source]:
        return {
            name: Source(entry.models, self.inferencing.discoverable(name), entry.model_patterns)
            for name, entry in self.config.inferencers.items()
        }


class Daemon:
    """The core behind HTTP. `server` starts, drains and closes it."""

    def __init__(self, core: Core, *, scrubber: Scrubber, heartbeat_s: float) -> None:
        self._core = core
        self._scrubber = scrubber
        extra_bodies = {name: entry.extra_body for name, entry in core.config.inferencers.items()}
        around = Surroundings(
            names=core.names,
            runs=core.runs,
            traits={name: core.inferencing.traits(name) for name in core.config.inferencers},
            relayer=Relayer(
                core.inferencing.forwarder,
                core.attempts,
                extra_bodies,
                heartbeat_s=heartbeat_s,
                scrub=self._scrubbed,
                scrub_text=scrubber.scrub,
            ),
            scrub=self._scrubbed,
            heartbeat_s=heartbeat_s,
        )
        self._mcp = McpEndpoint(core.offer(), max_body_bytes=core.config.limits.body_bytes)
        chat = Exchange("chat", openai_chat, "/chat/completions", around)
        self._feed = Feed(heartbeat_s=heartbeat_s, scrub=scrubber.scrub, request_id=request_id.get)
        metrics = Metrics(self._gauges())
        core.runs.observe(self._feed.see_run)
        core.toolbox.watch(lambda what, fields: self._feed.tell(what, **fields))
        core.toolbox.watch(lambda what, fields: metrics.see_tool(fields) if what == "tool.returned" else None)
        site = Site(
            routes(
                chat=chat,
                responses=Exchange("responses", openai_responses, "/responses", around),
                passage=lambda path: Passage(path, around),
                models=Models(core.catalog, core.names),
                tools=Tools(core.tool_servers, scrubber.scrub),
                metrics=metrics,
                feed=self._feed,
                patterns=Patterns(core.names, chat),
                probes=Probes(self._waits_for, __version__),
                mcp=self._mcp,
            ),
            self.render_error,
        )
        self._app = Watched(site, metrics, self._feed)

    def __repr__(self) -> str:
        return f"<Daemon {self._core!r}>"

    @property
    def app(self) -> ASGIApp:
        return self._app

    async def start(self) -> None:
        self._mcp.start()
        await self._core.warm()

    async def drain(self, timeout_s: float) -> None:
        self._feed.close()
        await asyncio.gather(self._core.runs.drain(timeout_s), self._mcp.drain(timeout_s))

    async def close(self) -> None:
        try:
            await self._mcp.close()
        finally:
            await self._core.close()

    def render_error(self, path: str, error: RouterError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        status, headers, body = render_error(path, error)
        return status, headers, self._scrubber.scrub(body.decode()).encode()

    def _scrubbed(self, error: RouterError) -> RouterError:
        error.message = self._scrubber.scrub(error.message)
        return error

    def _gauges(self) -> list[Gauge]:
        servers = self._core.tool_servers
        up = Gauge(
            "woollama_tool_server_up",
            "Whether a tool server can be called.",
            lambda: [(server.health == "ready", {"server": server.name}) for server in servers.health()],
        )
        runs = Gauge("woollama_runs", "Turns in progress.", lambda: [(len(self._core.runs), {})])
        info = Gauge("woollama_info", "What runs here.", lambda: [(1, {"version": __version__})])
        return [up, runs, info]

    def _waits_for(self) -> list[str]:
        """A tool server that is down is told by its health; it does not make the daemon unready."""
        return [server.name for server in self._core.tool_servers.health() if server.health == "starting"]


@asynccontextmanager
async def open_core(
    config: Config, environ: Mapping[str, str], scrubber: Scrubber | None = None
) -> AsyncIterator[Core]:
    """A core without a server, warmed and closed."""
    core = Core(config, environ, scrubber or Scrubber())
    try:
        await core.warm()
        yield core
    finally:
        await core.close()


def _recipe(entry: RecipeEntry) -> Recipe:
    examples: dict[str, list[Example]] = {}
    for call in entry.examples:
        examples.setdefault(call.call, []).append(Example(call.arguments, call.ask))
    variables = {
        name: Variable(variable.default, variable.choices, variable.description)
        for name, variable in entry.variables.items()
    }
    same = {field.name for field in fields(Recipe)} - {"variables", "examples", "locked"}
    return Recipe(
        **{name: getattr(entry, name) for name in same},
        variables=variables,
        examples=examples,
        locked=frozenset(entry.locked),
    )


def _policy(entry: InferencerEntry) -> LeasePolicy:
    return LeasePolicy(**{field.name: getattr(entry, field.name) for field in fields(LeasePolicy)})


def _server(entry: ToolServer) -> ServerSpec:
    same = {field.name for field in fields(ServerSpec)} & {field.name for field in fields(ToolServer)}
    return ServerSpec(**{name: getattr(entry, name) for name in same})


def _secrets_in(environ: Mapping[str, str]) -> Iterator[str]:
    """Values of variables whose names end like a secret's. Paths are not: many such variables name a file."""
    for name, value in environ.items():
        if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST_SECRET and not value.startswith("/"):
            yield value


def _secrets_of(servers: Iterable[ToolServer]) -> Iterator[str]:
    """Values that their names say are secret: to hide every value would tear ordinary words out of the log."""
    for server in servers:
        for name, value in (*server.headers.items(), *server.env.items()):
            if _SECRET_NAME.search(name):
                yield from (value, value.rpartition(" ")[2])
