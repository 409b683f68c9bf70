"""The composition root: from a configuration to the router, wired. `daemon.py` puts the HTTP surface in front of it.

Only these two know all the parts. `Core` is what programs that embed the router use.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from secrets import token_hex
from typing import Any

from woollama.compressing import reconfigured, shrinking_of
from woollama.config import Config
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
from woollama.core.sampling import Sampling
from woollama.core.toolboxes import Scoped
from woollama.domain.peers import HostSession
from woollama.domain.ports import Toolbox
from woollama.domain.tools import Function, Tool
from woollama.domain.turns import Turn
from woollama.found_models import FoundModels
from woollama.generation import Generation, server_specs
from woollama.inferencers.managed.roster import Roster
from woollama.inferencing import Inferencing
from woollama.observe import LoggedToolbox, Scrubber
from woollama.platform import config_dir, state_dir
from woollama.processes.children import Supervisor
from woollama.processes.environment import private_environment, within, worker_environment
from woollama.processes.kin import Kin
from woollama.processes.notify import Notifier
from woollama.processes.table import process_table, server_states
from woollama.state import State
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.shrunk_body import ShrunkBodies
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.logins import Logins
from woollama.toolservers.pins import Pins
from woollama.toolservers.visiting import Visiting


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
        self._scrubber = scrubber
        self.instance = token_hex(16)
        self.supervisor = Supervisor()
        self.model_processes = Roster()
        self._kin = Kin(lambda: self.supervisor.pid)
        remembered = Remembered(state_dir(environ) / "approvals.json")
        self.approvals = Approvals(remembered, timeout_s=config.approvals.timeout_s)
        specs, environment = server_specs(config), private_environment(environ)
        environment |= within(environ, str(config_dir(environ)))
        pins = Pins(state_dir(environ) / "pins", lambda tool: self.generation.confirms(tool), self.approvals.forget)
        self.sampling = Sampling(
            lambda: self.runs, self.approvals, lambda: self.generation.sampling_rules, self._scrubber.scrub
        )
        self.tool_servers = Fleet(
            specs,
            spawner=self.supervisor,
            environment=environment,
            pins=pins,
            sampler=self.sampling,
            instance=self.instance,
            logins=Logins(state_dir(environ) / "logins", self._scrubber.add),
        )
        self.toolbox = LoggedToolbox(self._bounded(self.tool_servers))
        self._environ = environ
        self._found = found or FoundModels()
        self._continuations = Continuations()
        self.notifier = Notifier(config.approvals.notify, without_secrets(environ))
        self.shrinking = shrinking_of(
            config.compression, state_dir(environ), self.supervisor, worker_environment(environ)
        )
        self.prefixes = Prefixes(on_miss=self.shrinking.missed)
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
            instance=self.instance,
            absent=self.tool_servers.why_not,
            functions_of=self._functions_of,
        )

    def _functions_of(self, session: HostSession) -> Sequence[Function]:
        policy = self.generation.policy
        functions = self.tool_servers.functions_of(session)
        return [each for each in functions if each.tool is not None and not policy.denies(each.tool)]

    async def tools_of(self, servers: Sequence[str]) -> Sequence[Tool]:
        """What requests may bring in of these tool servers: nothing that the owner denies or that is in quarantine."""
        tools = await self.tool_servers.tools_of(servers)
        return [each for each in tools if each.pin != "quarantined" and not self.generation.policy.denies(each)]

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
        self.tool_servers.update(server_specs(config))
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
            last_first.push_async_callback(self.shrinking.close)
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
            remote=self._visiting(config),
            absent=self.tool_servers.why_not,
            before=before,
        )

    def _bounded(self, toolbox: Toolbox) -> Toolbox:
        return Scoped(BoundedResults(toolbox, lambda: self.config.limits.tool_result_bytes))

    def _visiting(self, config: Config) -> Visiting:
        return Visiting(
            config.mcp.allow_remote_servers,
            config.servers,
            lambda specs, taken: Fleet(specs, spawner=self.supervisor, environment={}, taken=taken),
            lambda toolbox: self.toolbox.around(self._bounded(toolbox)),
            self._scrubber.hiding,
            self._scrubber.scrub,
        )

    def _follow(self) -> None:
        if self._following is not None:
            self._following.cancel()
        self._following = asyncio.create_task(self.catalog.run(), name="catalogue")


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
