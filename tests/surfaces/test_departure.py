"""Noticing that the client has left."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from woollama.surfaces.departure import Departure


class Client:
    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}


async def test_work_ends_when_the_client_leaves_and_the_handler_goes_on() -> None:
    client = Client()
    released = False
    async with Departure(client.receive) as departure:
        client.left.set()
        try:
            await asyncio.Event().wait()
        finally:
            released = True
    assert (departure.gone, released) == (True, True)
    await asyncio.sleep(0)  # the task itself is not cancelled any more


async def test_a_client_that_stays_changes_nothing_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with Departure(Client().receive) as departure:
        pass
    await asyncio.sleep(0)
    assert not departure.gone
    assert asyncio.all_tasks() == before


async def test_a_cancellation_from_outside_is_not_taken_for_a_departure() -> None:
    async def handler() -> None:
        async with Departure(Client().receive):
            await asyncio.Event().wait()

    task = asyncio.create_task(handler())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_over_soon_is_not_watched() -> None:
    before = asyncio.all_tasks()
    async with Departure(Client().receive, unwatched_s=30.0) as departure:
        assert asyncio.all_tasks() == before
    assert not departure.gone


async def test_who_has_left_before_anybody_looked_has_left() -> None:
    client = Client()
    client.left.set()
    async with Departure(client.receive, unwatched_s=0.001) as departure:
        await asyncio.Event().wait()
    assert departure.gone
