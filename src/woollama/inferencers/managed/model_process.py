"""One process behind a model: started by the first who needs it, stopped when nobody has for a while.

Whoever comes while it starts waits for the same start. One that ended is started anew by the next who needs it, after a
pause that grows as long as it ends soon after its start. It is never stopped while somebody uses it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from woollama.domain.errors import RouterError, UpstreamBroke, UpstreamTimeout, UpstreamUnreachable
from woollama.domain.ports import Child, ProcessState

log = logging.getLogger(__name__)

STILL_STARTING_S = 5.0
ENDED_WITHIN_S = 0.5
STEADY_S = 10.0
"""A life of at least this long counts as health: the next start follows at once."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
WAITED_OUT_S = 5.0
"""Who comes in a pause that is no longer than this waits for its end; a longer one refuses with the reason."""
AFTER_TIMEOUT_S = 15.0
"""The least pause after a start that ran out of time: who waited that long should not wait for another one at once."""
LAST_LINES = 5
_LINE_CHARS = 300

Tell = Callable[..., None]
"""`tell("process.ready", name=…, pid=…)`: what happens to a process, for whoever watches."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where the model of a running process is reached, and the key that the process wants."""

    base_url: str
    key: str | None = field(default=None, repr=False)


class Ended(Exception):
    """A child ended before it served."""


class Program(Protocol):
    """What is run. `launch` starts it, and what it gives with the child waits until that serves.

    Both raise a `RouterError` with the reason when that cannot be, and the second `Ended`, about which nothing need be
    said. `log_line` hears what the child prints.
    """

    async def launch(self, log_line: Callable[[str], None]) -> tuple[Child, Callable[[], Awaitable[Served]]]: ...


class ModelProcess:
    """`async with process.in_use() as served`; meanwhile it runs."""

    def __init__(
        self,
        name: str,
        program: Program,
        *,
        start_timeout_s: float,
        idle_s: float,
        swap_group: str = "",
        tell: Tell = lambda what, **fields: None,
    ) -> None:
        self.name = name
        self.swap_group = swap_group
        self.starts = 0
        self.last_error: str | None = None
        self._program = program
        self._start_timeout_s = start_timeout_s
        self._idle_s = idle_s
        self._tell = tell
        self._child: Child | None = None
        self._served: Served | None = None
        self._ready_at = 0.0
        self._starting: asyncio.Task[Served] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._failures = 0
        self._not_before = 0.0
        self._lines: deque[str] = deque(maxlen=LAST_LINES)

    def __repr__(self) -> str:
        state = f"pid {self.pid}, {self._users} users" if self.state == "ready" else self.state
        return f"<ModelProcess {self.name} {state}>"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and not self._child.closed.is_set() else None

    @property
    def served(self) -> Served | None:
        """Where it is reached, if it is ready now."""
        return self._served if self.pid else None

    @property
    def state(self) -> Literal["starting", "ready", "down", "stopped"]:
        if self._starting is not None:
            return "starting"
        return "ready" if self.served else "down" if self.last_error else "stopped"

    @property
    def told(self) -> ProcessState:
        left_s = self._idle.when() - asyncio.get_running_loop().time() if self._idle is not None and self.pid else None
        return ProcessState(
            self.name,
            "model",
            self.state,
            restarts=max(0, self.starts - 1),
            idle_stop_in_s=None if left_s is None else max(0.0, left_s),
            last_error=self.last_error,
        )

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[Served]:
        self._users += 1
        self._unused.clear()
        self._cancel_timer()
        try:
            served = await self._running()
            child = self._child
            try:
                yield served
            except (UpstreamBroke, UpstreamUnreachable) as error:
                if child is None or not await _has_ended(child):
                    raise
                raise UpstreamBroke(f"{self.name} went away in the middle: its process {child.ending}") from error
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()
            self._watch_idleness()

    async def stop(self, why: str) -> None:
        """Ends it as soon as nobody uses it. When this returns, nothing of it is left."""
        while self._users:
            await self._unused.wait()
        await self._end(why)

    async def close(self) -> None:
        """Ends it at once, whoever uses it."""
        await self._end("woollama ends")

    async def _end(self, why: str) -> None:
        self._cancel_timer()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        self._let_go(why)
        self.last_error = None
        if self._stopping:
            await asyncio.wait(self._stopping)

    async def _running(self) -> Served:
        if (served := self.served) is not None:
            return served
        if self._starting is None:
            pause_s = self._not_before - time.monotonic()
            if pause_s > WAITED_OUT_S:
                raise UpstreamUnreachable(
                    f"{self.name} is not started again for {pause_s:.0f} s: {self.last_error}", retry_after=pause_s
                )
            self._starting = asyncio.create_task(self._start(pause_s), name=f"start {self.name}")
            self._starting.add_done_callback(self._started)
        # One who leaves must not end the start for those who stay.
        return await asyncio.shield(self._starting)

    def _started(self, start: asyncio.Task[Served]) -> None:
        self._starting = None
        self._watch_idleness()
        if not start.cancelled():
            start.exception()  # seen, also when everybody who waited has left

    async def _start(self, pause_s: float) -> Served:
        await asyncio.sleep(max(0.0, pause_s))
        if self._stopping:
            await asyncio.wait(self._stopping)  # two at once may not fit into the memory of the machine
        self._let_go("it is started again")
        self.starts += 1
        began = time.monotonic()
        self._lines.clear()
        log.info("%s: starting", self.name)
        self._tell("process.starting", name=self.name)
        still = asyncio.create_task(self._tell_that_it_starts(began))
        try:
            child, ready = await self._program.launch(self._heard)
            self._child = child
            async with asyncio.timeout(self._start_timeout_s):
                served = await self._ready(child, ready)
        except TimeoutError:
            late = f"{self.name} was not ready within {self._start_timeout_s:g} s" + self._last_words()
            raise self._failed(UpstreamTimeout(late, retry_after=AFTER_TIMEOUT_S)) from None
        except RouterError as error:
            raise self._failed(error) from error.__cause__
        except BaseException:
            self._let_go("its start was given up")
            raise
        finally:
            still.cancel()
        took_s = time.monotonic() - began
        log.info("%s: ready after %.1f s, pid %d", self.name, took_s, child.pid)
        self._tell("process.ready", name=self.name, pid=child.pid, ms=round(took_s * 1000))
        self._served, self._ready_at, self.last_error = served, time.monotonic(), None
        watch = asyncio.create_task(self._watch(child), name=f"watch {self.name}")
        self._watching.add(watch)
        watch.add_done_callback(self._watching.discard)
        return served

    async def _ready(self, child: Child, ready: Callable[[], Awaitable[Served]]) -> Served:
        try:
            return await ready()
        except Ended:
            await _is_silent(child)
            ended = f"{self.name} {child.ending} while it started" + self._last_words()
            raise UpstreamUnreachable(ended) from None

    def _failed(self, error: RouterError) -> RouterError:
        self._let_go("it did not start")
        self._note_failure(error.message, at_least_s=error.retry_after or 0.0)
        log.warning("%s", error.message)
        self._tell("process.failed", name=self.name, message=error.message)
        return error

    def _note_failure(self, why: str, at_least_s: float = 0.0) -> None:
        self.last_error = why
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**self._failures)
        self._failures += 1
        self._not_before = time.monotonic() + max(pause_s, at_least_s)

    async def _watch(self, child: Child) -> None:
        """One that ends although nobody stopped it is told at once, and not only to who needs it next."""
        await child.closed.wait()
        if child is not self._child:
            return
        await _is_silent(child)
        if time.monotonic() - self._ready_at >= STEADY_S:
            self._failures, self.last_error = 0, child.ending
        else:
            self._note_failure(child.ending)
        log.warning("%s %s%s", self.name, child.ending, self._last_words())
        self._tell("process.ended", name=self.name, message=child.ending)

    async def _tell_that_it_starts(self, began: float) -> None:
        while True:
            await asyncio.sleep(STILL_STARTING_S)
            waited_s = round(time.monotonic() - began)
            last = self._lines[-1] if self._lines else ""
            log.info("%s: still starting after %d s%s", self.name, waited_s, f": {last}" if last else "")
            self._tell("process.starting", name=self.name, seconds=waited_s)

    def _heard(self, line: str) -> None:
        log.debug("%s: %s", self.name, line)
        if line.strip():
            self._lines.append(line.strip()[:_LINE_CHARS])

    def _last_words(self) -> str:
        return "; its last lines:\n" + "\n".join(self._lines) if self._lines else ""

    def _watch_idleness(self) -> None:
        self._cancel_timer()
        if not self._users and self._starting is None and self._child is not None:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._stop_idle)

    def _stop_idle(self) -> None:
        self._idle = None
        self._let_go(f"nobody used it for {self._idle_s:g} s")

    def _cancel_timer(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _let_go(self, why: str) -> None:
        child, self._child, self._served = self._child, None, None
        if child is None:
            return
        if not child.closed.is_set():
            log.info("%s: stopped, %s", self.name, why)
            self._tell("process.stopped", name=self.name, message=why)
        stop = asyncio.create_task(child.stop())
        self._stopping.add(stop)
        stop.add_done_callback(self._stopping.discard)


async def _has_ended(child: Child) -> bool:
    """A connection that breaks is heard of a moment before the end of the process behind it."""
    return await _within(ENDED_WITHIN_S, child.closed)


async def _is_silent(child: Child) -> None:
    """Its end is heard of a moment before its last words."""
    await _within(ENDED_WITHIN_S, child.silent)


async def _within(limit_s: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
    return event.is_set()
