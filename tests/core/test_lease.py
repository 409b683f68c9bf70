"""Places at an inferencer: bounded, fair between callers, never lost."""

from __future__ import annotations

import asyncio

import pytest

from woollama.core.lease import FAILURES_BEFORE_COOLDOWN, Gate, Health, LeasePolicy
from woollama.domain.errors import Backpressure, UpstreamRefused, UpstreamUnreachable


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Visitors:
    """Tasks that take a place each and leave when told."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.inside: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, caller: str) -> None:
        self._leave[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._visit(name, caller))
        await settle()

    async def go(self, name: str) -> None:
        self._leave[name].set()
        await self.tasks[name]
        await settle()

    async def _visit(self, name: str, caller: str) -> None:
        async with self._gate.place(caller):
            self.inside.append(name)
            await self._leave[name].wait()


async def test_without_a_bound_everybody_enters() -> None:
    visitors = Visitors(Gate("any", LeasePolicy()))
    for name in "abc":
        await visitors.come(name, "one")
    assert visitors.inside == ["a", "b", "c"]
    for name in "abc":
        await visitors.go(name)


async def test_callers_take_turns_and_each_is_served_in_order() -> None:
    visitors = Visitors(Gate("any", LeasePolicy(max_concurrency=1)))
    await visitors.come("first", "greedy")
    for name, caller in [("g1", "greedy"), ("g2", "greedy"), ("g3", "greedy"), ("m1", "modest")]:
        await visitors.come(name, caller)
    for name in ("first", "g1", "m1", "g2", "g3"):
        assert visitors.inside[-1] == name
        await visitors.go(name)
    assert visitors.inside == ["first", "g1", "m1", "g2", "g3"]


async def test_a_full_queue_refuses_with_backpressure() -> None:
    visitors = Visitors(Gate("ollama", LeasePolicy(max_concurrency=1, queue_max=1)))
    await visitors.come("a", "one")
    await visitors.come("b", "one")
    with pytest.raises(Backpressure, match="ollama is busy"):
        async with Gate.place(visitors._gate, "two"):
            pass
    await visitors.go("a")
    await visitors.go("b")


async def test_waiting_too_long_is_backpressure_and_gives_the_place_in_the_queue_back() -> None:
    gate = Gate("ollama", LeasePolicy(max_concurrency=1, queue_timeout_s=0.01))
    visitors = Visitors(gate)
    await visitors.come("a", "one")
    with pytest.raises(Backpressure, match="was busy for"):
        async with gate.place("two"):
            pass
    assert gate.waiting == 0
    await visitors.go("a")
    await visitors.come("b", "one")
    assert visitors.inside[-1] == "b"
    await visitors.go("b")


async def test_a_waiter_that_leaves_in_the_moment_of_its_turn_hands_the_place_on() -> None:
    gate = Gate("ollama", LeasePolicy(max_concurrency=1))
    visitors = Visitors(gate)
    for name in "abc":
        await visitors.come(name, "one")
    visitors._leave["a"].set()
    await asyncio.sleep(0)
    await visitors.tasks["a"]  # the place is b's now, though b has not run yet
    visitors.tasks["b"].cancel()
    await settle()
    assert visitors.inside[-1] == "c"
    await visitors.go("c")
    assert repr(gate) == "<Gate 'ollama' 0 busy, 0 waiting>"


def test_a_target_cools_after_repeated_failures_of_its_own_and_only_for_a_while() -> None:
    now = 0.0
    health = Health(LeasePolicy(cooldown_s=30), lambda: now)
    for _ in range(FAILURES_BEFORE_COOLDOWN):
        assert not health.cooling
        health.note(UpstreamUnreachable("down"))
    assert health.cooling
    now = 31.0
    assert not health.cooling


def test_a_refused_request_says_nothing_of_health_and_a_success_forgets() -> None:
    health = Health(LeasePolicy(), lambda: 0.0)
    for _ in range(10):
        health.note(UpstreamRefused("bad", status=400))
    assert not health.cooling
    for _ in range(FAILURES_BEFORE_COOLDOWN):
        health.note(UpstreamRefused("down", status=503))
    assert health.cooling
    health.note(None)
    assert not health.cooling
