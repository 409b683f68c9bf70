"""Of several addresses the first that answers is taken, without waiting for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from woollama.http.dialling import addresses_of, first_to_connect

AN_HOUR_S = 3600.0


class Dials:
    """Attempts that a test lets succeed or fail, and what became of them."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.discarded: list[str] = []
        self.cancelled: list[str] = []

    def fails(self, name: str) -> Callable[[], Awaitable[str]]:
        async def attempt() -> str:
            self.begun.append(name)
            raise ConnectionRefusedError(name)

        return attempt

    def connects(self, name: str, when: asyncio.Event | None = None) -> Callable[[], Awaitable[str]]:
        async def attempt() -> str:
            self.begun.append(name)
            try:
                if when:
                    await when.wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            return name

        return attempt


async def test_the_first_is_taken_and_no_other_tried():
    dials = Dials()
    attempts = [dials.connects("one"), dials.connects("two")]
    assert await first_to_connect(attempts, dials.discarded.append, AN_HOUR_S) == "one"
    assert dials.begun == ["one"]


async def test_a_failure_begins_the_next_at_once():
    dials = Dials()
    attempts = [dials.fails("one"), dials.fails("two"), dials.connects("three")]
    assert await first_to_connect(attempts, dials.discarded.append, AN_HOUR_S) == "three"


async def test_silence_begins_the_next_beside_it_and_the_loser_is_cancelled():
    dials = Dials()
    attempts = [dials.connects("one", asyncio.Event()), dials.connects("two")]
    assert await first_to_connect(attempts, dials.discarded.append, 0.0) == "two"
    await asyncio.sleep(0)
    assert dials.cancelled == ["one"]


async def test_one_that_is_slow_but_first_is_taken_too():
    dials, gate = Dials(), asyncio.Event()
    attempts = [dials.connects("one", gate), dials.connects("two", asyncio.Event())]
    asyncio.get_running_loop().call_soon(gate.set)
    assert await first_to_connect(attempts, dials.discarded.append, 0.0) == "one"


async def test_two_at_once_leave_one_to_be_closed():
    dials, gate = Dials(), asyncio.Event()

    async def both() -> str:
        gate.set()
        return "two"

    taken = await first_to_connect([dials.connects("one", gate), both], dials.discarded.append, 0.0)
    await asyncio.sleep(0)
    assert sorted([taken, *dials.discarded, *dials.cancelled]) == ["one", "two"]


async def test_when_all_fail_the_first_error_is_told():
    dials = Dials()
    with pytest.raises(ConnectionRefusedError, match="one"):
        await first_to_connect([dials.fails("one"), dials.fails("two")], dials.discarded.append, AN_HOUR_S)


async def test_a_wait_that_is_cancelled_cancels_every_attempt():
    dials = Dials()
    attempts = [dials.connects("one", asyncio.Event()), dials.connects("two", asyncio.Event())]
    waiting = asyncio.create_task(first_to_connect(attempts, dials.discarded.append, 0.0))
    async with asyncio.timeout(60):
        while dials.begun != ["one", "two"]:  # noqa: ASYNC110
            await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert sorted(dials.cancelled) == ["one", "two"]


@pytest.mark.parametrize("literal", ["127.0.0.1", "::1"])
async def test_a_literal_is_its_own_address(literal: str):
    assert await addresses_of(literal, 80) == [literal]


async def test_families_take_turns(monkeypatch: pytest.MonkeyPatch):
    async def resolved(host: str, port: int, **how: object) -> list[tuple[object, ...]]:
        six = [(10, 1, 6, "", (f"2001:db8::{n}", port, 0, 0)) for n in (1, 2, 3)]
        return [*six, *((2, 1, 6, "", (f"192.0.2.{n}", port)) for n in (1, 1))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    assert await addresses_of("two.example", 80) == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]
