"""The tool calls of one round: which run at once, which wait, and how each ends."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Sequence

from woollama.core import arguments
from woollama.core.plan import Plan
from woollama.core.runs import Emit
from woollama.domain.events import ToolProgressed, ToolReturned
from woollama.domain.messages import ToolCall, ToolResult
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Denied, Function, Invalid, TimedOut, ToolOutcome
from woollama.domain.turns import Caller

NAMES_SHOWN = 12


class ToolRound:
    """Calls run concurrently across servers, and on one server where a tool is read-only; else in their order."""

    def __init__(self, plan: Plan, caller: Caller, emit: Emit) -> None:
        self._plan = plan
        self._caller = caller
        self._emit = emit
        self._places = asyncio.Semaphore(plan.max_parallel_tools)
        self._in_order: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, calls: Sequence[ToolCall], *, limit: float = math.inf) -> list[ToolResult]:
        """The results in the order of `calls`; every one is told as it comes. Calls beyond `limit` are not made."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(call, index < limit)) for index, call in enumerate(calls)]
        return [ToolResult(call.id, task.result()) for call, task in zip(calls, tasks, strict=True)]

    async def _one(self, call: ToolCall, within_limit: bool) -> ToolOutcome:
        outcome = await self._outcome(call) if within_limit else Denied("the request", "Its limit of calls is reached.")
        await self._emit(ToolReturned(call.id, outcome))
        return outcome

    async def _outcome(self, call: ToolCall) -> ToolOutcome:
        function = self._plan.function(call.name)
        if function is None:
            offered = ", ".join(each.name for each in self._plan.functions[:NAMES_SHOWN]) or "none"
            return Invalid((f"there is no tool {call.name!r}; there is: {offered}",))
        try:
            values = arguments.parse(call.arguments)
        except arguments.Unreadable as problem:
            return Invalid((str(problem),))
        tool = function.tool
        if tool is None or tool.read_only:
            return await self._called(call, function, values)
        async with self._in_order[tool.server]:
            return await self._called(call, function, values)

    async def _called(self, call: ToolCall, function: Function, values: dict[str, object]) -> ToolOutcome:
        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            await self._emit(ToolProgressed(call.id, progress, total, message))

        timeout_s = self._plan.tool_timeout_s
        context = ToolContext(self._caller, progressed, timeout_s=timeout_s, call_id=call.id)
        async with self._places:
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._plan.toolbox.call(function, values, context)
            except TimeoutError:
                return TimedOut(timeout_s)
