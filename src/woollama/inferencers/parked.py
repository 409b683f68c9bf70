"""Those that run their own loop and wait, between two rounds, for the results of calls that we run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Generic, TypeVar

from woollama.domain.messages import ToolResult
from woollama.domain.turns import Call

Waiting = TypeVar("Waiting")


class Parked(Generic[Waiting]):
    """What waits is found by the ids of its calls. `stop` ends one.

    It is ended with the task of its turn at the latest: nothing goes on for somebody who left.
    """

    def __init__(self, stop: Callable[[Waiting], Awaitable[None]]) -> None:
        self._stop = stop
        self._by_call: dict[str, Waiting] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Parked {len(set(map(id, self._by_call.values())))}, {len(self._ending)} ending>"

    def park(self, waiting: Waiting, calls: Collection[str]) -> None:
        """From a task that plays the turn: until it ends, or the results of `calls` are there."""
        for call_id in calls:
            self._by_call[call_id] = waiting
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda _: self.end(waiting) if waiting in self._by_call.values() else None)

    async def taken(self, call: Call) -> tuple[Waiting, Sequence[ToolResult]] | None:
        """Who waits for the results with which `call` ends, if somebody does, and those results.

        One that is not given all that it waits for is stopped: it will be told what happened from the beginning.
        """
        results = _last_results(call)
        waiting = next((found for each in results if (found := self._by_call.get(each.call_id))), None)
        if waiting is None:
            return None
        waited_for = {call_id for call_id, each in self._by_call.items() if each is waiting}
        self._forget(waiting)
        if {each.call_id for each in results} != waited_for:
            await self._stop(waiting)
            return None
        return waiting, results

    def end(self, waiting: Waiting) -> None:
        self._forget(waiting)
        stopping = asyncio.create_task(self._stopped(waiting), name=f"end of {waiting!r}")
        self._ending.add(stopping)
        stopping.add_done_callback(self._ending.discard)

    async def aclose(self) -> None:
        for waiting in list({id(each): each for each in self._by_call.values()}.values()):
            self.end(waiting)
        while self._ending:
            await asyncio.wait(self._ending)

    async def _stopped(self, waiting: Waiting) -> None:
        await self._stop(waiting)

    def _forget(self, waiting: Waiting) -> None:
        self._by_call = {call_id: each for call_id, each in self._by_call.items() if each is not waiting}


def _last_results(call: Call) -> Sequence[ToolResult]:
    results: list[ToolResult] = []
    for item in reversed(call.items):
        if not isinstance(item, ToolResult):
            break
        results.append(item)
    return results
