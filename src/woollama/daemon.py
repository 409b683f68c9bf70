"""The core with its HTTP surface, which is what `server` puts behind the door."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from woollama import __version__
from woollama.app import Core
from woollama.config import Config, Loaded
from woollama.domain.errors import RouterError
from woollama.observe import Scrubber, request_id
from woollama.reloading import Reloading
from woollama.routes import Site, render_error, routes
from woollama.surfaces import anthropic_messages, openai_chat
from woollama.surfaces.anthropic_messages.count_tokens import CountTokens
from woollama.surfaces.approvals import ApprovalRoutes
from woollama.surfaces.compression import Compression
from woollama.surfaces.exchange import Exchange, Surroundings
from woollama.surfaces.feed import Feed
from woollama.surfaces.listings import Models, Probes, Processes, Tools
from woollama.surfaces.mcp_server.endpoint import McpEndpoint
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
from woollama.surfaces.status import Status
from woollama.surfaces.trust import Trust
from woollama.surfaces.turn_log import TurnLog
from woollama.surfaces.watched import Watched, scrubbed

_LASTING = frozenset({"/mcp", "/mcp/", "/mcp/pipe", "/w1/events"})
"""Streams that a client may hold for days; they use nothing that a reload replaces."""

WARM_WITHIN_S = 60.0
_log = logging.getLogger("woollama.tools")


class Daemon:
    """The core behind HTTP. `server` starts, drains and closes it."""

    def __init__(self, core: Core, *, scrubber: Scrubber, loaded: Loaded, load: Callable[[], Loaded]) -> None:
        """`loaded` is what the core was made of, and `load` loads it anew for a reload."""
        self._core = core
        self._scrubber = scrubber
        self._started_at = time.time()
        heartbeat_s = core.config.door.heartbeat_s
        self._mcp = McpEndpoint(core.offer())
        self._feed = Feed(heartbeat_s=heartbeat_s, scrub=scrubber.scrub, request_id=request_id.get)
        self._metrics = Metrics(usual_gauges(core.tool_servers, core.runs, __version__), scrubber.scrub)
        core.runs.observe(self._feed.see_run)
        core.runs.observe(TurnLog(self._metrics).see)
        core.approvals.observe(self._feed.see_ask)
        core.approvals.observe(core.notifier.see)
        core.toolbox.watch(lambda what, fields: self._feed.tell(what, **fields))
        core.model_processes.watch(lambda what, fields: self._feed.tell(what, **fields))
        core.toolbox.watch(lambda what, fields: self._metrics.see_tool(fields) if what == "tool.returned" else None)
        core.sampling.observers.append(self._metrics.see_sampling)
        self._reloading = Reloading(loaded, load, self._reconfigure, tell=self._feed.tell)
        self._site = self._new_site()
        self._telling: asyncio.Task[None] | None = None
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
        self._telling = asyncio.create_task(self._tell_costs(), name="what tools cost")

    def on_reconfigured(self, tell: Callable[[Config], None]) -> None:
        self._reloading.listeners.append(tell)

    async def reload(self) -> None:
        """Work with what the configuration files say now."""
        await self._reloading.reload("owner")

    async def drain(self, timeout_s: float) -> None:
        self._feed.close()
        await asyncio.gather(self._core.runs.drain(timeout_s), self._mcp.drain(timeout_s))

    async def close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
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

    async def _tell_costs(self) -> None:
        """What nobody sees on a bill by itself, once, when the tool servers have started."""
        await self._core.tool_servers.wait_warm(WARM_WITHIN_S)
        dearest = sorted((cost["tokens"], cost["name"]) for cost in self._tools.costs())[::-1]
        if dearest:
            told = ", ".join(f"{name} {tokens}" for tokens, name in dearest)
            _log.info("tokens that tools take in each round, about: %s", told)

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
        tools = self._tools = Tools(core.tool_servers, self._scrubber.scrub, names)
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
        conversations.sessions = inferencing.sessions
        counting, forwarder = core.generation.counting, inferencing.forwarder
        self._responses = Responses(around, conversations, counting, forwarder, core.tools_of, collect)
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
