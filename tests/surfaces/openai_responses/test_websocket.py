"""`/v1/responses` over a WebSocket: turns one after the other, memory of the connection, and who may connect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.dialects.responses_wire import check_wires
from tests.stateful import MODEL, Table, table
from tests.upstream import STALL, chat_stream, error, raw


@asynccontextmanager
async def connected(at: Table, **headers: str) -> AsyncIterator[ClientConnection]:
    url = str(at.http.base_url).replace("http://", "ws://") + "/v1/responses"
    async with connect(url, additional_headers=headers) as socket:
        yield socket


async def turn(socket: ClientConnection, text: str, **asked: Any) -> list[dict[str, Any]]:
    await socket.send(json.dumps({"type": "response.create", "model": MODEL, "input": text, **asked}))
    return await heard(socket)


async def heard(socket: ClientConnection) -> list[dict[str, Any]]:
    """The events of one turn, or its error."""
    seen: list[dict[str, Any]] = []
    ends = ("response.completed", "response.incomplete", "response.failed", "error")
    while not seen or seen[-1]["type"] not in ends:
        seen.append(json.loads(await asyncio.wait_for(socket.recv(), 60)))
    return seen


async def test_each_turn_is_a_whole_valid_stream_of_events(tmp_path: Path) -> None:
    async with table(tmp_path) as at, connected(at) as socket:
        at.upstream.answers(chat_stream("one two", reasoning="hm"), chat_stream("three"))
        first = await turn(socket, "hi")
        check_wires(first)
        assert first[-1]["response"]["output"][-1]["content"][0]["text"] == "one two"
        second = await turn(socket, "and?", previous_response_id=first[-1]["response"]["id"])
        check_wires(second)
        assert [text for _, text in at.asked()] == ["hi", "one two", "and?"]
        read = await at.client.responses.retrieve(second[-1]["response"]["id"])
        assert read.output_text == "three"


async def test_a_connection_remembers_what_must_not_be_stored_and_another_does_not(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        async with connected(at) as socket:
            at.upstream.answers(chat_stream("1"), chat_stream("2"), chat_stream("3"))
            first = await turn(socket, "a", store=False)
            second = await turn(socket, "b", store=False, previous_response_id=first[-1]["response"]["id"])
            assert second[-1]["response"]["previous_response_id"] == first[-1]["response"]["id"]
            await turn(socket, "c", store=False, previous_response_id=second[-1]["response"]["id"])
            assert [text for _, text in at.asked()] == ["a", "1", "b", "2", "c"]
        async with connected(at) as again:
            (lost,) = await turn(again, "d", store=False, previous_response_id=first[-1]["response"]["id"])
            assert (lost["status"], lost["error"]["code"]) == (404, "previous_response_not_found")
            at.upstream.answers(chat_stream("4"))
            assert (await turn(again, "e"))[-1]["type"] == "response.completed"


async def test_what_a_connection_remembers_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("woollama.surfaces.openai_responses.websocket.MOST_TURNS", 2)
    async with table(tmp_path) as at, connected(at) as socket:
        at.upstream.answers(*(chat_stream(str(number)) for number in range(4)))
        ids = [(await turn(socket, "x", store=False))[-1]["response"]["id"] for _ in range(3)]
        (lost,) = await turn(socket, "y", store=False, previous_response_id=ids[0])
        assert lost["error"]["code"] == "previous_response_not_found"
        assert (await turn(socket, "y", store=False, previous_response_id=ids[1]))[-1]["type"] == "response.completed"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("not json", "JSON"),
        ('{"type": "response.cancel"}', "response.create"),
        ('{"type": "response.create", "model": "nobody/x", "input": "x"}', "nobody/x"),
        (json.dumps({"type": "response.create", "model": MODEL, "input": "x", "background": True}), "background"),
        (json.dumps({"type": "response.create", "model": MODEL}), "input"),
    ],
)
async def test_what_cannot_be_answered_is_an_error_and_the_connection_lives(
    tmp_path: Path, message: str, told: str
) -> None:
    async with table(tmp_path) as at, connected(at) as socket:
        await socket.send(message)
        (refused,) = await heard(socket)
        assert (refused["type"], refused["status"] // 100) == ("error", 4)
        assert told in refused["error"]["message"]
        at.upstream.answers(chat_stream("fine"))
        assert (await turn(socket, "x"))[-1]["type"] == "response.completed"


async def test_an_upstream_that_fails_ends_the_turn_and_not_the_connection(tmp_path: Path) -> None:
    async with table(tmp_path) as at, connected(at) as socket:
        at.upstream.answers(error(500), chat_stream("cut off here", cut_after=3), chat_stream("fine"))
        (refused,) = await turn(socket, "x")
        assert (refused["type"], refused["status"], refused["error"]["at_fault"]) == ("error", 500, "upstream")
        assert (await turn(socket, "x"))[-1]["type"] == "response.failed"
        assert (await turn(socket, "x"))[-1]["type"] == "response.completed"


async def test_a_client_that_leaves_takes_its_turn_along(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        async with connected(at) as socket:
            at.upstream.answers(raw(STALL))
            await socket.send(json.dumps({"type": "response.create", "model": MODEL, "input": "x"}))
            await at.upstream.until(lambda: at.upstream.active_requests)
        await at.upstream.until(lambda: not at.upstream.active_requests)


async def test_a_foreign_page_is_refused_at_the_handshake(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        with pytest.raises(InvalidStatus) as refused:
            async with connected(at, origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403


async def test_an_end_of_the_daemon_closes_it_in_order(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        socket = await connect(str(at.http.base_url).replace("http://", "ws://") + "/v1/responses")
        at.upstream.answers(chat_stream("1"))
        await turn(socket, "x")
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
