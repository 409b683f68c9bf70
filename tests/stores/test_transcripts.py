"""The same promises of every store of transcripts."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters

from tests.convstores import EXAMPLES, rest_convstore
from woollama.domain.errors import Gone, StoreUnreachable
from woollama.domain.state import Page, Raw
from woollama.domain.stores import TranscriptStore
from woollama.domain.tools import Offline, Returned, ToolOutcome
from woollama.stores.database import Database
from woollama.stores.http import HttpStore
from woollama.stores.mcp import McpStore
from woollama.stores.memory import MemoryStore
from woollama.stores.sql import SqlStore
from woollama.stores.tables import Tables


@pytest.fixture(params=["sql", "memory", "http", "mcp"])
async def store(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> AsyncIterator[TranscriptStore]:
    """The last two are the shipped examples."""
    match request.param:
        case "sql":
            yield SqlStore(database)
        case "memory":
            yield MemoryStore()
        case "http":
            with rest_convstore(tmp_path / "threads.db") as url:
                store = HttpStore(url)
                yield store
                await store.close()
        case "mcp":
            words = [str(EXAMPLES / "mcp-convstore" / "server.py"), str(tmp_path / "threads")]
            async with Client(StdioServerParameters(command=sys.executable, args=words)) as client:

                async def call(tool: str, arguments: Mapping[str, Any]) -> ToolOutcome:
                    result = await client.call_tool(tool, dict(arguments))
                    blocks = tuple(block.model_dump(by_alias=True) for block in result.content)
                    return Returned(blocks, result.structured_content, bool(result.is_error))

                yield McpStore("convstore", call)


def item(number: int) -> Raw:
    return {"id": f"msg_{number}", "type": "message", "content": [{"type": "input_text", "text": f"né{number}"}]}


def items(*numbers: int) -> list[Raw]:
    return [item(number) for number in numbers]


async def test_half_an_emoji_breaks_no_store(store: TranscriptStore) -> None:
    thread = await store.create()
    half = {"id": "msg_h", "type": "message", "content": [{"type": "input_text", "text": "half \ud83e"}]}
    await store.append(thread, 0, [half])
    (read,) = await store.read(thread)
    assert read["content"][0]["text"] in ("half \ud83e", "half ?")


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


async def test_an_id_that_stands_there_twice_leads_no_page_back(database: Database) -> None:
    store = SqlStore(database)
    thread = await store.create()
    await store.append(thread, 0, items(0, 1, 0, 2))
    assert await store.page(thread, Page("msg_0", 9, newest_first=False)) == items(2)
    assert await store.page(thread, Page("msg_0", 9)) == []
    assert set(await store.known(thread, ["msg_1", "msg_2", "msg_9"])) == {"msg_1", "msg_2"}


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


@pytest.mark.parametrize("store", ["memory", "http", "mcp"], indirect=True)
async def test_a_thread_that_is_lost_is_told_as_gone(store: TranscriptStore) -> None:
    thread = await store.create()
    await store.append(thread, 0, items(0))
    await store.delete(thread)
    with pytest.raises(Gone):
        await store.read(thread)
    with pytest.raises(Gone):
        await store.append(thread, 1, items(1))


async def test_messages_of_others_are_read_as_what_somebody_said(tmp_path: Path) -> None:
    with rest_convstore(tmp_path / "threads.db") as url:
        store = HttpStore(url)
        thread = await store.create()
        async with httpx2.AsyncClient(timeout=60) as other:
            theirs = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
            await other.patch(f"{url}/threads/{thread}", json={"messages": theirs})
        read = await store.read(thread)
        assert [(each["role"], each["content"][0]["text"]) for each in read] == [("user", "hi"), ("assistant", "hello")]
        assert await store.read(thread) == read
        await store.close()


async def test_a_service_that_is_not_there_is_unreachable() -> None:
    store = HttpStore("http://127.0.0.1:1")
    with pytest.raises(StoreUnreachable, match="cannot be reached"):
        await store.create()
    await store.close()


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Offline("it was killed"), StoreUnreachable),
        (Returned.of_text("disk full", is_error=True), StoreUnreachable),
        (Returned.of_text("no thread x", is_error=True), Gone),
        (Returned.of_text("whatever"), StoreUnreachable),
    ],
)
async def test_what_a_tool_server_fails_with_is_told(outcome: ToolOutcome, kind: type[Exception]) -> None:
    async def call(tool: str, arguments: Mapping[str, Any]) -> ToolOutcome:
        return outcome

    with pytest.raises(kind):
        await McpStore("notes", call).read("x")


@pytest.mark.parametrize(
    "content",
    [
        ('[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]',),
        ('{"role": "user", "content": "hi"}', '{"role": "assistant", "content": "hello"}'),
        ('{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}',),
    ],
)
async def test_a_tool_server_may_give_its_messages_in_any_of_the_usual_ways(content: tuple[str, ...]) -> None:
    async def call(tool: str, arguments: Mapping[str, Any]) -> ToolOutcome:
        return Returned(tuple({"type": "text", "text": text} for text in content))

    assert [each["role"] for each in await McpStore("notes", call).read("x")] == ["user", "assistant"]
