"""A turn in progress: a task of the daemon, the log of its events, and whoever watches.

The task produces, watchers read at their own pace from any position of the log. A foreground run ends when its last
holder lets go; a background run goes on. A slow watcher holds the producer back, so a run is never far ahead of its
slowest reader; its log is kept whole while the run is, for those who come later. Nothing here is an async generator:
those do not close inwards.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, Self
from weakref import WeakSet

from woollama.core.lease import Gate, turns_policy
from woollama.domain.errors import InternalFault, RouterError, ShuttingDown
from woollama.domain.events import Event, Failed, Rewrote, Stopped, Terminal, weight_bytes
from woollama.domain.turns import Turn

Emit = Callable[[Event], Awaitable[None]]
Play = Callable[[Turn, Emit], Awaitable[None]]
Observer = Callable[["Run", Event], None]

LAG_LIMIT_EVENTS = 256
OUTPUT_LIMIT_BYTES = 64 * 2**20
OUTPUT_LIMIT = "limits.output"
"""The word for an end that the log's own limit made."""


class Keeper(Protocol):
    """Remembers a run for longer than it lasts."""

    async def prepare(self, turn: Turn) -> Turn:
        """The turn as it is to be played: with what was said before it. What this raises is the run's failure."""
        ...

    def see(self, event: Event) -> None:
        """Every event but the last, before any watcher gets it."""
        ...

    async def settle(self, ending: Terminal) -> None:
        """The last event, before any watcher gets it; they wait for this."""
        ...


_log = logging.getLogger("woollama.runs")


class Watch:
    """One reader's place in a run's log. Iterates until the terminal event has been given."""

    def __init__(self, run: Run, after: int) -> None:
        self._run = run
        self.position = after
        self.news = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        run = self._run
        while self.position >= len(run.log):
            if run.ending is not None:
                raise StopAsyncIteration
            self.news.clear()
            await self.news.wait()
        event = run.log[self.position]
        self.position += 1
        run.made_room()
        return event

    def close(self) -> None:
        """Stop reading: the producer no longer waits for this watch."""
        self._run.forget(self)


class Run:
    """Made by `Runs.start`. `ending` is the terminal event once there is one; `log` holds all events so far."""

    def __init__(
        self,
        turn: Turn,
        *,
        background: bool,
        observers: Sequence[Observer],
        keeper: Keeper | None = None,
        output_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> None:
        self.turn = turn
        self.background = background
        self.keeper = keeper
        self.log: list[Event] = []
        self.ending: Terminal | None = None
        self.holders = 0
        self.began_at = time.monotonic()
        self.is_told = False
        """Whether the line of a request says what came of it."""
        self._observers = observers
        self._watches: WeakSet[Watch] = WeakSet()
        self._room = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._is_cancelled = False
        self._cancelled_for: RouterError | None = None
        self._is_cut_off = False
        self._output_bytes = output_bytes
        self._bytes_left = output_bytes

    def __repr__(self) -> str:
        state = "running" if self.ending is None else type(self.ending).__name__.lower()
        return f"<Run {self.turn.id} {state}, {len(self.log)} events, {len(self._watches)} watching>"

    def watch(self, after: int = 0) -> Watch:
        watch = Watch(self, after)
        self._watches.add(watch)
        return watch

    def forget(self, watch: Watch) -> None:
        self._watches.discard(watch)
        self._room.set()

    def made_room(self) -> None:
        self._room.set()

    async def emit(self, event: Event) -> None:
        """Append an event and, while a watcher is far behind, wait for it.

        A log that has grown beyond its limit ends the run, as an answer that became too long.
        """
        if self.ending is not None:
            raise RuntimeError(f"{self!r} is over and cannot say {event!r}")
        if isinstance(event, Stopped | Failed):
            await self._end(event)
            return
        self._append(event)
        self._bytes_left -= weight_bytes(event)
        if self._bytes_left < 0:
            self._cut_off()
            await asyncio.sleep(0)  # where that cancellation arrives, if this is the run's own task
        while self._lag() > LAG_LIMIT_EVENTS:
            self._room.clear()
            await self._room.wait()

    def _cut_off(self) -> None:
        if not self._is_cancelled and self.task is not None:
            self._is_cancelled = self._is_cut_off = True
            self._append(Rewrote(f"cut off after {self._output_bytes} bytes of output ({OUTPUT_LIMIT})"))
            self.task.cancel()

    async def cancel(self, why: RouterError | None = None) -> None:
        """End the run and wait until everything that it held is released.

        It ends as `Stopped("cancelled")`, or as failed when `why` says what ended it against its caller's wish. Of
        several who cancel it the first decides; the others wait, because a second cancellation would break into what
        the run does on its way out.
        """
        if self.task is not None and not self.task.done():
            if not self._is_cancelled:
                self._is_cancelled = True
                self._cancelled_for = why
                self.task.cancel()
            await asyncio.wait([self.task])
        if self.ending is None:  # a task that is cancelled before its first step never runs at all
            await self._end(self._cancellation())

    def begin(self, play: Play) -> asyncio.Task[None]:
        self.task = asyncio.create_task(self._play(play), name=f"run {self.turn.id}")
        return self.task

    async def _play(self, play: Play) -> None:
        ending: Terminal
        try:
            await play(self.turn if self.keeper is None else await self.keeper.prepare(self.turn), self.emit)
            if self.ending is not None:
                return
            raise RuntimeError("the run ended without a terminal event")
        except asyncio.CancelledError:
            ending = self._cancellation()
        except RouterError as error:
            ending = Failed(error)
        except Exception:
            _log.exception("a defect ended run %s", self.turn.id)
            ending = Failed(InternalFault("woollama met a defect of its own; its log has the details"))
        if self.ending is None:
            await self._end(ending)

    async def _end(self, ending: Terminal) -> None:
        """The end is settled whatever comes between: a cancellation is too late by then."""
        if self.keeper is not None:
            settling = asyncio.create_task(self.keeper.settle(ending), name=f"end of {self.turn.id}")
            while not settling.done():
                try:
                    await asyncio.wait([settling])
                except asyncio.CancelledError:
                    continue
            if not settling.cancelled() and (error := settling.exception()) is not None:
                _log.error("a defect at the end of run %s", self.turn.id, exc_info=error)
        self._append(ending)

    def _cancellation(self) -> Terminal:
        if self._is_cut_off:
            return Stopped("length", OUTPUT_LIMIT)
        return Stopped("cancelled") if self._cancelled_for is None else Failed(self._cancelled_for)

    def _append(self, event: Event) -> None:
        self.log.append(event)
        if isinstance(event, Stopped | Failed):
            self.ending = event
        elif self.keeper is not None:
            self.keeper.see(event)
        for watch in self._watches:
            watch.news.set()
        for observer in self._observers:
            try:
                observer(self, event)
            except Exception:
                _log.exception("a defect of an observer of run %s", self.turn.id)

    def _lag(self) -> int:
        return len(self.log) - min((watch.position for watch in self._watches), default=len(self.log))


class Runs:
    """All runs of a daemon. Only after `close` may what they use be closed.

    `places` are those of all turns at once; `output_bytes` is what the log of one run may hold.
    """

    def __init__(
        self,
        play: Play,
        observers: Sequence[Observer] = (),
        *,
        places: Gate | None = None,
        output_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> None:
        self.places = places or Gate("woollama", turns_policy(0))
        self.output_bytes = output_bytes
        self._play = play
        self._observers = list(observers)
        self._live: dict[str, Run] = {}
        self.stopping = asyncio.Event()
        """Set when no new turns are taken any more."""

    def __repr__(self) -> str:
        return f"<Runs {len(self._live)} live>"

    def __len__(self) -> int:
        return len(self._live)

    def get(self, run_id: str) -> Run | None:
        return self._live.get(run_id)

    def limit(self, at_once: int, output_bytes: int) -> None:
        """How many turns there may be at once (0: any number), and what the log of each may hold, from now on."""
        self.places.renew(turns_policy(at_once))
        self.output_bytes = output_bytes

    def observe(self, observer: Observer) -> None:
        self._observers.append(observer)

    @asynccontextmanager
    async def start(self, turn: Turn, *, background: bool = False, keeper: Keeper | None = None) -> AsyncIterator[Run]:
        """Play `turn` and hold its run. A foreground run that nobody holds any more is cancelled and awaited."""
        if self.stopping.is_set():
            raise ShuttingDown("woollama is shutting down and takes no new work")
        run = Run(turn, background=background, observers=self._observers, keeper=keeper, output_bytes=self.output_bytes)
        self._live[turn.id] = run
        run.begin(self._placed).add_done_callback(lambda _: self._live.pop(turn.id, None))
        async with self.hold(run):
            yield run

    async def _placed(self, turn: Turn, emit: Emit) -> None:
        if turn.caller.depth:  # whoever waits for it has a place already, and might have the last one
            await self._play(turn, emit)
            return
        async with self.places.place(turn.caller.name):
            await self._play(turn, emit)

    @asynccontextmanager
    async def hold(self, run: Run) -> AsyncIterator[Run]:
        """Keep a run alive while in this block, beside whoever else holds it."""
        run.holders += 1
        try:
            yield run
        finally:
            run.holders -= 1
            if run.holders == 0 and not run.background:
                await run.cancel()
            if run.ending is not None:
                self._live.pop(run.turn.id, None)

    def stop_taking(self) -> None:
        """Refuse new turns from now on; those that run go on."""
        self.stopping.set()

    async def drain(self, timeout_s: float) -> None:
        """Take no more, give what runs `timeout_s` seconds to end, then fail and await the rest."""
        self.stop_taking()
        if tasks := [task for run in self._live.values() if (task := run.task)]:
            await asyncio.wait(tasks, timeout=timeout_s)
        await self.close()

    async def close(self) -> None:
        """Fail what runs and wait until all that it held is released."""
        self.stop_taking()
        why = ShuttingDown("woollama was shut down before the answer was complete")
        tasks = [asyncio.create_task(run.cancel(why)) for run in self._live.values()]
        if tasks:
            await asyncio.wait(tasks)
