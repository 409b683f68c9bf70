"""Processes that cannot be up together: whose turn it is.

All whose process is up run at once. When somebody waits for another one, whoever comes later waits behind him, also for
the process that is up; so two that alternate do not starve, and nobody is cut off. When the last who runs has left, the
process that has been waited for longest is next, with all who wait for it by then: each change of place costs a start,
and serves as many as it can.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from woollama.core.lease import LeasePolicy
from woollama.domain.errors import Backpressure

MakeRoom = Callable[[str, str], Awaitable[None]]
"""`make_room(group, process)` ends every other process of the group."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    process: str
    turn: asyncio.Future[None]


class SwapGroup:
    def __init__(self, name: str, make_room: MakeRoom) -> None:
        self._name = name
        self._make_room = make_room
        self._up: str | None = None
        self._busy = 0
        self._queue: deque[_Waiter] = deque()
        self._changing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<SwapGroup {self._name!r} {self._up or 'nothing'} up, {self._busy} busy, {len(self._queue)} waiting>"

    @asynccontextmanager
    async def place(self, process: str, policy: LeasePolicy) -> AsyncIterator[None]:
        """`policy` is that of the inferencer: how many may wait for this process, and for how long.

        Raises `Backpressure` where that is exceeded.
        """
        await self._enter(process, policy)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, process: str, policy: LeasePolicy) -> None:
        if process == self._up and not self._queue and self._changing is None:
            self._busy += 1
            return
        waiting = sum(waiter.process == process for waiter in self._queue)
        if waiting >= policy.queue_max:
            raise Backpressure(
                f"{waiting} requests wait for {process} already, while {self._up or 'another'} has {self._name}",
                retry_after=policy.cooldown_s,
            )
        waiter = _Waiter(process, asyncio.get_running_loop().create_future())
        self._queue.append(waiter)
        self._advance()
        try:
            async with asyncio.timeout(policy.queue_timeout_s):
                await waiter.turn
        except BaseException as error:
            if waiter in self._queue:
                self._queue.remove(waiter)
                self._advance()
            elif waiter.turn.done() and not waiter.turn.cancelled():
                self._leave()  # the turn came in the same moment that we stopped waiting
            if isinstance(error, TimeoutError):
                raise Backpressure(
                    f"{process} waited {policy.queue_timeout_s:g} s for {self._name}, which {self._up} has",
                    retry_after=policy.cooldown_s,
                ) from None
            raise

    def _leave(self) -> None:
        self._busy -= 1
        self._advance()

    def _advance(self) -> None:
        while self._queue and self._changing is None:
            process = self._queue[0].process
            if process == self._up:
                self._admit(self._queue.popleft())
            elif self._busy:
                return
            else:
                # A task of its own: a change that has begun must not end with the request that wished for it.
                self._changing = asyncio.create_task(self._change(process), name=f"{process} takes {self._name}")

    async def _change(self, process: str) -> None:
        try:
            await self._make_room(self._name, process)
        finally:
            self._up, self._changing = process, None
            for waiter in [waiter for waiter in self._queue if waiter.process == process]:
                self._queue.remove(waiter)
                self._admit(waiter)
            self._advance()

    def _admit(self, waiter: _Waiter) -> None:
        if not waiter.turn.done():
            self._busy += 1
            waiter.turn.set_result(None)
