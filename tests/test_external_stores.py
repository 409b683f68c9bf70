"""Conversations whose transcripts a tool server or a service keeps: the shipped examples, behind a whole daemon."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.convstores import EXAMPLES, rest_convstore
from tests.stateful import MODEL, table
from tests.upstream import chat, error


@contextmanager
def configured(kind: str, directory: Path) -> Iterator[dict[str, Any]]:
    """The lines of mcp.json that make the store one of these."""
    if kind == "http":
        with rest_convstore(directory / "threads.db") as url:
            yield {"conversationStore": {"type": "http", "url": url}}
        return
    args = [str(EXAMPLES / "mcp-convstore" / "server.py"), str(directory / "threads")]
    server = {"command": sys.executable, "args": args}
    yield {"mcpServers": {"notes": server}, "conversationStore": "notes"}


BOTH = pytest.mark.parametrize("kind", ["http", "mcp"])


@BOTH
async def test_everything_that_does_not_need_more_works(tmp_path: Path, kind: str) -> None:
    with configured(kind, tmp_path) as lines:
        async with table(tmp_path, **lines) as at:
            at.upstream.answers(chat("1"), chat("2"), chat("3"), chat("4"))
            create = at.client.responses.create
            one = await create(model=MODEL, input="one", extra_body={"key": "k"})
            two = await create(model=MODEL, input="two", extra_body={"key": "k"})
            assert [text for _, text in at.asked()] == ["one", "1", "two"]
            assert (await at.client.responses.retrieve(one.id)).output_text == "1"
            assert [i.content[0].text async for i in at.client.responses.input_items.list(two.id)] == ["two"]  # type: ignore[union-attr]
            fork = await create(model=MODEL, input="three", previous_response_id=one.id)
            assert [text for _, text in at.asked()] == ["one", "1", "three"]
            await create(model=MODEL, input="four", previous_response_id=fork.id)
            assert [text for _, text in at.asked()] == ["one", "1", "three", "3", "four"]
            talk: Any = one.conversation
            listed = [i async for i in at.client.conversations.items.list(talk.id, order="asc", limit=1)]
            assert [i.content[0].text for i in listed] == ["one", "1", "two", "2"]  # type: ignore[union-attr]
            assert await at.client.conversations.items.retrieve(listed[1].id or "", conversation_id=talk.id)
            referred: Any = [{"type": "item_reference", "id": listed[1].id}]
            with pytest.raises(openai.InternalServerError, match="cannot look up single items; send the item") as told:
                await create(model=MODEL, input=referred)
            assert told.value.status_code == 501
            with pytest.raises(openai.InternalServerError, match="cannot take out single items") as refused:
                await at.client.conversations.items.delete(listed[1].id or "", conversation_id=talk.id)
            assert refused.value.status_code == 501
        async with table(tmp_path, **lines) as at:
            at.upstream.answers(chat("5"))
            await at.client.responses.create(model=MODEL, input="five", extra_body={"key": "k"})
            assert [text for _, text in at.asked()] == ["one", "1", "two", "2", "five"]
            await at.client.conversations.delete(talk.id)
            assert (await at.http.get("/v1/conversations")).json()["data"] == []
        files = b"".join(file.read_bytes() for file in (tmp_path / "state").iterdir() if file.is_file())
        assert b"five" not in files


async def test_what_another_program_wrote_into_a_thread_is_heard_and_nothing_is_mixed_up(tmp_path: Path) -> None:
    with configured("http", tmp_path) as lines:
        async with table(tmp_path, **lines) as at, httpx2.AsyncClient(trust_env=False, timeout=60) as others:
            at.upstream.answers(chat("1"), chat("2"))
            one = await at.client.responses.create(model=MODEL, input="one", extra_body={"key": "k"})
            with sqlite3.connect(tmp_path / "threads.db") as database:
                (thread,) = next(database.execute("SELECT DISTINCT id FROM threads"))
            address = f"{lines['conversationStore']['url']}/threads/{thread}"
            note = {"messages": [{"role": "user", "content": "a note"}]}
            assert (await others.patch(address, json=note)).is_success
            two = await at.client.responses.create(model=MODEL, input="two", extra_body={"key": "k"})
            assert [text for _, text in at.asked()] == ["one", "1", "a note", "two"]
            assert [(await at.client.responses.retrieve(each.id)).output_text for each in (one, two)] == ["1", "2"]


@BOTH
async def test_a_failed_first_turn_leaves_no_thread(tmp_path: Path, kind: str) -> None:
    with configured(kind, tmp_path) as lines:
        async with table(tmp_path, **lines) as at:
            at.upstream.answers(error(500))
            with pytest.raises(openai.InternalServerError):
                await at.client.responses.create(model=MODEL, input="x", extra_body={"key": "k"})
        if kind == "mcp":
            assert not list((tmp_path / "threads").glob("*"))


async def test_a_thread_that_was_lost_makes_its_conversation_dead_not_empty(tmp_path: Path) -> None:
    with configured("mcp", tmp_path) as lines:
        async with table(tmp_path, **lines) as at:
            at.upstream.answers(chat("1"))
            one = await at.client.responses.create(model=MODEL, input="one", extra_body={"key": "k"})
            for file in (tmp_path / "threads").glob("*"):
                file.unlink()
            with pytest.raises(openai.APIStatusError) as refused:
                await at.client.responses.create(model=MODEL, input="two", extra_body={"key": "k"})
            assert refused.value.status_code == 410
            talk: Any = one.conversation
            assert (await at.http.get(f"/v1/conversations/{talk.id}")).json()["status"] == "dead"
            await at.client.conversations.delete(talk.id)


async def test_a_store_that_cannot_be_reached_keeps_the_handle_and_says_so(tmp_path: Path) -> None:
    with configured("http", tmp_path) as lines:
        async with table(tmp_path, **lines) as at:
            at.upstream.answers(chat("1"))
            one = await at.client.responses.create(model=MODEL, input="one", extra_body={"key": "k"})
            talk: Any = one.conversation
    async with table(tmp_path, **lines) as at:
        with pytest.raises(openai.InternalServerError) as refused:
            await at.client.conversations.delete(talk.id)
        assert refused.value.status_code == 503
        assert (await at.http.get(f"/v1/conversations/{talk.id}")).json()["status"] == "active"
        at.upstream.answers(chat("new"))
        answered = await at.client.responses.create(model=MODEL, input="without the store")
        assert (answered.output_text, answered.model_dump()["store"]) == ("new", False)
    async with table(tmp_path) as at:  # another store is configured now
        with pytest.raises(openai.InternalServerError, match="conversationStore"):
            await at.client.responses.create(model=MODEL, input="x", conversation=talk.id)
