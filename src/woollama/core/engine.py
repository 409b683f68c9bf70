"""The chat loop: ask the model, run the tools that it calls, give back the results, until it is done.

How a turn goes
    A turn is one request; a round is one model call inside it. Each round ends in one of three ways. The model is
    done: the run ends with the model's own reason. It called only our tools: they run and the next round begins with
    their results. It called a tool of the client's: ours run first, then the run ends with `tool_calls` (or with what
    cut the calls off), and what the client will not send back is kept (`continuations`).

What the loop promises
    One beginning and one end, whatever the number of rounds. A call is dispatched only if its name was offered, its
    arguments are a JSON object that fits the schema, and every policy around the toolbox agrees; otherwise the model
    is told what was wrong, because it can mend that and the client cannot. No tool's failure fails the turn. Results
    are given back in the order of the calls, whatever order they came in.

How it ends without the model's consent
    After `max_turns` rounds, or when the same calls gave the same results three times in a row, one last round runs
    with `tool_choice` none. The tools stay in that request: taking them out would void the provider's prompt cache, and
    some providers refuse a history with calls and no tools. If the model still calls, the reason is `max_rounds`.

Where a person is needed
    A call that needs a yes is asked about by the toolbox (`approved`), through an asker that belongs to the run. A turn
    that waits goes on when there is an answer. A turn that pauses gets `Paused` for such a call; the other calls of the
    round run, then the run ends with `paused`, and each open ask stands in its events. A later turn whose history ends
    with those calls names them in `resumes`, with the answers: they are run or denied first, then the model goes on.

What is held when
    A lease only while a model answers. While tools run the run holds nothing but its own history.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from fnmatch import fnmatchcase

from woollama.core.approvals import Approvals, RunAsker
from woollama.core.attempts import Attempts, Try
from woollama.core.continuations import Continuations
from woollama.core.names import Names, Route
from woollama.core.plan import NOBODY, Absent, Plan, nothing_absent, plan_of
from woollama.core.policy import NO_POLICY, Policy
from woollama.core.prefixes import Prefixes
from woollama.core.prices import NO_PRICES, Prices
from woollama.core.recipes import Recipe
from woollama.core.runs import Emit
from woollama.core.tool_round import ToolRound
from woollama.domain.answers import Answer
from woollama.domain.errors import UpstreamBroke, UpstreamTimeout
from woollama.domain.events import (
    CallOpened,
    Event,
    Failed,
    Rewrote,
    RoundBegan,
    Stopped,
    StopReason,
    ToolsListed,
    UsageSeen,
)
from woollama.domain.messages import Answer as AnswerToAsk
from woollama.domain.messages import Ask, Image, Item, Message, Reasoning, ToolCall, ToolResult
from woollama.domain.ports import Inferencer, Shrinker, Toolbox
from woollama.domain.tools import Paused
from woollama.domain.turns import NO_TOOLS, Call, PausedCall, Target, Turn
from woollama.domain.visits import RemoteServers, Visit

SAME_ROUNDS_BEFORE_STOP = 3
_WHOLE: Collection[StopReason] = ("end", "stop_sequence", "tool_calls")
"""The ends of an answer that was not cut off: what it calls can be called."""


class Engine:
    def __init__(
        self,
        names: Names,
        inferencers: Mapping[str, Inferencer],
        attempts: Attempts,
        toolbox: Toolbox,
        continuations: Continuations,
        ready: Callable[[Sequence[str]], Awaitable[None]] | None = None,
        *,
        approvals: Approvals | None = None,
        policy: Policy = NO_POLICY,
        prices: Prices = NO_PRICES,
        shrinker: Shrinker | None = None,
        prefixes: Prefixes | None = None,
        remote: RemoteServers | None = None,
        absent: Absent = nothing_absent,
    ) -> None:
        """`ready` waits a moment for tool servers that are still starting, given the globs of a recipe's tools.

        Without `approvals` nobody can be asked. `absent` says why a tool is not in `toolbox`.
        """
        self._names = names
        self._inferencers = inferencers
        self._attempts = attempts
        self._toolbox = toolbox
        self._continuations = continuations
        self._ready = ready
        self._approvals = approvals or Approvals()
        self._policy = policy
        self._prices = prices
        self._shrinker = shrinker
        self._prefixes = prefixes
        self._remote = remote
        self._absent = absent

    def __repr__(self) -> str:
        return f"<Engine over {len(self._inferencers)} inferencers, {self._toolbox!r}>"

    async def play(self, turn: Turn, emit: Emit) -> None:
        """Answer `turn`, telling every event to `emit`; the last one is a `Stopped`. Raises `RouterError`."""
        route = self._names.resolve(turn.model, turn.caller.scope, turn.recipe, needs=needs_of(turn))
        ours = [f"{grant.server}.*" for grant in turn.tool_grants if grant.url is None]
        wanted = [*(route.recipe.tools if route.recipe else ()), *ours]
        if self._ready is not None and wanted:
            await self._ready(wanted)
        try:
            async with asyncio.timeout_at(turn.deadline) as limit, self._visited(turn) as visit:
                plan = plan_of(turn, route, self._toolbox, self._policy, self._shrinker, visit, self._absent)
                for each in visit.servers:
                    await emit(ToolsListed(each.server, tuple(each.tools), each.error))
                await self._loop(turn, route, plan, emit)
        except TimeoutError:
            if not limit.expired():
                raise
            raise UpstreamTimeout("the turn did not end within its time") from None

    @asynccontextmanager
    async def _visited(self, turn: Turn) -> AsyncIterator[Visit]:
        grants = [grant for grant in turn.tool_grants if grant.url is not None]
        if not grants or self._remote is None:
            yield NOBODY
            return
        async with self._remote.visit(grants, [each.name for each in self._toolbox.functions()]) as visit:
            yield visit

    async def _loop(self, turn: Turn, route: Route, plan: Plan, emit: Emit) -> None:
        for what in plan.rewrites:
            await emit(Rewrote(what))
        history = list(self._continuations.splice(turn.caller.name, turn.items))
        produced: list[Item] = []
        tools = ToolRound(plan, turn.caller, emit, RunAsker(self._approvals, turn, emit))
        if turn.resumes:
            results = await tools.resume([self._judged(plan, route.recipe, each) for each in turn.resumes])
            if _any_paused(results):
                await emit(Stopped("paused"))
                return
            history = _with_results(history, results)
        targets = plan.targets
        same = 0
        left = math.inf if turn.max_tool_calls is None else turn.max_tool_calls
        for number in range(plan.max_rounds + 1):
            last = number == plan.max_rounds or same >= SAME_ROUNDS_BEFORE_STOP - 1 or left <= 0
            choice = NO_TOOLS if last else plan.choice if number == 0 else plan.later_choice
            call = Call(
                targets[0],
                tuple(history),
                plan.system,
                plan.functions,
                choice,
                plan.params,
                turn.dialect,
                turn.extra,
                turn.caller.key,
                turn.session,
            )
            if number == 0 and self._prefixes is not None:
                self._prefixes.see(turn, call)
            answer, ending, target = await self._round(turn, plan, call, targets, number, emit)
            targets = (target, *(other for other in plan.targets if other != target))
            made = answer.items
            history += made
            produced += made
            returned = {item.call_id for item in made if isinstance(item, ToolResult)}
            calls = [item for item in made if isinstance(item, ToolCall) and item.id not in returned]
            ours = [item for item in calls if item.runs == "server"]
            if not calls or last:
                await emit(replace(ending, reason="max_rounds") if ours and last else ending)
                return
            results = await tools.run(ours, limit=left)
            left -= len(ours)
            history += results
            if _any_paused(results):
                await emit(Stopped("paused"))
                return
            if len(ours) < len(calls):
                if ours or len(produced) > len(made) or any(isinstance(item, Reasoning) for item in made):
                    self._continuations.keep(turn.caller.name, turn.items, [*produced, *results])
                await emit(replace(ending, reason="tool_calls") if ending.reason in _WHOLE else ending)
                return
            same = same + 1 if _repeats(produced, made, results) else 0
            produced += results

    def _judged(self, plan: Plan, recipe: Recipe | None, paused: PausedCall) -> PausedCall:
        """A call of an earlier turn by the name and the rules of now: whose yes counts is not for the client to say.

        A yes to a tool that is another by now, or at another address, is none.
        """
        wanted = f"{paused.ask.server}.{paused.ask.tool}"
        function = next((each for each in plan.functions if each.tool and each.tool.qualified == wanted), None)
        if function is None or function.tool is None:
            return paused
        of_recipe = recipe is not None and any(fnmatchcase(wanted, glob) for glob in recipe.tools)
        need = self._policy.need(function.tool, recipe if of_recipe else None)
        ask = replace(paused.ask, confirm_by=need.confirm_by if need else "client")
        is_other = bool(ask.tool_digest) and ask.tool_digest != function.tool.digest
        return replace(paused, call=replace(paused.call, name=function.name), ask=ask, is_other=is_other)

    async def _round(
        self, turn: Turn, plan: Plan, call: Call, targets: Sequence[Target], number: int, emit: Emit
    ) -> tuple[Answer, Stopped, Target]:
        """One model call: its events go to `emit`, renumbered, but for its end, which is the loop's to judge."""

        @asynccontextmanager
        async def attempt(trial: Try) -> AsyncIterator[tuple[Event, AsyncIterator[Event]]]:
            async with AsyncExitStack() as held:
                inferencer = self._inferencers[trial.target.inferencer]
                events = await held.enter_async_context(inferencer.answer(replace(call, target=trial.target)))
                try:
                    first = await anext(events)
                except StopAsyncIteration:
                    raise UpstreamBroke(f"{trial.target} closed the answer before it began") from None
                yield first, events

        answer = Answer()
        async with self._attempts.first_to_answer(targets, turn.caller.name, attempt) as (trial, (first, events)):
            if trial.target != targets[0]:
                await emit(Rewrote(f"answered by {trial.target} instead of {targets[0]}"))
            await self._take(plan, answer, first, number, trial, emit)
            async for event in events:
                await self._take(plan, answer, event, number, trial, emit)
        if not isinstance(answer.ending, Stopped):
            raise UpstreamBroke(f"{trial.target} ended its answer without saying how")
        return answer, answer.ending, trial.target

    async def _take(self, plan: Plan, answer: Answer, event: Event, number: int, trial: Try, emit: Emit) -> None:
        match event:
            case RoundBegan():
                event = replace(event, round=number, target=trial.target, attempts=trial.number)
            case UsageSeen():
                cost_usd = self._prices.cost_usd(trial.target, event.usage)
                event = replace(event, round=number, cost_usd=cost_usd)
            case CallOpened(server=None):
                event = plan.placed(event)
            case Failed():
                raise event.error
            case Stopped():
                answer.see(event)
                return
            case _:
                pass
        answer.see(event)
        await emit(event)


def needs_of(turn: Turn) -> Collection[str]:
    """The capabilities that a model must have for a turn; a recipe's tools are known where its name is resolved."""
    needs = {"chat"}
    if turn.client_tools or turn.tool_grants:
        needs.add("tools")
    if any(isinstance(item, Message) and any(isinstance(part, Image) for part in item.parts) for item in turn.items):
        needs.add("vision")
    return needs


def _any_paused(results: Sequence[ToolResult]) -> bool:
    return any(isinstance(result.outcome, Paused) for result in results)


def _with_results(history: Sequence[Item], results: Sequence[ToolResult]) -> list[Item]:
    """The history with the results of its open calls behind the block of calls and results that they belong to."""
    wanted = {result.call_id for result in results}
    places = [at for at, item in enumerate(history) if isinstance(item, ToolCall) and item.id in wanted]
    at = places[-1] + 1 if places else len(history)
    while at < len(history) and isinstance(history[at], ToolCall | ToolResult | Ask | AnswerToAsk):
        at += 1
    before = [item for item in history[:at] if not (isinstance(item, ToolResult) and item.call_id in wanted)]
    return [*before, *results, *history[at:]]


def _repeats(produced: Sequence[Item], made: Sequence[Item], results: Sequence[ToolResult]) -> bool:
    """Whether this round's calls and results are those of the round before it."""
    now = [*_essence(made), *_essence(results)]
    earlier = _essence(produced[: len(produced) - len(made)])
    return bool(now) and earlier[-len(now) :] == now


def _essence(items: Sequence[Item]) -> list[tuple[str, str]]:
    essence: list[tuple[str, str]] = []
    for item in items:
        if isinstance(item, ToolCall):
            essence.append((item.name, item.arguments))
        elif isinstance(item, ToolResult):
            essence.append(("", item.outcome.for_model()))
    return essence
