"""This process among those that use one database: its heartbeat, and what the dead have left unfinished.

An instance says every few seconds that it lives. What another one was doing that has been silent for a minute, or that
ran at the very place where this one runs now, has failed: nothing stays in progress for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from woollama.core.writers import LOCK_S
from woollama.domain.errors import StoreUnreachable
from woollama.domain.messages import Json
from woollama.domain.stores import StateTables

BEAT_S = 5.0
IDLE_S = 60.0
SILENT_S = 60.0
SWEEP_S = 24 * 3600.0
LOST: Json = {
    "code": "server_error",
    "message": "woollama ended before this response was complete",
    "at_fault": "router",
}
_log = logging.getLogger("woollama.state")


class Presence:
    """`place` is where only one instance can run at a time.

    It beats only while turns are entered and not left, so that a daemon with nothing to do leaves the disk alone.
    """

    def __init__(self, tables: StateTables, instance: str, place: str, mend: Callable[[], Awaitable[None]]) -> None:
        """`mend` writes down what this instance could not write when it was time."""
        self._tables = tables
        self._mend = mend
        self._instance = instance
        self._place = place
        self._turns = 0
        self._beat_at = float("-inf")
        self._busy = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._complaint = ""

    def __repr__(self) -> str:
        return f"<Presence of {self._instance} at {self._place}, {self._turns} turns>"

    async def enter(self) -> None:
        """Before a turn gets a row that says it is of this instance."""
        if asyncio.get_running_loop().time() - self._beat_at > BEAT_S:
            await self._beat()
        self._turns += 1
        self._busy.set()

    def leave(self) -> None:
        self._turns -= 1
        if not self._turns:
            self._busy.clear()

    def start(
        self, on_cancel: Callable[[str], Awaitable[None]], sweep: Callable[[], Awaitable[object]], *, at_once: bool
    ) -> None:
        """`on_cancel` hears of each response to be cancelled; `sweep` is called now and once a day.

        Unless `at_once`, all this begins with the first turn.
        """
        if at_once:
            self._busy.set()
        self._task = asyncio.create_task(self._live(on_cancel, sweep), name="presence")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._beat_at > 0:
            with contextlib.suppress(StoreUnreachable):
                await self._tables.leave(self._instance)

    async def look_around(self) -> None:
        """Fail what instances that are gone have left, and what this one owes."""
        await self._mend()
        if ended := await self._tables.end_dead(self._instance, self._place, SILENT_S, LOST):
            _log.warning("%d responses of an instance that is gone are marked as failed", ended)

    async def _beat(self) -> list[str]:
        wanted = await self._tables.beat(self._instance, self._place, LOCK_S)
        self._beat_at = asyncio.get_running_loop().time()
        return list(wanted)

    async def _live(self, on_cancel: Callable[[str], Awaitable[None]], sweep: Callable[[], Awaitable[object]]) -> None:
        await self._busy.wait()
        if not self._turns:
            self._busy.clear()
        loop = asyncio.get_running_loop()
        sweep_at = look_at = loop.time()
        while True:
            try:
                if self._turns:
                    for response_id in await self._beat():
                        await on_cancel(response_id)
                if loop.time() >= look_at:
                    await self.look_around()
                    look_at = loop.time() + IDLE_S
                if loop.time() >= sweep_at:
                    await sweep()
                    sweep_at = loop.time() + SWEEP_S
                self._complaint = ""
            except StoreUnreachable as error:
                if error.message != self._complaint:
                    _log.warning("%s", error.message)
                self._complaint = error.message
            except Exception:  # whoever does not beat is taken for dead by the others
                _log.exception("a defect in looking after what is remembered")
            with contextlib.suppress(TimeoutError):
                if self._turns:
                    await asyncio.sleep(BEAT_S)
                else:
                    async with asyncio.timeout(IDLE_S):
                        await self._busy.wait()
