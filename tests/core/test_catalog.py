"""What can be named, from memory, and how inferencers are asked in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from woollama.core.catalog import FIRST_RETRY_S, REFRESH_S, Catalog, Source
from woollama.domain.errors import UpstreamUnreachable
from woollama.domain.events import Event
from woollama.domain.turns import Call, Target


class Shelf:
    """An inferencer that has `models`; an exception among them is raised when its turn comes."""

    def __init__(self, name: str, *answers: Sequence[str] | Exception) -> None:
        self.name = name
        self.answers = list(answers)

    def answer(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        raise AssertionError("the catalogue never asks for an answer")

    async def list_models(self) -> Sequence[str]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    """A `sleep` that is over when the test says so."""

    def __init__(self) -> None:
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self._go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self._go.clear()
        await self.slept.put(seconds)
        await self._go.wait()

    def tick(self) -> None:
        self._go.set()


DOWN = UpstreamUnreachable("nobody listens")


def test_recipes_lead_the_listing_then_aliases_then_models() -> None:
    catalog = Catalog({"ollama": Source(("qwen3",))}, aliases=["fast"], recipes=["demo"], now=lambda: 1700000000.9)
    assert [(line.id, line.owned_by, line.created) for line in catalog.listing()] == [
        ("woollama/demo", "woollama", 1700000000),
        ("fast", "woollama", 1700000000),
        ("ollama/qwen3", "ollama", 1700000000),
    ]


def test_without_anybody_to_ask_all_is_asked() -> None:
    assert Catalog({"a": Source(("m",))}).asked.is_set()


async def test_found_models_are_filtered_and_follow_the_written_ones() -> None:
    shelf = Shelf("openrouter", ["openai/gpt-4o", "meta/llama", "openai/o3", "meta/llama"])
    catalog = Catalog({"openrouter": Source(("mine", "openai/o3"), shelf, ("openai/*",))})
    assert await catalog.refresh("openrouter")
    assert catalog.targets() == [
        Target("openrouter", "mine"),
        Target("openrouter", "openai/o3"),
        Target("openrouter", "openai/gpt-4o"),
    ]
    assert catalog.having("mine") == [Target("openrouter", "mine")]
    assert catalog.asked.is_set()


async def test_an_inferencer_that_fell_silent_keeps_what_it_was_known_to_have() -> None:
    catalog = Catalog({"ollama": Source((), Shelf("ollama", ["qwen3"], DOWN, ValueError("a defect")))})
    assert [await catalog.refresh("ollama") for _ in range(3)] == [True, False, False]
    assert catalog.having("qwen3") == [Target("ollama", "qwen3")]


async def test_one_that_does_not_answer_is_asked_again_later_and_later() -> None:
    clock = Clock()
    catalog = Catalog({"ollama": Source((), Shelf("ollama", DOWN, DOWN, DOWN, ["qwen3"], DOWN))}, sleep=clock.sleep)
    asking = asyncio.create_task(catalog.run())
    pauses = []
    for _ in range(5):
        async with asyncio.timeout(60):
            pauses.append(await clock.slept.get())
        clock.tick()
    asking.cancel()
    await asyncio.wait([asking])
    assert pauses == [FIRST_RETRY_S, FIRST_RETRY_S * 2, FIRST_RETRY_S * 4, REFRESH_S, FIRST_RETRY_S]
    assert catalog.having("qwen3")


async def test_a_slow_inferencer_delays_no_other_and_no_listing() -> None:
    class Stuck(Shelf):
        async def list_models(self) -> Sequence[str]:
            await asyncio.Event().wait()
            raise AssertionError

    clock = Clock()
    catalog = Catalog(
        {"stuck": Source(("known",), Stuck("stuck")), "quick": Source((), Shelf("quick", ["m"]))}, sleep=clock.sleep
    )
    asking = asyncio.create_task(catalog.run())
    async with asyncio.timeout(60):
        await clock.slept.get()
    assert [line.id for line in catalog.listing()] == ["stuck/known", "quick/m"]
    assert not catalog.asked.is_set()
    asking.cancel()
    await asyncio.wait([asking])
