"""The composition root: from a configuration to everything wired. The only module that knows all the parts.

`Core` is the router without a server, for programs that embed it; `Daemon` is the core with its HTTP surface, which is
what `server` puts behind the door.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from woollama import __version__
from woollama.compressing import reconfigured, shrinking_of
from woollama.config import Config, Loaded
from woollama.config.secrets import secrets_of, without_secrets
from woollama.core.approvals import Approvals
from woollama.core.approved import Approved
from woollama.core.bounded_results import BoundedResults
from woollama.core.catalog import Catalog
from woollama.core.continuations import Continuations
from woollama.core.names import Names
from woollama.core.prefixes import Prefixes
from woollama.core.remembered import Remembered
from woollama.core.runs import Emit, Run, Runs
from woollama.core.toolboxes import Scoped
from woollama.domain.errors import RouterError
from woollama.domain.turns import Turn
from woollama.found_models import FoundModels
from woollama.generation import Generation, server_spec
from woollama.inferencers.managed.roster import Roster
from woollama.inferencing import Inferencing
from woollama.observe import LoggedToolbox, Scrubber, request_id
from woollama.platform import state_dir
from woollama.processes.children import Supervisor
from woollama.processes.environment import private_environment
from woollama.processes.kin import Kin
from woollama.processes.notify import Notifier
from woollama.processes.table import process_table, server_states
from woollama.reloading import Reloading
from woollama.routes import Site, render_error, routes
from woollama.state import State
from woollama.surfaces import anthropic_messages, openai_chat
from woollama.surfaces.anthropic_messages.count_tokens import CountTokens
from woollama.surfaces.approvals import ApprovalRoutes
from woollama.surfaces.compression import Compression
from woollama.surfaces.exchange import Exchange, Surroundings
from woollama.surfaces.feed import Feed
from woollama.surfaces.listings import Models, Probes, Processes, Tools
from woollama.surfaces.mcp_server.endpoint import McpEndpoint
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.metrics import Metrics, usual_gauges
from woollama.surfaces.ollama import chat as ollama_chat
from woollama.surfaces.ollama import generate as ollama_generate
from woollama.surfaces.ollama.embed import Embed
from woollama.surfaces.ollama.exchange import OllamaExchange
from woollama.surfaces.ollama.listings import Ollama
from woollama.surfaces.openai_conversations import ConversationsApi
from woollama.surfaces.openai_responses.endpoint import Responses
from woollama.surfaces.openapi.endpoint import Described
from woollama.surfaces.passage import Passage
from woollama.surfaces.patterns import Patterns
from woollama.surfaces.relay import Relayer
from woollama.surfaces.reload import Reload
from woollama.surfaces.shrunk_body import ShrunkBodies
from woollama.surfaces.status import Status
from woollama.surfaces.trust import Trust
from woollama.surfaces.watched import Watched, scrubbed
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.pins import Pins

_LASTING = frozenset({"/mcp", "/mcp/", "/mcp/pipe", "/w1/events"})
"""Streams that a client may hold for days; they use nothing that a reload replaces."""


class Core:
    """The router: names, runs, tools. `warm` and `close` bracket its life; in between `start` plays turns.

    `reconfigure` puts another configuration in the place of the first, while turns go on.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        scrubber: Scrubber,
        found: FoundModels | None = None,
    ) -> None:
        self.supervisor = Supervisor()
        self.model_processes = Roster()
        self._kin = Kin(lambda: self.supervisor.pid)
        remembered = Remembered(state_dir(environ) / "approvals.json")
        self.approvals = Approvals(remembered, timeout_s=config.approvals.timeout_s)
        specs, environment = map(server_spec, config.servers.values()), private_environment(environ)
        pins = Pins(state_dir(environ) / "pins", lambda tool: self.generation.confirms(tool), self.approvals.forget)
        self.tool_servers = Fleet(specs, spawner=self.supervisor, environment=environment, pins=pins)
        self.toolbox = LoggedToolbox(
            Scoped(BoundedResults(self.tool_servers, lambda: self.config.limits.tool_result_bytes))
        )
        self._environ = environ
        self._scrubber = scrubber
        self._found = found or FoundModels()
        self._continuations = Continuations()
        self.notifier = Notifier(config.approvals.notify, without_secrets(environ))
        self.prefixes = Prefixes()
        self.shrinking = shrinking_of(config.compression, state_dir(environ))
        self.shrunk = ShrunkBodies(self.shrinking)
        self.state = State(config, environ, self.tool_servers)
        scrubber.add(*self.state.secrets())
        self._generation = self._next(config)
        self.runs = Runs(self._play)
        self.runs.limit(config.limits.runs, config.limits.output_bytes)
        self._following: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Core {self.names!r}, {self.runs!r}, {self.tool_servers!r}>"

    @property
    def generation(self) -> Generation:
        """The configuration at work now. What works with it for a while asks once and keeps it."""
        return self._generation

    @property
    def config(self) -> Config:
        return self._generation.config

    @property
    def names(self) -> Names:
        return self._generation.names

    @property
    def catalog(self) -> Catalog:
        return self._generation.catalog

    def start(self, turn: Turn, *, background: bool = False) -> AbstractAsyncContextManager[Run]:
        """Play a turn: `async with core.start(turn) as run: async for event in run.watch()`."""
        return self.runs.start(turn, background=background)

    def offer(self) -> Offer:
        """What MCP hosts may use of this core, as it is configured now."""
        servers = self.config.servers

        def exposes(server: str, name: str) -> bool:
            globs = servers[server].expose if server in servers else ()
            return any(fnmatchcase(each, glob) for glob in globs for each in (name, f"{server}.{name}"))

        return Offer(
            names=self.names,
            runs=self.runs,
            toolbox=Approved(self.toolbox, self.generation.policy),
            peers=self.tool_servers.peers,
            approvals=self.approvals,
            may_answer=self.may_answer,
            exposes=exposes,
            on_tools=self.tool_servers.on_tools,
            shrinker=self.shrinking,
            scrub=self._scrubber.scrub,
        )

    async def processes(self) -> list[dict[str, Any]]:
        """Every child process and every one that may be started, as `processes.table` has them."""
        states = [*server_states(self.tool_servers.processes()), *self.model_processes.states()]
        return await asyncio.to_thread(lambda: list(process_table(self.supervisor, states)))

    def may_answer(self, scope: Mapping[str, Any]) -> bool:
        """Whether the program that sent a request can be the owner's, and is no child of ours."""
        return self._kin.may_answer(scope["state"].get("peer"), scope.get("client"), scope.get("server"))

    async def warm(self) -> None:
        """Start what takes time, and wait for none of it."""
        await self.supervisor.start()
        self.tool_servers.start()
        self._follow()

    def reconfigure(self, config: Config) -> None:
        """Work with another configuration from now on. What is under way ends on the one that it began on.

        Nothing has changed if this raises.
        """
        generation, before = self._next(config, self._generation), self._generation
        self._generation = generation
        self.approvals.timeout_s, self.notifier.command = config.approvals.timeout_s, config.approvals.notify
        self.runs.limit(config.limits.runs, config.limits.output_bytes)
        self.tool_servers.update(map(server_spec, config.servers.values()))
        self.model_processes.keep_only(config.inferencers)
        reconfigured(self.shrinking, config.compression)
        self.state.reconfigure(config)
        self._follow()
        retiring = asyncio.create_task(before.retire(), name="retiring a configuration")
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Runs first, then what they used; each of these even where another cannot be closed."""
        async with AsyncExitStack() as last_first:
            processes = (self.tool_servers.close, self.model_processes.close, self.notifier.close)
            kept = (self.supervisor.close, self._generation.inferencing.close, *processes, self.state.close)
            for close in kept:
                last_first.push_async_callback(close)
            last_first.callback(self.shrinking.close)
            await self.runs.close()
            if self._following is not None:
                self._following.cancel()
                await asyncio.wait([self._following])
            if self._retiring:
                await asyncio.wait(self._retiring)

    async def _play(self, turn: Turn, emit: Emit) -> None:
        await self._generation.play(turn, emit)

    def _next(self, config: Config, before: Generation | None = None) -> Generation:
        inferencing = Inferencing(config, self._environ, self.supervisor, self.model_processes)
        self._scrubber.add(*inferencing.secrets(), *secrets_of(config, self._environ))
        return Generation(
            config,
            inferencing,
            toolbox=self.toolbox,
            continuations=self._continuations,
            found=self._found,
            approvals=self.approvals,
            shrinker=self.shrinking,
            prefixes=self.prefixes,
            ready=self.tool_servers.ready,
            before=before,
        )

    def _follow(self) -> None:
        if self._following is not None:
            self._following.cancel()
        self._following = asyncio.create_task(self.catalog.run(), name="catalogue")


class Daemon:
    """The core behind HTTP. `server` starts, drains and closes it."""

    def __init__(self, core: Core, *, scrubber: Scrubber, loaded: Loaded, load: Callable[[], Loaded]) -> None:
        """`loaded` is what the core was made of, and `load` loads it anew for a reload."""
        self._core = core
        self._scrubber = scrubber
        self._started_at = time.time()
        heartbeat_s = core.config.door.heartbeat_s
        self._mcp = McpEndpoint(core.offer(), max_body_bytes=core.config.limits.body_bytes)
        self._feed = Feed(heartbeat_s=heartbeat_s, scrub=scrubber.scrub, request_id=request_id.get)
        self._metrics = Metrics(usual_gauges(core.tool_servers, core.runs, __version__), scrubber.scrub)
        core.runs.observe(self._feed.see_run)
        core.approvals.observe(self._feed.see_ask)
        core.approvals.observe(core.notifier.see)
        core.toolbox.watch(lambda what, fields: self._feed.tell(what, **fields))
        core.model_processes.watch(lambda what, fields: self._feed.tell(what, **fields))
        core.toolbox.watch(lambda what, fields: self._metrics.see_tool(fields) if what == "tool.returned" else None)
        self._reloading = Reloading(loaded, load, self._reconfigure, tell=self._feed.tell)
        self._site = self._new_site()
        self._app = Watched(self._serve, self._metrics, self._feed, scrubber.scrub)

    def __repr__(self) -> str:
        return f"<Daemon {self._core!r}>"

    @property
    def app(self) -> ASGIApp:
        return self._app

    async def start(self) -> None:
        self._mcp.start()
        await self._core.warm()
        self._core.state.start(lambda response_id: self._responses.cancel_run(response_id))
        self._reloading.start()

    def on_reconfigured(self, tell: Callable[[Config], None]) -> None:
        self._reloading.listeners.append(tell)

    async def reload(self) -> None:
        """Work with what the configuration files say now."""
        await self._reloading.reload("owner")

    async def drain(self, timeout_s: float) -> None:
        self._feed.close()
        await asyncio.gather(self._core.runs.drain(timeout_s), self._mcp.drain(timeout_s))

    async def close(self) -> None:
        await self._reloading.close()
        try:
            await self._mcp.close()
        finally:
            await self._core.close()

    def render_error(self, path: str, error: RouterError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        status, headers, body = render_error(path, error)
        return status, scrubbed(headers, self._scrubber.scrub), self._scrubber.scrub(body.decode()).encode()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        site = self._site
        if scope["path"] in _LASTING:
            await site(scope, receive, send)
            return
        with self._core.generation.used():
            await site(scope, receive, send)

    def _reconfigure(self, config: Config) -> None:
        """As `Core.reconfigure`, for everything that clients see, too."""
        self._core.reconfigure(config)
        self._site = self._new_site()
        self._feed.heartbeat_s = config.door.heartbeat_s
        self._mcp.renew(self._core.offer())

    def _new_site(self) -> Site:
        """All routes over the configuration at work."""
        core = self._core
        config, names, inferencing = core.config, core.names, core.generation.inferencing
        around = Surroundings(
            names=names,
            runs=core.runs,
            traits={name: inferencing.traits(name) for name in config.inferencers},
            relayer=Relayer(
                inferencing.forwarder,
                core.generation.attempts,
                {name: entry.extra_body for name, entry in config.inferencers.items()},
                places=core.runs.places,
                prices=core.generation.prices,
                heartbeat_s=config.door.heartbeat_s,
                scrub=self._scrubber.scrub_error,
                scrub_text=self._scrubber.scrub,
            ),
            scrub=self._scrubber.scrub_error,
            shrunk=core.shrunk,
            heartbeat_s=config.door.heartbeat_s,
        )
        contexts = {name: entry.context_tokens for name, entry in config.inferencers.items()}
        chat = Exchange("chat", openai_chat, "/chat/completions", around)
        tools = Tools(core.tool_servers, self._scrubber.scrub, names)
        probes = Probes(core.tool_servers.starting, __version__)
        status = Status(
            probes=probes,
            catalog=core.catalog,
            attempts=core.generation.attempts,
            runs=core.runs,
            tools=tools,
            recipes=len(config.recipes),
            aliases=len(config.aliases),
            configuration=self._reloading.as_json,
            started_at=self._started_at,
            scrub=self._scrubber.scrub,
        )
        conversations, collect = core.state.conversations, core.approvals.collect
        counting, forwarder = core.generation.counting, inferencing.forwarder
        self._responses = Responses(around, conversations, counting, forwarder, core.tool_servers.tools_of, collect)
        return Site(
            routes(
                chat=chat,
                messages=Exchange("anthropic", anthropic_messages, "/messages", around),
                count_tokens=CountTokens(around, core.generation.counting),
                ollama=Ollama(core.catalog, around, inferencing.forwarder, contexts, __version__),
                ollama_chat=OllamaExchange("ollama", ollama_chat, "/api/chat", around),
                ollama_generate=OllamaExchange("ollama", ollama_generate, "/api/generate", around),
                ollama_embed=lambda path: Embed(path, around),
                responses=self._responses,
                conversations=ConversationsApi(conversations),
                passage=lambda path, capability: Passage(path, capability, around),
                models=Models(core.catalog, names),
                tools=tools,
                processes=Processes(core.processes, self._scrubber.scrub),
                metrics=self._metrics,
                feed=self._feed,
                patterns=Patterns(names, chat),
                approvals=ApprovalRoutes(core.approvals, may_answer=core.may_answer, scrub=self._scrubber.scrub),
                trust=Trust(core.tool_servers, core.may_answer),
                probes=probes,
                status=status,
                mcp=self._mcp,
                reload=Reload(self._reloading.as_json, self._reload_for_owner, core.may_answer),
                described=Described(__version__),
                compression=Compression(core.shrinking.statistics, core.prefixes.as_json),
            ),
            self.render_error,
        )

    async def _reload_for_owner(self) -> dict[str, Any]:
        return (await self._reloading.reload("owner")).as_json()


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
