"""Clients that take more than their part: slow bodies, crowds, floods of headers, and those that never read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from starlette.types import Receive, Scope, Send

from tests.clock import Clock
from woollama.server import InProcess, ServeOptions, serve_in_process
from woollama.surfaces.departure import Departure

PATIENCE_S = 60.0
OPTIONS = ServeOptions(shutdown_timeout_s=0.2, header_timeout_s=600)
FINE = b"GET /fine HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /fine HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
PIECE = b"x" * 2**16
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Application:
    """Reads bodies whole. `/held` answers when it is released, `/endless` goes on until its client has left."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.held: asyncio.Queue[None] = asyncio.Queue()
        self.sent_bytes = 0
        self.read_bytes = 0
        self.read = asyncio.Event()
        self.left = asyncio.Event()

    async def has_read(self, size: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.read_bytes < size:
                self.read.clear()
                await self.read.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            self.read_bytes += len(message.get("body", b""))
            self.read.set()
            more = message.get("more_body", False)
        if scope["path"] == "/held":
            self.held.put_nowait(None)
            await self.release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/endless":
            async with Departure(receive):
                while True:
                    await send({"type": "http.response.body", "body": PIECE, "more_body": True})
                    self.sent_bytes += len(PIECE)
                    await asyncio.sleep(0)  # what is sent to nobody waits for nobody, and would let nobody else run
            self.left.set()
            return
        await send({"type": "http.response.body", "body": json.dumps(size).encode()})


@asynccontextmanager
async def connected(server: InProcess) -> AsyncIterator[Pair]:
    reader, writer = await asyncio.open_unix_connection(server.unix_path)
    try:
        yield reader, writer
    finally:
        writer.close()


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), PATIENCE_S)


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)


async def served(pair: Pair, request: bytes = FINE) -> bytes:
    pair[1].write(request)
    return await head_of(pair[0])


# --- bodies ---


@pytest.mark.parametrize(
    "begun",
    [
        POST + b"Content-Length: 100\r\n\r\n",
        POST + b"Content-Length: 100\r\n\r\nxxxx",
        POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nxxxx\r\n",
    ],
)
async def test_a_body_that_stands_still_gets_a_408_in_the_shape_of_every_error(begun: bytes) -> None:
    async with serve_in_process(Application(), replace(OPTIONS, body_timeout_s=0.05)) as server:
        async with connected(server) as (reader, writer):
            writer.write(begun)
            assert (await head_of(reader)).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            body = json.loads(await asyncio.wait_for(reader.readuntil(b"}}"), PATIENCE_S))
            assert body["error"]["code"] == "request_timeout"
            assert "stood still for 0.05 s" in body["error"]["message"]
        async with connected(server) as pair:
            assert b"200 OK" in await served(pair)


async def test_a_body_that_moves_may_take_as_long_as_it_likes(clock: Clock) -> None:
    silence_s, pieces = 600.0, 4
    application = Application()
    async with (
        serve_in_process(application, replace(OPTIONS, body_timeout_s=silence_s)) as server,
        connected(server) as (reader, writer),
    ):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % pieces)
        for number in range(pieces - 1):  # together longer than any one silence may be
            writer.write(b"x")
            await application.has_read(number + 1)
            clock.forward(0.6 * silence_s)
        writer.write(b"x")
        assert b"200 OK" in await head_of(reader)
        assert b"4" in await asyncio.wait_for(reader.readuntil(b"4"), PATIENCE_S)


async def test_a_form_has_a_limit_of_its_own() -> None:
    options = replace(OPTIONS, max_body_bytes=10, max_media_bytes=100)
    form = b"POST /fine HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    async with serve_in_process(Application(), options) as server:
        for head, size, status, named in (
            (POST, 11, b"413", b"--max-body-bytes"),
            (form, 100, b"200", b""),
            (form, 101, b"413", b"--max-media-bytes"),
        ):
            for framed in (b"Content-Length: %d\r\n\r\n%b", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"):
                async with connected(server) as (reader, writer):
                    writer.write(head + b"Connection: close\r\n" + framed % (size, b"x" * size))
                    answer = await to_the_end(reader)
                    assert answer.startswith(b"HTTP/1.1 " + status)
                    assert named in answer


# --- heads ---


async def test_ten_thousand_headers_get_a_431() -> None:
    flood = b"GET /fine HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"h%d: x\r\n" % number for number in range(10_000))
    async with serve_in_process(Application(), OPTIONS) as server:
        async with connected(server) as (reader, writer):
            writer.write(flood + b"\r\n")
            assert (await head_of(reader)).startswith(b"HTTP/1.1 431 ")
        async with connected(server) as pair:
            assert b"200 OK" in await served(pair)


# --- crowds ---


async def test_two_hundred_idle_connections_keep_nobody_out() -> None:
    async with (
        serve_in_process(Application(), replace(OPTIONS, max_connections=20)) as server,
        AsyncExitStack() as open_ones,
    ):
        used = await open_ones.enter_async_context(connected(server))
        assert b"200 OK" in await served(used)
        crowd = [await open_ones.enter_async_context(connected(server)) for _ in range(200)]
        newest = await open_ones.enter_async_context(connected(server))
        assert b"200 OK" in await served(newest)
        # The ones that have been idle for longest made room, and the others still stand.
        assert await to_the_end(crowd[0][0]) == b""
        assert b"200 OK" in await served(crowd[-1])
        assert f"<Serving {20} connections" in repr(server.serving)


async def test_where_all_are_at_work_a_new_one_is_told_when_to_come_again() -> None:
    application = Application()
    async with (
        serve_in_process(application, replace(OPTIONS, max_connections=3)) as server,
        AsyncExitStack() as open_ones,
    ):
        busy = [await open_ones.enter_async_context(connected(server)) for _ in range(3)]
        for _, writer in busy:
            writer.write(FINE.replace(b"fine", b"held"))
        for _ in busy:
            await asyncio.wait_for(application.held.get(), PATIENCE_S)
        async with connected(server) as (reader, _):
            refused = await to_the_end(reader)
            assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"retry-after: 5\r\n" in refused
            assert json.loads(refused.partition(b"\r\n\r\n")[2])["error"]["code"] == "backpressure"
        application.release.set()
        for reader, _ in busy:
            assert b"200 OK" in await head_of(reader)
        async with connected(server) as pair:
            assert b"200 OK" in await served(pair)


# --- readers ---


async def test_a_client_that_never_reads_is_cut_off_and_its_answer_ended() -> None:
    application = Application()
    async with serve_in_process(application, replace(OPTIONS, write_timeout_s=0.1)) as server:
        async with connected(server) as (reader, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(FINE.replace(b"fine", b"endless"))
            await asyncio.wait_for(application.left.wait(), PATIENCE_S)
            assert application.sent_bytes < 2**24  # what the kernel's buffers took, and not what might have been sent
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            with pytest.raises(asyncio.IncompleteReadError):
                await asyncio.wait_for(reader.readexactly(2**24), PATIENCE_S)
        async with connected(server) as pair:
            assert b"200 OK" in await served(pair)


async def test_a_client_that_reads_in_its_own_time_is_not(clock: Clock) -> None:
    application, silence_s = Application(), 600.0
    async with serve_in_process(application, replace(OPTIONS, write_timeout_s=silence_s)) as server:
        async with connected(server) as (reader, writer):
            writer.write(FINE.replace(b"fine", b"endless"))
            for _ in range(4):  # together longer than it may read nothing
                await asyncio.wait_for(reader.readexactly(2**20), PATIENCE_S)  # more than is under way at any time
                clock.forward(0.6 * silence_s)
            await asyncio.wait_for(reader.readexactly(2**20), PATIENCE_S)
            assert not application.left.is_set()
        await asyncio.wait_for(application.left.wait(), PATIENCE_S)
