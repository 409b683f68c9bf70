"""An inferencer whose rounds are written down as events, and a toolbox of functions: fakes at the two ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from woollama.core.approvals import Approvals
from woollama.core.attempts import Attempts
from woollama.core.catalog import Catalog
from woollama.core.continuations import Continuations
from woollama.core.engine import Engine
from woollama.core.lease import LeasePolicy
from woollama.core.names import Names
from woollama.core.plan import Absent, nothing_absent
from woollama.core.recipes import Recipe
from woollama.core.runs import Runs
from woollama.domain.answers import Answer
from woollama.domain.errors import RouterError
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    RoundBegan,
    Stopped,
    TextDelta,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Json
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Function, Returned, Tool, ToolOutcome, wire_name
from woollama.domain.turns import Call, Target, Turn

Round = Sequence[Event | RouterError]
ToolBody = Callable[[Mapping[str, Json], ToolContext], Awaitable[ToolOutcome]]


def says(text: str) -> Round:
    return [TextDelta(text), UsageSeen(0, Usage(10, 5)), Stopped("end", "stop")]


def calls(*wished: tuple[str, str]) -> Round:
    events: list[Event] = []
    for index, (name, arguments) in enumerate(wished):
        events += [CallOpened(index, f"call_{name}_{index}", name), ArgumentsDelta(index, arguments)]
        events.append(CallClosed(index, arguments))
    return [*events, UsageSeen(0, Usage(10, 5)), Stopped("tool_calls", "tool_calls")]


class Rounds:
    """Plays one written round per call and remembers the calls. The last round is repeated for ever."""

    def __init__(self, *rounds: Round, name: str = "fake") -> None:
        self.name = name
        self.rounds = list(rounds)
        self.calls: list[Call] = []
        self.open = 0

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        self.calls.append(call)
        plan = self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]
        self.open += 1
        try:
            yield self._events(call, plan)
        finally:
            self.open -= 1

    async def list_models(self) -> Sequence[str]:
        return ("m",)

    async def _events(self, call: Call, plan: Round) -> AsyncIterator[Event]:
        if plan and isinstance(plan[0], RouterError):
            raise plan[0]
        yield RoundBegan(0, call.target, "native_1", "m")
        for event in plan:
            await asyncio.sleep(0)
            if isinstance(event, RouterError):
                raise event
            yield event


class Box:
    """A toolbox of plain async functions, by `server.tool`."""

    def __init__(self, **bodies: ToolBody) -> None:
        self._bodies = {name.replace("__", "."): body for name, body in bodies.items()}
        self.raw: dict[str, dict[str, Any]] = {}
        self.running = 0

    def functions(self) -> list[Function]:
        return [self._function(name) for name in self._bodies]

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        assert function.tool is not None
        self.running += 1
        try:
            return await self._bodies[function.tool.qualified](arguments, context)
        finally:
            self.running -= 1

    def _function(self, qualified: str) -> Function:
        server, _, name = qualified.partition(".")
        raw = self.raw.get(qualified, {"inputSchema": {"type": "object"}})
        return Function(wire_name(server, name), parameters=raw.get("inputSchema"), tool=Tool(server, name, raw))


async def noon(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
    return Returned.of_text("noon")


class Table:
    """An engine over fakes: `await table.play(turn)` gives the events of a turn."""

    def __init__(
        self, *inferencers: Rounds, box: Box | None = None, absent: Absent = nothing_absent, **recipe: Any
    ) -> None:
        self.box = box or Box(clock__now=noon)
        by_name = {inferencer.name: inferencer for inferencer in inferencers}
        recipe = {"inferencer": f"{inferencers[0].name}/m", "tools": ("*",), **recipe}
        names = Names(inferencers=by_name, recipes={"r": Recipe("r", **recipe)}, aliases={}, catalog=Catalog({}))
        self.continuations = Continuations()
        attempts = Attempts({name: LeasePolicy(retries=0) for name in by_name})
        self.approvals = Approvals()
        more: Any = {"approvals": self.approvals, "absent": absent}
        self.runs = Runs(Engine(names, by_name, attempts, self.box, self.continuations, **more).play)

    async def play(self, turn: Turn) -> list[Event]:
        async with self.runs.start(turn) as run:
            return [event async for event in run.watch()]

    async def answer(self, turn: Turn) -> Answer:
        return Answer(await self.play(turn))


FAKE = Target("fake", "m")
