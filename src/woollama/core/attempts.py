"""Candidates in order, until one begins to answer: retry, fallback, cooldown.

The one walk that relay and engine share. Everything is decided before the first byte: once a target has begun to
answer, its failure is the request's failure.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from woollama.core.lease import Gate, Health, LeasePolicy
from woollama.core.swap_group import SwapGroup
from woollama.domain.errors import (
    Backpressure,
    NotSetUp,
    RouterError,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from woollama.domain.ports import ModelProcesses
from woollama.domain.turns import Target

T = TypeVar("T")

RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
LONGEST_PAUSE_S = 10.0
_FIRST_PAUSE_S = 0.25
_log = logging.getLogger("woollama.attempts")


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt: `number` counts from 1 over all targets; `last` when no other will follow a failure."""

    target: Target
    number: int
    last: bool


def retryable(error: RouterError) -> bool:
    """Whether another try may do better. A `retry-after` longer than we are ready to sleep is the client's to obey."""
    if isinstance(error, UpstreamRefused):
        return error.status_hint in RETRYABLE_STATUS
    return isinstance(error, UpstreamUnreachable | UpstreamTimeout | UpstreamBroke | Backpressure | NotSetUp)


class Attempts:
    """`policies` by the name of the inferencer. `after` are the attempts of an earlier configuration, whose requests
    may still be under way: who waits at an inferencer, and what is known of it, is the same for both."""

    def __init__(
        self,
        policies: Mapping[str, LeasePolicy],
        *,
        after: Attempts | None = None,
        processes: ModelProcesses | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._policies = dict(policies)
        self._gates = {name: Gate(name, policy) for name, policy in policies.items()}
        self._health = {name: Health(policy, clock) for name, policy in policies.items()}
        self._sleep = sleep
        self._processes = processes
        self._groups: dict[str, SwapGroup] = {}
        if after is not None:
            for name in policies.keys() & after._policies.keys():
                self._gates[name] = after._gates[name]
                self._health[name] = after._health[name]
                self._gates[name].renew(policies[name])
                self._health[name].renew(policies[name])
        if processes is not None:
            earlier = after._groups if after is not None else {}
            for name in {policy.swap_group for policy in policies.values()} - {""}:
                self._groups[name] = earlier.get(name) or SwapGroup(name, processes.make_room)

    def __repr__(self) -> str:
        cooling = [name for name, health in self._health.items() if health.cooling]
        return f"<Attempts at {len(self._gates)} inferencers, cooling: {', '.join(cooling) or 'none'}>"

    @property
    def health(self) -> Mapping[str, Health]:
        """How each inferencer is."""
        return self._health

    def order(self, targets: Sequence[Target]) -> list[Target]:
        """Healthy candidates first, cooling ones after them, each group in the configured order."""
        return sorted(targets, key=lambda target: self._health[target.inferencer].cooling)

    @asynccontextmanager
    async def first_to_answer(
        self,
        targets: Sequence[Target],
        caller: str,
        attempt: Callable[[Try], AbstractAsyncContextManager[T]],
        judge: Callable[[T], RouterError | None] = lambda answer: None,
    ) -> AsyncIterator[tuple[Try, T]]:
        """Enter `attempt` for one candidate after the other until one is entered; yield what it gave.

        `attempt` raises a `RouterError` while being entered if its target does not begin to answer. The last error is
        raised when all have failed. The lease is held until the block is left. `judge` tells of an answer whether it
        was the target's failure although nothing was raised.
        """
        candidates = self.order(targets)
        number = 0
        for position, target in enumerate(candidates):
            policy = self._policies[target.inferencer]
            for retry in range(policy.retries + 1):
                number += 1
                last_target = position == len(candidates) - 1
                trial = Try(target, number, last=last_target and retry == policy.retries)
                entered = False
                try:
                    async with self._place(target, caller), attempt(trial) as answer:
                        entered = True
                        yield trial, answer
                        self._health[target.inferencer].note(judge(answer))
                        return
                except RouterError as error:
                    error.target, error.attempts = str(target), number
                    self._health[target.inferencer].note(error)
                    pause_s = _pause_s(error, retry)
                    if entered or not retryable(error) or trial.last:
                        raise
                    if isinstance(error, Backpressure | NotSetUp) or pause_s > LONGEST_PAUSE_S:
                        if last_target:
                            raise
                        break  # the next candidate is a better use of the caller's time
                    _log.info("attempt %d at %s failed: %s", number, target, error.message)
                    if retry < policy.retries:
                        await self._sleep(pause_s)

    def _place(self, target: Target, caller: str) -> AbstractAsyncContextManager[None]:
        gate = self._gates[target.inferencer]
        policy = self._policies[target.inferencer]
        if policy.swap_group and self._processes is not None:
            return self._place_of_one_at_a_time(gate, policy, self._processes.process_of(target), caller)
        return gate.place(caller)

    @asynccontextmanager
    async def _place_of_one_at_a_time(
        self, gate: Gate, policy: LeasePolicy, process: str, caller: str
    ) -> AsyncIterator[None]:
        """The group's place first: who waits at the gate of a process wants it to stay up."""
        async with self._groups[policy.swap_group].place(process, policy), gate.place(caller):
            yield


def _pause_s(error: RouterError, retry: int) -> float:
    if error.retry_after is not None:
        return error.retry_after
    return float(_FIRST_PAUSE_S * 2**retry * random.uniform(0.5, 1.0))
