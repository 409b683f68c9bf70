"""The same promises of every store of transcripts."""

from __future__ import annotations

import pytest

from woollama.domain.errors import StoreUnreachable
from woollama.domain.ports import TranscriptStore
from woollama.domain.state import Page, Raw
from woollama.stores.database import Database
from woollama.stores.memory import MemoryStore
from woollama.stores.sql import SqlStore
from woollama.stores.tables import Tables


@pytest.fixture(params=["sql", "memory"])
def store(request: pytest.FixtureRequest, database: Database) -> TranscriptStore:
    return SqlStore(database) if request.param == "sql" else MemoryStore()


def item(number: int) -> Raw:
    return {"id": f"msg_{number}", "type": "message", "content": [{"type": "input_text", "text": f"né{number}\ud83e"}]}


def items(*numbers: int) -> list[Raw]:
    return [item(number) for number in numbers]


async def test_what_was_appended_is_read_in_its_order(store: TranscriptStore) -> None:
    thread = await store.create()
    await store.append(thread, 0, items(0, 1))
    await store.append(thread, 2, items(2))
    assert await store.read(thread) == items(0, 1, 2)
    assert await store.read(thread, 1, 2) == items(1)
    assert await store.read(thread, 1) == items(1, 2)


async def test_threads_know_nothing_of_each_other(store: TranscriptStore) -> None:
    one, other = await store.create(), await store.create()
    await store.append(one, 0, items(0))
    await store.append(other, 0, items(1))
    await store.delete(one)
    assert await store.read(other) == items(1)
    await store.delete(one)


async def test_a_store_in_memory_forgets_the_oldest_threads() -> None:
    store = MemoryStore(most=2)
    threads = [await store.create() for _ in range(3)]
    await store.append(threads[2], 0, items(0))
    with pytest.raises(Exception, match="no thread"):
        await store.read(threads[0])


async def test_a_fork_begins_with_a_copy_and_goes_its_own_way(database: Database) -> None:
    store = SqlStore(database)
    thread = await store.create()
    await store.append(thread, 0, items(0, 1, 2))
    fork = await store.fork(thread, 2)
    await store.append(fork, 2, items(7))
    assert await store.read(fork) == items(0, 1, 7)
    assert await store.read(thread) == items(0, 1, 2)


async def test_pages_follow_one_another_in_both_directions(database: Database) -> None:
    store = SqlStore(database)
    thread = await store.create()
    await store.append(thread, 0, items(*range(5)))
    await store.append(await store.create(), 0, items(2))  # the same id elsewhere
    assert await store.page(thread, Page(limit=2, newest_first=False)) == items(0, 1)
    assert await store.page(thread, Page("msg_1", 2, newest_first=False)) == items(2, 3)
    assert await store.page(thread, Page(limit=2)) == items(4, 3)
    assert await store.page(thread, Page("msg_3", 9)) == items(2, 1, 0)


async def test_an_item_is_found_and_taken_out(database: Database) -> None:
    store = SqlStore(database)
    thread = await store.create()
    await store.append(thread, 0, items(0, 1, 2))
    assert await store.find("msg_1") == item(1)
    assert await store.find("msg_1", "another thread") is None
    assert await store.remove(thread, "msg_1")
    assert not await store.remove(thread, "msg_1")
    await store.append(thread, 3, items(3))
    assert await store.read(thread) == items(0, 2, 3)


async def test_a_position_is_written_once(database: Database) -> None:
    store = SqlStore(database)
    thread = await store.create()
    await store.append(thread, 0, items(0))
    with pytest.raises(StoreUnreachable):
        await store.append(thread, 0, items(1, 2))
    assert await store.read(thread) == items(0)


async def test_it_knows_with_whom_it_shares_a_database(database: Database, tables: Tables) -> None:
    assert SqlStore(database).shares(tables)
    assert not MemoryStore().shares(tables)
