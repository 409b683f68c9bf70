"""Whose process is up: fair, bounded, and nobody is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.clock import Clock
from woollama.core.attempts import Attempts, Try
from woollama.core.lease import LeasePolicy
from woollama.core.swap_group import SwapGroup
from woollama.domain.errors import Backpressure
from woollama.domain.turns import Target

POLICY = LeasePolicy(queue_max=2, queue_timeout_s=30, swap_group="gpu")


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Desk:
    """Requests that take a place each and leave when told. `up` is every process that was given room, in order."""

    def __init__(self, policy: LeasePolicy = POLICY) -> None:
        self.up: list[str] = []
        self.inside: list[str] = []
        self.room = asyncio.Event()
        self.room.set()
        self.group = SwapGroup("gpu", self._make_room)
        self._policy = policy
        self._leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """`a1` is a request for the process `a`."""
        for name in names:
            self._leave[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._visit(name))
            await settle()

    async def go(self, *names: str) -> None:
        for name in names:
            self._leave[name].set()
            await self.tasks[name]
            await settle()

    async def _make_room(self, group: str, process: str) -> None:
        assert group == "gpu"
        await self.room.wait()
        self.up.append(process)

    async def _visit(self, name: str) -> None:
        async with self.group.place(name[0], self._policy):
            self.inside.append(name)
            await self._leave[name].wait()


async def test_requests_for_the_process_that_is_up_run_at_once() -> None:
    desk = Desk()
    await desk.come("a1", "a2", "a3")
    assert desk.inside == ["a1", "a2", "a3"]
    assert desk.up == ["a"]
    await desk.go("a1", "a2", "a3")


async def test_nobody_is_cut_off_and_who_comes_later_waits_behind_who_waits() -> None:
    desk = Desk()
    await desk.come("a1", "b1", "a2")
    assert desk.inside == ["a1"]
    assert desk.up == ["a"]
    await desk.go("a1")
    assert desk.inside == ["a1", "b1"]
    await desk.go("b1")
    assert desk.inside == ["a1", "b1", "a2"]
    assert desk.up == ["a", "b", "a"]
    await desk.go("a2")


async def test_two_that_alternate_do_not_starve() -> None:
    desk = Desk()
    await desk.come("a0", "b0")
    for number in range(4):
        await desk.come(f"a{number + 1}")
        await desk.go(f"a{number}")
        assert desk.inside[-1] == f"b{number}"
        await desk.come(f"b{number + 1}")
        await desk.go(f"b{number}")
        assert desk.inside[-1] == f"a{number + 1}"
    await desk.go("a4", "b4")


async def test_a_change_serves_all_who_wait_for_it() -> None:
    desk = Desk()
    await desk.come("a1", "b1", "c1", "b2")
    await desk.go("a1")
    assert desk.inside == ["a1", "b1", "b2"]
    await desk.go("b1", "b2")
    assert desk.up == ["a", "b", "c"]
    await desk.go("c1")


async def test_too_many_who_wait_are_refused_and_those_for_another_process_are_not() -> None:
    desk = Desk()
    await desk.come("a1", "b1", "b2", "c1")
    with pytest.raises(Backpressure, match="2 requests wait for b already, while a has gpu"):
        async with desk.group.place("b", POLICY):
            pass
    await desk.go("a1", "b1", "b2", "c1")


async def test_waiting_too_long_is_backpressure_and_lets_the_others_pass(clock: Clock) -> None:
    desk = Desk(replace(POLICY, queue_timeout_s=3600))
    await desk.come("a1")
    waits = asyncio.create_task(_once(desk.group, "b", LeasePolicy(queue_timeout_s=600)))
    await settle()
    await desk.come("a2")  # behind b
    assert desk.inside == ["a1"]
    clock.forward(600)
    with pytest.raises(Backpressure, match=r"b waited 600 s for gpu, which a has"):
        await waits
    await settle()
    assert desk.inside == ["a1", "a2"]
    await desk.go("a1", "a2")


async def test_who_leaves_in_the_middle_of_a_change_does_not_end_it() -> None:
    desk = Desk()
    await desk.come("a1")
    desk.room.clear()
    await desk.come("b1", "a2")
    desk._leave["a1"].set()
    await settle()
    desk.tasks["b1"].cancel()
    await settle()
    desk.room.set()
    await settle()
    assert desk.up == ["a", "b", "a"]
    assert desk.inside == ["a1", "a2"]
    await desk.go("a2")
    assert repr(desk.group) == "<SwapGroup 'gpu' a up, 0 busy, 0 waiting>"


async def test_who_leaves_in_the_moment_of_his_turn_hands_it_on() -> None:
    desk = Desk()
    await desk.come("a1", "b1", "c1")
    desk._leave["a1"].set()
    while desk.up != ["a", "b"]:  # noqa: ASYNC110
        await asyncio.sleep(0)
    desk.tasks["b1"].cancel()
    await settle()
    assert desk.inside[-1] == "c1"
    await desk.go("c1")


async def _once(group: SwapGroup, process: str, policy: LeasePolicy) -> None:
    async with group.place(process, policy):
        pass


class Processes:
    def __init__(self) -> None:
        self.up: list[str] = []

    def process_of(self, target: Target) -> str:
        return target.inferencer

    async def make_room(self, swap_group: str, process: str) -> None:
        self.up.append(process)


async def test_a_nested_attempt_between_two_rounds_makes_no_deadlock() -> None:
    """A lease is not held while tools run: a tool that samples with the other model finds the place free."""
    processes = Processes()
    attempts = Attempts({"a": POLICY, "b": POLICY}, processes=processes)
    for inferencer in ("a", "b", "a"):
        async with asyncio.timeout(60):
            await _ask(attempts, inferencer)
    assert processes.up == ["a", "b", "a"]


async def test_a_group_is_the_same_after_a_reload() -> None:
    processes = Processes()
    before = Attempts({"a": POLICY, "b": POLICY}, processes=processes)
    after = Attempts({"a": POLICY, "b": POLICY}, after=before, processes=processes)
    async with asyncio.timeout(60), before.first_to_answer([Target("a", "m")], "me", _answer):
        other = asyncio.create_task(_ask(after, "b"))
        await settle()
        assert not other.done()
    await other
    assert processes.up == ["a", "b"]


@asynccontextmanager
async def _answer(trial: Try) -> AsyncIterator[str]:
    yield str(trial.target)


async def _ask(attempts: Attempts, inferencer: str) -> None:
    async with attempts.first_to_answer([Target(inferencer, "m")], "me", _answer):
        pass
