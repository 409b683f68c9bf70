"""Request bodies in pieces: sent no faster than they are read, and sent again where the first try was in vain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.upstream import CUT, ScriptedUpstream, json, raw
from woollama.domain.errors import UpstreamUnreachable
from woollama.http.request import HttpRequest, Origin
from woollama.http.transport import HttpClient


class Counted:
    """A body that tells how often it was begun and how much of it was asked for."""

    def __init__(self, pieces: int, piece: bytes = b"x" * 65536) -> None:
        self.size_bytes = pieces * len(piece)
        self.begun = 0
        self.given = 0
        self._pieces = pieces
        self._piece = piece

    async def chunks(self) -> AsyncIterator[bytes]:
        self.begun += 1
        for _ in range(self._pieces):
            self.given += 1
            yield self._piece


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    started = HttpClient()
    yield started
    await started.aclose()


def request_to(server: ScriptedUpstream, body: Counted) -> HttpRequest:
    return HttpRequest(Origin("127.0.0.1", server.port), "POST", "/v1/audio/transcriptions", body=body)


async def test_all_pieces_arrive_and_the_connection_is_used_again(server: ScriptedUpstream, client: HttpClient):
    server.answers(json({"text": "a"}), json({"text": "b"}))
    for _ in range(2):
        async with client.exchange(request_to(server, Counted(100))) as answer:
            assert answer.status == 200
            assert [chunk async for chunk in answer]
    assert [len(request.body) for request in server.requests] == [100 * 65536] * 2
    assert server.connections == 1


async def test_a_connection_that_was_closed_while_idle_costs_a_second_sending(
    server: ScriptedUpstream, client: HttpClient
):
    server.answers(json({}), raw(CUT), json({"text": "b"}))
    for _ in range(2):
        body = Counted(3)
        async with client.exchange(request_to(server, body)) as answer:
            assert [chunk async for chunk in answer]
    assert body.begun == 2


async def test_an_upstream_that_refuses_early_is_heard_and_spared_the_rest(client: HttpClient):
    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await writer.drain()
        await left.wait()
        writer.close()

    left = asyncio.Event()
    listening = await asyncio.start_server(refusing, "127.0.0.1", 0, limit=2**16)
    async with listening:
        body = Counted(2000)
        origin = Origin("127.0.0.1", listening.sockets[0].getsockname()[1])
        async with client.exchange(HttpRequest(origin, "POST", "/", body=body)) as answer:
            assert answer.status == 413
            assert b"".join([chunk async for chunk in answer]) == b"no"
        assert body.given < 2000
        assert client.idle == 0  # half a request was sent on it
        left.set()


async def test_an_upstream_that_leaves_in_the_middle_is_an_error(client: HttpClient):
    async def leaving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    listening = await asyncio.start_server(leaving, "127.0.0.1", 0)
    async with listening:
        origin = Origin("127.0.0.1", listening.sockets[0].getsockname()[1])
        with pytest.raises(UpstreamUnreachable):
            async with client.exchange(HttpRequest(origin, "POST", "/", body=Counted(2000))):
                raise AssertionError("nobody answered")
    assert client.open == 0
