"""One writer at a time for each conversation, in this process and in every other on the same database.

Inside a process writers stand in a queue. Between processes the handle's row says who may write, and until when: a
holder renews that with its heartbeat, so a process that was killed holds nothing for longer than half a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from woollama.domain.stores import StateTables

LOCK_S = 30.0
FIRST_POLL_S = 0.05
LAST_POLL_S = 1.0


@dataclass(slots=True)
class _Queue:
    """`places` counts who writes or waits."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    places: int = 0


class Writers:
    """`instance` names this process to the others."""

    def __init__(
        self, tables: StateTables, instance: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._tables = tables
        self._instance = instance
        self._sleep = sleep
        self._queues: dict[str, _Queue] = {}

    def __repr__(self) -> str:
        return f"<Writers of {len(self._queues)} conversations>"

    async def acquire(self, handle_id: str, within_s: float | None = None) -> bool:
        """Wait for one's turn to write, for ever or for so long; whether it has come.

        A handle that is not there (any more) is acquired at once: who reads it afterwards learns that.
        """
        queue = self._queues.setdefault(handle_id, _Queue())
        queue.places += 1
        held = False
        try:
            async with asyncio.timeout(within_s):
                held = await queue.lock.acquire()
                await self._acquire_row(handle_id)
        except BaseException as error:
            self._leave(handle_id, held)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    async def hold_new(self, handle_id: str) -> None:
        """One's turn to write to a handle that nobody else knows yet, and whose row says already that it is held."""
        queue = self._queues.setdefault(handle_id, _Queue())
        queue.places += 1
        await queue.lock.acquire()  # at once: nobody can have been faster

    async def release(self, handle_id: str) -> None:
        """Let the next one write. The row is set free before a writer of this process takes it anew."""
        try:
            await self._tables.unlock(handle_id, self._instance)
        finally:
            self.leave(handle_id)

    def leave(self, handle_id: str) -> None:
        """Let the next one write, where the row is free already, or never was written."""
        self._leave(handle_id, True)

    async def _acquire_row(self, handle_id: str) -> None:
        poll_s = FIRST_POLL_S
        while not await self._tables.lock(handle_id, self._instance, LOCK_S):
            if await self._tables.handle(handle_id) is None:
                return
            await self._sleep(poll_s)
            poll_s = min(poll_s * 2, LAST_POLL_S)

    def _leave(self, handle_id: str, held: bool) -> None:
        queue = self._queues[handle_id]
        queue.places -= 1
        if held:
            queue.lock.release()
        if not queue.places:
            del self._queues[handle_id]
