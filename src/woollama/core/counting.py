"""How large a turn's prompt would be: asked of the target where it can count, else estimated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from woollama.core.continuations import Continuations
from woollama.core.estimates import estimated_tokens
from woollama.core.names import Names
from woollama.core.plan import plan_of
from woollama.core.policy import NO_POLICY, Policy
from woollama.domain.errors import RouterError
from woollama.domain.ports import Inferencer, Shrinker, Toolbox
from woollama.domain.turns import Call, Target, Turn


@runtime_checkable
class Counter(Protocol):
    """An inferencer that can tell the size of a prompt without answering it. Raises `RouterError`."""

    async def count_tokens(self, call: Call) -> int: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """`estimated` says why nobody was asked, or why nobody answered; `None`: the target itself has counted."""

    input_tokens: int
    target: Target
    estimated: str | None = None


class Counting:
    def __init__(
        self,
        names: Names,
        inferencers: Mapping[str, Inferencer],
        toolbox: Toolbox,
        continuations: Continuations,
        ready: Callable[[Sequence[str]], Awaitable[None]] | None = None,
        *,
        policy: Policy = NO_POLICY,
        shrinker: Shrinker | None = None,
    ) -> None:
        """What the engine has, because what is counted is what it would send."""
        self._names = names
        self._inferencers = inferencers
        self._toolbox = toolbox
        self._continuations = continuations
        self._ready = ready
        self._policy = policy
        self._shrinker = shrinker

    def __repr__(self) -> str:
        return f"<Counting over {len(self._inferencers)} inferencers>"

    async def count(self, turn: Turn) -> Counted:
        """The first round's input at the first target. Raises `RouterError` for a turn that could not be played."""
        route = self._names.resolve(turn.model, turn.caller.scope, turn.recipe)
        if self._ready is not None and route.recipe is not None and route.recipe.tools:
            await self._ready(route.recipe.tools)
        plan = plan_of(turn, route, self._toolbox, self._policy, self._shrinker)
        target = plan.targets[0]
        items = self._continuations.splice(turn.caller.name, turn.items)
        given = (plan.system, plan.functions, plan.choice, plan.params, turn.dialect, turn.extra, turn.caller.key)
        call = Call(target, items, *given)
        inferencer = self._inferencers[target.inferencer]
        if not isinstance(inferencer, Counter):
            return Counted(estimated_tokens(call), target, f"{target.inferencer} does not count tokens")
        try:
            return Counted(max(1, await inferencer.count_tokens(call)), target)
        except RouterError as error:
            return Counted(estimated_tokens(call), target, f"{target.inferencer} did not count them: {error.kind}")
