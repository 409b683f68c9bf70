"""The tool calls of one round, all at once, and how each ends. What may wait for what is decided by the toolbox."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from woollama.core import arguments
from woollama.core.plan import Plan
from woollama.core.runs import Emit
from woollama.domain.events import Answered, CallClosed, CallOpened, ToolProgressed, ToolReturned
from woollama.domain.messages import ToolCall, ToolResult
from woollama.domain.ports import Asker, ToolContext
from woollama.domain.tools import Denied, Invalid, ToolOutcome
from woollama.domain.turns import Caller, PausedCall

NAMES_SHOWN = 12


class ToolRound:
    def __init__(self, plan: Plan, caller: Caller, emit: Emit, asker: Asker | None = None) -> None:
        self._plan = plan
        self._caller = caller
        self._emit = emit
        self._asker = asker

    async def run(self, calls: Sequence[ToolCall], *, limit: float = math.inf) -> list[ToolResult]:
        """The results in the order of `calls`; every one is told as it comes. Calls beyond `limit` are not made.

        A call that is to be paused has the result `Paused`, at once; the others run to their end.
        """
        return await self._together(calls, {}, limit)

    async def resume(self, paused: Sequence[PausedCall]) -> list[ToolResult]:
        """Calls of an earlier turn, told as if they were called now: those with a yes run, the others are denied."""
        for index, each in enumerate(paused):
            call = each.call
            await self._emit(CallOpened(index, call.id, call.name, "server", server=call.server, tool=call.tool))
            await self._emit(CallClosed(index, call.arguments))
            if each.answer is not None:
                await self._emit(Answered(each.answer))
        return await self._together([each.call for each in paused], {each.call.id: each for each in paused}, math.inf)

    async def _together(
        self, calls: Sequence[ToolCall], resumed: Mapping[str, PausedCall], limit: float
    ) -> list[ToolResult]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._one(call, resumed.get(call.id), index < limit))
                for index, call in enumerate(calls)
            ]
        return [ToolResult(call.id, task.result()) for call, task in zip(calls, tasks, strict=True)]

    async def _one(self, call: ToolCall, resumed: PausedCall | None, within_limit: bool) -> ToolOutcome:
        if not within_limit:
            outcome: ToolOutcome = Denied("the request", "Its limit of calls is reached.")
        elif resumed is not None and resumed.is_denied:
            outcome = Denied("the user", "" if resumed.answer else "Nobody has said yes to it.")
        else:
            outcome = await self._outcome(call, approved=resumed is not None and resumed.is_approved)
        await self._emit(ToolReturned(call.id, outcome))
        return outcome

    async def _outcome(self, call: ToolCall, *, approved: bool) -> ToolOutcome:
        function = self._plan.function(call.name)
        if function is None:
            if (known := self._plan.why_not(call.name)) is not None:
                return known
            offered = ", ".join(each.name for each in self._plan.functions[:NAMES_SHOWN]) or "none"
            return Invalid((f"there is no tool {call.name!r}; there is: {offered}",))
        try:
            values = arguments.parse(call.arguments)
        except arguments.Unreadable as problem:
            return Invalid((str(problem),))
        return await self._plan.toolbox.call(function, values, self._context(call, approved))

    def _context(self, call: ToolCall, approved: bool) -> ToolContext:
        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            await self._emit(ToolProgressed(call.id, progress, total, message))

        return ToolContext(self._caller, progressed, self._asker, call_id=call.id, approved=approved)
