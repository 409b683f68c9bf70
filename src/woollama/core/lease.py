"""One attempt at one target: a place in its queue, and what is learnt from how the attempt went.

A lease is held while a model answers one round and never while tools run or people think: a tool that samples would
otherwise wait for a place that its own turn holds. Gates are fair between callers (round robin) and first come first
served for each of them. A cooldown only orders candidates; it refuses nobody.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from woollama.domain.errors import Backpressure, RouterError, UpstreamRefused

FAILURES_BEFORE_COOLDOWN = 3
TURNS_WAITING = 256
TURN_WAITS_S = 30.0
TURN_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class LeasePolicy:
    """How attempts at one inferencer behave. `max_concurrency` 0 is unbounded; `retries` are beside the first try.

    Of the processes of a `swap_group` at most one is up.
    """

    retries: int = 2
    max_concurrency: int = 0
    queue_max: int = 64
    queue_timeout_s: float = 60.0
    cooldown_s: float = 30.0
    swap_group: str = ""


def turns_policy(at_once: int) -> LeasePolicy:
    """How many turns there may be at once over all inferencers; others wait in the same fair way, not for long."""
    return LeasePolicy(0, at_once, TURNS_WAITING, TURN_WAITS_S, TURN_AGAIN_S)


class Gate:
    """Places for what runs at once, at one inferencer or over all, with a bounded queue."""

    def __init__(self, name: str, policy: LeasePolicy) -> None:
        self._name = name
        self._policy = policy
        self._busy = 0
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Gate {self._name!r} {self._busy} busy, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    def renew(self, policy: LeasePolicy) -> None:
        """Another policy from now on. Who is in stays in; who waits gets the places that it adds."""
        self._policy = policy
        while self._queues and (not policy.max_concurrency or self._busy < policy.max_concurrency):
            self._busy += 1
            self._leave()

    @asynccontextmanager
    async def place(self, caller: str) -> AsyncIterator[None]:
        await self._enter(caller)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, caller: str) -> None:
        policy = self._policy
        if not policy.max_concurrency or (self._busy < policy.max_concurrency and not self._queues):
            self._busy += 1
            return
        if self.waiting >= policy.queue_max:
            raise Backpressure(
                f"{self._name} is busy and {self.waiting} requests wait for it already", retry_after=policy.cooldown_s
            )
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, deque()).append(turn)
        try:
            async with asyncio.timeout(policy.queue_timeout_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place was given in the same moment that we stopped waiting: hand it on
            else:
                self._drop(caller, turn)
            if isinstance(error, TimeoutError):
                raise Backpressure(
                    f"{self._name} was busy for {policy.queue_timeout_s:g} s", retry_after=policy.cooldown_s
                ) from None
            raise

    def _drop(self, caller: str, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(caller)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[caller]

    def _leave(self) -> None:
        """Hand a place on, unless there are more of them taken than there are now."""
        while self._queues and not 0 < self._policy.max_concurrency < self._busy:
            caller, queue = self._queues.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._queues[caller] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._busy -= 1


class Health:
    """What recent attempts at one inferencer tell. Only the upstream's own failures count, never a refused request."""

    def __init__(self, policy: LeasePolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._failures = 0
        self._cools_until = 0.0
        self.last_error = ""

    @property
    def cooling(self) -> bool:
        return self.cooling_s > 0

    @property
    def cooling_s(self) -> float:
        """How much longer it is tried last."""
        return max(0.0, self._cools_until - self._clock())

    def renew(self, policy: LeasePolicy) -> None:
        self._policy = policy

    def note(self, error: RouterError | None) -> None:
        if error is None:
            self._failures, self._cools_until = 0, 0.0
        elif cools(error):
            self._failures += 1
            self.last_error = error.message
            if self._failures >= FAILURES_BEFORE_COOLDOWN:
                self._cools_until = self._clock() + self._policy.cooldown_s


def cools(error: RouterError) -> bool:
    """True for failures of the upstream itself: a 4xx is about the request and says nothing of its health."""
    if isinstance(error, UpstreamRefused):
        return error.status_hint >= 500
    return error.at_fault == "upstream"
