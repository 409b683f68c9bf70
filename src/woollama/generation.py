"""One configuration at work. A reload makes the next generation aside and swaps it in whole.

What must outlive a reload (gates and cooldowns, the models that were found, tool servers, runs) is not made here: it
is handed on by name. What was begun on a generation ends on it; it is closed when nothing uses it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from fnmatch import fnmatchcase

from woollama.config.model import Config, ToolServer
from woollama.config.model import Inferencer as InferencerEntry
from woollama.config.model import Price as PriceEntry
from woollama.config.model import Recipe as RecipeEntry
from woollama.core.approvals import Approvals
from woollama.core.attempts import Attempts
from woollama.core.catalog import Catalog, Source
from woollama.core.continuations import Continuations
from woollama.core.counting import Counting
from woollama.core.engine import Engine
from woollama.core.lease import LeasePolicy
from woollama.core.names import Names
from woollama.core.plan import Absent
from woollama.core.policy import Policy, ServerPolicy
from woollama.core.prefixes import Prefixes
from woollama.core.prices import Price, Prices
from woollama.core.recipes import Recipe, Variable
from woollama.core.runs import Emit
from woollama.core.sampling import SamplingRules
from woollama.core.truncation import play_fitted
from woollama.domain.capabilities import Declared
from woollama.domain.ports import Shrinker, Toolbox
from woollama.domain.tools import Example, Tool
from woollama.domain.turns import Turn
from woollama.domain.visits import RemoteServers
from woollama.found_models import FoundModels
from woollama.inferencing import Inferencing
from woollama.toolservers.logins import OwnClient
from woollama.toolservers.spec import ServerSpec


class Generation:
    def __init__(
        self,
        config: Config,
        inferencing: Inferencing,
        *,
        toolbox: Toolbox,
        continuations: Continuations,
        found: FoundModels,
        approvals: Approvals,
        shrinker: Shrinker,
        prefixes: Prefixes,
        ready: Callable[[Sequence[str]], Awaitable[None]],
        remote: RemoteServers,
        absent: Absent,
        before: Generation | None = None,
    ) -> None:
        """`before` is the generation that this one takes over from; `ready` and `absent` as the engine takes them."""
        self.config = config
        self.inferencing = inferencing
        policies = {name: _policy(entry) for name, entry in config.inferencers.items()}
        self.attempts: Attempts = Attempts(policies, after=before.attempts if before else None, processes=inferencing)
        self.catalog = Catalog(
            self._sources(found),
            aliases=config.aliases,
            recipes=config.recipes,
            on_found=lambda name, models: found.note(name, _where(config.inferencers[name]), models),
        )
        self.names = Names(
            inferencers=config.inferencers,
            recipes={name: _recipe(entry, config) for name, entry in config.recipes.items()},
            aliases=config.aliases,
            catalog=self.catalog,
            local=[name for name, entry in config.inferencers.items() if entry.local],
            capabilities={name: _capabilities(entry) for name, entry in config.inferencers.items()},
        )
        self.policy = _tool_policy(config)
        self.sampling_rules = SamplingRules(self.names.recipes.get(config.mcp.sampling_recipe), self.policy)
        self.prices = Prices({glob: _price(entry) for glob, entry in config.prices.items()})
        self._engine = Engine(
            self.names,
            inferencing.inferencers,
            self.attempts,
            toolbox,
            continuations,
            ready,
            approvals=approvals,
            policy=self.policy,
            prices=self.prices,
            shrinker=shrinker,
            prefixes=prefixes,
            remote=remote,
            absent=absent,
        )
        self.counting = Counting(
            self.names,
            inferencing.inferencers,
            toolbox,
            continuations,
            ready,
            policy=self.policy,
            shrinker=shrinker,
        )
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    def __repr__(self) -> str:
        return f"<Generation {self.config!r}, used by {self._users}>"

    def confirms(self, tool: Tool) -> bool:
        """Whether a person is asked about a tool first, by a rule of the owner's or in any recipe."""
        in_recipes = (glob for recipe in self.config.recipes.values() for glob in recipe.confirm)
        return self.policy.confirms(tool) or any(fnmatchcase(tool.qualified, glob) for glob in in_recipes)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Nothing of this generation is closed in this block."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def play(self, turn: Turn, emit: Emit) -> None:
        with self.used():
            await play_fitted(self._engine.play, turn, emit)

    async def retire(self) -> None:
        """Close it as soon as nothing uses it."""
        await self._unused.wait()
        await self.inferencing.close()

    def _sources(self, found: FoundModels) -> Mapping[str, Source]:
        return {
            name: Source(
                entry.models,
                self.inferencing.discoverable(name),
                entry.model_patterns,
                found.of(name, _where(entry)) if entry.discover else (),
            )
            for name, entry in self.config.inferencers.items()
        }


def _where(entry: InferencerEntry) -> str:
    return f"{entry.api} {entry.base_url}".strip()


def _recipe(entry: RecipeEntry, config: Config) -> Recipe:
    examples: dict[str, list[Example]] = {}
    for call in entry.examples:
        examples.setdefault(call.call, []).append(Example(call.arguments, call.ask))
    variables = {
        name: Variable(variable.default, variable.choices, variable.description)
        for name, variable in entry.variables.items()
    }
    budget_tokens = entry.tools_budget_tokens
    if "tools_budget_tokens" not in entry.written:
        budget_tokens = config.mcp.tools_budget_tokens
    same = {field.name for field in fields(Recipe)} - {"variables", "examples", "locked", "tools_budget_tokens"}
    return Recipe(
        **{name: getattr(entry, name) for name in same},
        variables=variables,
        examples=examples,
        locked=frozenset(entry.locked),
        tools_budget_tokens=budget_tokens,
    )


def _capabilities(entry: InferencerEntry) -> Declared:
    """As declared; emulated, every chat model has tools."""
    if entry.tool_mode == "native":
        return entry.capabilities
    return {name: globs for name, globs in entry.capabilities.items() if name != "tools"}


def _tool_policy(config: Config) -> Policy:
    servers = {
        name: ServerPolicy(server.trusted, server.confirm, server.deny, (*server.auto_approve, *server.always_allow))
        for name, server in config.servers.items()
    }
    return Policy(config.approvals.confirm, config.approvals.deny, servers)


def _price(entry: PriceEntry) -> Price:
    return Price(**{field.name: getattr(entry, field.name) for field in fields(Price)})


def _policy(entry: InferencerEntry) -> LeasePolicy:
    return LeasePolicy(**{field.name: getattr(entry, field.name) for field in fields(LeasePolicy)})


def server_specs(config: Config) -> Iterator[ServerSpec]:
    """The tool servers as the fleet takes them."""
    same = {field.name for field in fields(ServerSpec)} & {field.name for field in fields(ToolServer)}
    samples = bool(config.mcp.sampling_recipe)
    for entry in config.servers.values():
        yield ServerSpec(**{name: getattr(entry, name) for name in same}, client=own_client(entry), samples=samples)


def own_client(server: ToolServer) -> OwnClient:
    own = server.oauth
    return OwnClient(own.client_id, own.client_secret, own.callback_port) if own else OwnClient()
