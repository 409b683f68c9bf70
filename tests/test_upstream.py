"""The scripted upstream itself, so that a test that leans on it can trust it."""

from __future__ import annotations

import asyncio

from tests import chat_wire, upstream
from tests.upstream import ScriptedUpstream, chat, chat_stream


async def exchange(server: ScriptedUpstream, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    return reader, writer


POST = (
    b'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 16\r\n\r\n{"stream": true}'
)


async def test_answers_are_given_in_order_and_requests_are_kept():
    async with ScriptedUpstream() as server:
        server.answers(chat("one"), upstream.error(429, headers={"retry-after": "1"}))
        for expected in (b"one", b"retry-after: 1", b"no answer is scripted for request 3"):
            reader, writer = await exchange(server, POST)
            reply = b""
            while expected not in reply:
                reply += await reader.read(65536)
            writer.close()
        assert [request.json for request in server.requests] == [{"stream": True}] * 3
        assert server.requests[0].path == "/v1/chat/completions"


async def test_an_event_holds_the_answer_and_a_departure_is_seen():
    gate = asyncio.Event()
    async with ScriptedUpstream() as server:
        server.answers(upstream.sse([chat_wire.frame(1), gate, chat_wire.frame(2)]), chat_stream("hi", stall_after=1))
        reader, writer = await exchange(server, POST)
        await reader.readuntil(b"data: 1\n\n")
        assert server.active_requests == 1
        gate.set()
        await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        await server.until(lambda: server.requests[0].answered and not server.open_connections)

        reader, writer = await exchange(server, POST)
        await reader.readuntil(b"assistant")
        writer.close()
        await server.until(lambda: server.requests[1].left_early and not server.active_requests)


async def test_a_cut_ends_the_connection_inside_the_body():
    async with ScriptedUpstream() as server:
        server.answers(chat_stream("never seen whole", cut_after=2))
        reader, writer = await exchange(server, POST)
        received = await reader.read()
        assert received.count(b"data: ") == 2
        assert not received.endswith(b"0\r\n\r\n")
        writer.close()
