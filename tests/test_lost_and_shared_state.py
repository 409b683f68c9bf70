"""A daemon that is killed in the middle of a turn, two on one database, writers at once, and a store that fails."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from tests.postgres import needs_postgres, postgres
from tests.stateful import MODEL, PATIENCE_S, table, write_config
from tests.upstream import STALL, ScriptedUpstream, chat, chat_stream, raw
from woollama.core.unstored import Held, Unstored
from woollama.domain.state import Handle, StoredResponse
from woollama.stores.database import open_database
from woollama.stores.tables import Tables


@contextmanager
def process(directory: Path, state: Path, url: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """`woollama serve` as a process, listening on the socket in `directory`."""
    environ = {
        **os.environ,
        "HOME": str(directory),
        "XDG_RUNTIME_DIR": str(directory),
        "WOOLLAMA_CONFIG_DIR": str(directory / "config"),
        "WOOLLAMA_STATE_DIR": str(state),
        "WOOLLAMA_STATE_URL": url,
    }
    words = [sys.executable, "-m", "woollama", "serve", "--address", "127.0.0.1:0"]
    with subprocess.Popen(words, env=environ, stderr=subprocess.DEVNULL) as running:
        try:
            yield running
        finally:
            running.kill()


@asynccontextmanager
async def client_of(directory: Path) -> AsyncIterator[AsyncOpenAI]:
    path = directory / "woollama.sock"
    async with asyncio.timeout(PATIENCE_S):
        while not _listens(path):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    async with (
        httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=PATIENCE_S) as http,
        AsyncOpenAI(base_url="http://localhost/v1", api_key="x", http_client=http, max_retries=0) as client,
    ):
        yield client


async def streamed(client: AsyncOpenAI, response_id: str, **after: Any) -> list[str]:
    """The kinds of the events of a response in the background, once it has ended."""
    return [event.type async for event in await client.responses.retrieve(response_id, stream=True, **after)]


def _listens(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
    except OSError:
        return False
    return True


def home(directory: Path, upstream: ScriptedUpstream) -> Path:
    directory.mkdir(mode=0o700)
    write_config(directory / "config", upstream.base_url, {})
    return directory


async def test_a_killed_daemon_loses_the_turn_that_it_was_in_and_says_so_at_its_next_start(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream:
        place = home(tmp_path / "home", upstream)
        with process(place, tmp_path / "state") as daemon:
            async with client_of(place) as client:
                upstream.answers(chat("one"), raw(STALL), raw(STALL))
                kept = await client.responses.create(model=MODEL, input="1", extra_body={"key": "k"})
                lost = await client.responses.create(model=MODEL, input="2", background=True, extra_body={"key": "k"})
                new = await client.responses.create(model=MODEL, input="3", background=True, extra_body={"key": "n"})
                await upstream.until(lambda: upstream.active_requests == 2)
            daemon.send_signal(signal.SIGKILL)
            daemon.wait(PATIENCE_S)
        with process(place, tmp_path / "state"):
            async with client_of(place) as client:
                for response in (lost, new):
                    failed = await client.responses.retrieve(response.id)
                    assert failed.status == "failed"
                    assert failed.error is not None
                    assert "ended before this response was complete" in failed.error.message
                upstream.answers(chat("two"))
                after = await client.responses.create(model=MODEL, input="2 again", extra_body={"key": "k"})
                assert after.conversation == kept.conversation
                said = [message["content"] for message in upstream.requests[-1].json["messages"]]
                assert said == ["1", "one", "2 again"]
                listed = (await client.get("/conversations", cast_to=httpx2.Response)).json()["data"]
                assert [each["key"] for each in listed] == ["k"]


@needs_postgres
async def test_two_daemons_on_one_postgresql_continue_each_others_conversations(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream:
        places = [home(tmp_path / name, upstream) for name in ("a", "b")]
        with (
            postgres() as url,
            process(places[0], tmp_path / "state-a", url),
            process(places[1], tmp_path / "state-b", url) as second,
        ):
            async with client_of(places[0]) as one, client_of(places[1]) as other:
                upstream.answers(chat("1"), chat("2"), chat("3"))
                first = await one.responses.create(model=MODEL, input="a", extra_body={"key": "k"})
                await other.responses.create(model=MODEL, input="b", extra_body={"key": "k"})
                chained = await one.responses.create(model=MODEL, input="c", previous_response_id=first.id)
                said = [message["content"] for message in upstream.requests[-1].json["messages"]]
                assert said == ["a", "1", "c"]
                assert (await other.responses.retrieve(chained.id)).output_text == "3"

                # a cancellation reaches the instance that runs it, and a turn waits for its neighbour elsewhere
                upstream.answers(raw(STALL), chat("4"))
                running = await other.responses.create(model=MODEL, input="d", background=True, extra_body={"key": "k"})
                await upstream.until(lambda: upstream.active_requests)
                waiting = asyncio.create_task(one.responses.create(model=MODEL, input="e", extra_body={"key": "k"}))
                listening = asyncio.create_task(streamed(one, running.id, starting_after=0))
                await one.responses.cancel(running.id)
                assert (await waiting).output_text == "4"
                assert (await one.responses.retrieve(running.id)).status == "cancelled"
                assert await listening == (await streamed(other, running.id))[1:]

                # what is said in the background is heard at the other instance while it is said
                may_end = asyncio.Event()
                said = chat_stream("one two three").steps
                upstream.answers(raw(*said[:3], may_end, *said[3:]))
                told = await other.responses.create(model=MODEL, input="tell", background=True)
                heard = []
                async for event in await one.responses.retrieve(told.id, stream=True):
                    heard.append(event)
                    if event.type == "response.output_text.delta":
                        may_end.set()  # it would never end if this were heard at its end only
                assert heard == [event async for event in await other.responses.retrieve(told.id, stream=True)]
                assert heard[-1].type == "response.completed"

                # many writers at once: every turn is whole, none is lost
                upstream.always(chat("ok"))
                await asyncio.gather(
                    *(
                        each.responses.create(model=MODEL, input=f"n{number}", extra_body={"key": "many"})
                        for number in range(6)
                        for each in (one, other)
                    )
                )
                (many,) = [
                    each
                    for each in (await one.get("/conversations", cast_to=httpx2.Response)).json()["data"]
                    if each["key"] == "many"
                ]
                items: list[Any] = [item async for item in other.conversations.items.list(many["id"], order="asc")]
                assert [item.role for item in items] == ["user", "assistant"] * 12

                # nobody beats for one that was killed, and a new one at its place knows that
                upstream.answers(raw(STALL))
                lost = await other.responses.create(model=MODEL, input="f", background=True)
                await upstream.until(lambda: upstream.active_requests)
                second.kill()
                second.wait(PATIENCE_S)
                with process(places[1], tmp_path / "state-b", url):
                    async with client_of(places[1]) as again:
                        assert (await again.responses.retrieve(lost.id)).status == "failed"
                        assert (await one.responses.retrieve(lost.id)).status == "failed"
                        assert await streamed(one, lost.id) == ["response.failed"]


async def test_an_answer_whose_store_fails_is_given_and_marked(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(chat("first"))
        first = await at.client.responses.create(model=MODEL, input="1")

        def break_it(request: Any) -> Any:
            with sqlite3.connect(tmp_path / "state" / "state.db") as database:
                database.execute("DROP TABLE items")
            return chat("second")(request)  # type: ignore[operator]

        at.upstream.answers(break_it)
        answered = await at.client.responses.create(model=MODEL, input="2", previous_response_id=first.id)
        assert answered.output_text == "second"
        told = answered.model_dump()
        assert told["store"] is False
        assert any("not stored" in each for each in told["x_woollama"]["rewrites"])


async def test_a_background_answer_whose_store_fails_is_read_from_memory_and_ends(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(chat("warm"))
        await at.client.responses.create(model=MODEL, input="x")

        def break_it(request: Any) -> Any:
            with sqlite3.connect(tmp_path / "state" / "state.db") as database:
                database.execute("DROP TABLE items")
            return chat("precious")(request)  # type: ignore[operator]

        at.upstream.answers(break_it)
        asked = await at.client.responses.create(model=MODEL, input="1", background=True, extra_body={"key": "k"})
        answered = await at.ended(asked.id)
        assert (answered.status, answered.output_text) == ("completed", "precious")
        assert answered.model_dump()["store"] is False
        assert [event.type for event in [e async for e in await at.client.responses.retrieve(asked.id, stream=True)]][
            -1
        ] == "response.completed"
        assert [i.content[0].text async for i in at.client.responses.input_items.list(asked.id)] == ["1"]  # type: ignore[union-attr]
        with pytest.raises(openai.BadRequestError, match="could not be stored"):
            await at.client.responses.create(model=MODEL, input="2", previous_response_id=asked.id)
    async with table(tmp_path) as at:  # what was in memory is gone, and nothing says that it still runs
        assert (await at.client.responses.retrieve(asked.id)).status == "failed"


async def test_rows_that_could_not_be_ended_are_mended_later(tmp_path: Path) -> None:
    database = open_database(f"sqlite://{tmp_path / 'state' / 'state.db'}")
    tables = Tables(database)
    row = StoredResponse("resp_1", "m", "in_progress", handle="conv_1", background=True, body={"id": "resp_1"})
    await tables.add_handle(Handle("conv_1", "store", listed=True, key="k", status="opening"))
    await tables.add_response(row)
    unstored = Unstored(tables)
    unstored.hold(Held(replace(row, status="completed"), (), None), "conv_1")
    await unstored.mend()
    await unstored.mend()
    told = await tables.response("resp_1")
    assert told is not None
    assert (told.status, told.body["status"], told.handle) == ("failed", "failed", None)
    assert await tables.handle("conv_1") is None
    assert unstored.get("resp_1") is not None
    await database.close()


async def test_a_state_directory_that_cannot_be_written_stops_only_what_needs_it(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")
    async with table(tmp_path) as at:
        at.upstream.answers(chat("hello"))
        answered = await at.client.responses.create(model=MODEL, input="hi")
        assert (answered.output_text, answered.model_dump()["store"]) == ("hello", False)
        assert len(answered.model_dump()["x_woollama"]["rewrites"]) == 1
        with pytest.raises(openai.InternalServerError) as refused:
            await at.client.responses.create(model=MODEL, input="hi", store=True)
        assert refused.value.status_code == 503
        assert "state" in str(refused.value)


async def test_a_conversation_of_two_thousand_items(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        talk = await at.client.conversations.create()
        for begin in range(0, 2000, 20):
            batch: Any = [{"type": "message", "role": "user", "content": f"line {n}"} for n in range(begin, begin + 20)]
            await at.client.conversations.items.create(talk.id, items=batch)
        at.upstream.answers(chat("long"))
        answered = await at.client.responses.create(model=MODEL, input="and?", conversation=talk.id)
        assert len(at.asked()) == 2001
        texts = [item.content[0].text async for item in at.client.conversations.items.list(talk.id, limit=100)]  # type: ignore[union-attr]
        assert len(texts) == 2002
        assert texts[:3] == ["long", "and?", "line 1999"]
        at.upstream.answers(chat("fork"))
        await at.client.responses.create(model=MODEL, input="x", previous_response_id=answered.id)
        assert len(at.asked()) == 2003
