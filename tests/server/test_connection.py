"""What comes in on a connection before there is a request: garbage, floods, silence."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from starlette.types import Receive, Scope, Send

from woollama.server import InProcess, ServeOptions, serve_in_process

PATIENCE_S = 60.0
FINE = b"GET /fine HTTP/1.1\r\nHost: localhost\r\n\r\n"
OPTIONS = ServeOptions(shutdown_timeout_s=0.2, max_header_bytes=4096, max_headers=20, header_timeout_s=600)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    names = sorted(name.decode() for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/slow":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await scope["state"]["release"].wait()
    await send({"type": "http.response.body", "body": json.dumps(names).encode()})


class Slow:
    """The application with a hold on its `/slow` answer."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["release"] = self.release
        await application(scope, receive, send)


@asynccontextmanager
async def connected(
    server: InProcess, said: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """What was `said` is there when the server first hears of the connection: no clock of its own begins before."""
    reader, writer = await asyncio.open_unix_connection(sock=connecting(server, said))
    try:
        yield reader, writer
    finally:
        writer.close()


def connecting(server: InProcess, said: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(server.unix_path))
    sock.sendall(said)
    sock.setblocking(False)
    return sock


async def until(reader: asyncio.StreamReader, mark: bytes) -> bytes:
    return await asyncio.wait_for(reader.readuntil(mark), PATIENCE_S)


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server closes, also if it does so while it is still being written to."""
    seen = b""
    try:
        while chunk := await asyncio.wait_for(reader.read(65536), PATIENCE_S):
            seen += chunk
    except ConnectionResetError:
        pass
    return seen


async def still_serves(server: InProcess) -> bool:
    async with connected(server) as (reader, writer):
        writer.write(FINE)
        return b"200 OK" in await until(reader, b"\r\n\r\n")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0" * 64,
    ],
)
async def test_garbage_gets_a_400_and_does_no_harm(garbage: bytes) -> None:
    async with serve_in_process(application, OPTIONS) as server:
        async with connected(server) as (reader, writer):
            writer.write(garbage)
            answer = await to_the_end(reader)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"x-request-id: req_" in head
            assert json.loads(body)["error"]["code"] == "bad_request"
        assert await still_serves(server)


@pytest.mark.parametrize(
    "flood",
    [
        b"GET /fine HTTP/1.1\r\nHost: localhost\r\nx: " + b"y" * 5000 + b"\r\n\r\n",
        b"GET /" + b"y" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /fine HTTP/1.1\r\nHost: localhost\r\n" + b"x: y\r\n" * 20 + b"\r\n",
    ],
)
async def test_headers_that_are_too_large_or_too_many_get_a_431(flood: bytes) -> None:
    async with serve_in_process(application, OPTIONS) as server:
        async with connected(server) as (reader, writer):
            writer.write(flood)
            assert (await to_the_end(reader)).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert await still_serves(server)


async def test_an_endless_header_is_cut_off() -> None:
    async with serve_in_process(application, OPTIONS) as server:
        async with connected(server) as (_, writer):
            writer.write(b"GET /fine HTTP/1.1\r\nHost: localhost\r\nx: ")

            async def pour() -> None:
                for _ in range(2**12):
                    writer.write(b"y" * 65536)
                    await asyncio.wait_for(writer.drain(), PATIENCE_S)

            with pytest.raises(ConnectionError):
                await pour()
        assert await still_serves(server)


async def test_headers_up_to_the_limits_are_fine_on_every_request_of_a_connection() -> None:
    large = b"GET /fine HTTP/1.1\r\nHost: localhost\r\n" + b"x: y\r\n" * 18 + b"z: " + b"y" * 3800 + b"\r\n\r\n"
    async with serve_in_process(application, OPTIONS) as server, connected(server) as (reader, writer):
        for _ in range(3):
            for part in (large[:50], large[50:]):
                writer.write(part)
                await writer.drain()
            assert b"200 OK" in await until(reader, b"]\r\n0\r\n\r\n")


async def test_half_a_request_line_is_closed_in_the_end() -> None:
    async with serve_in_process(application, replace(OPTIONS, header_timeout_s=0.1)) as server:
        async with connected(server, b"GET /fi") as (reader, _):
            assert (await to_the_end(reader)).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        async with connected(server) as (reader, _):
            assert await to_the_end(reader) == b""


async def test_a_drip_of_headers_does_not_buy_time() -> None:
    options = replace(OPTIONS, header_timeout_s=0.2)
    loop = asyncio.get_running_loop()
    async with serve_in_process(application, options) as server:
        with connecting(server, FINE[:-2]) as drip:  # a stream would lose the answer when a write comes after the end
            reading = asyncio.create_task(loop.sock_recv(drip, 65536))
            while not reading.done():
                with suppress(ConnectionError):
                    drip.send(b"x")
                await asyncio.wait({reading}, timeout=0.02)
            assert (await reading).startswith(b"HTTP/1.1 408 ")


async def test_a_request_that_takes_long_to_answer_is_not_a_slow_request() -> None:
    slow = Slow()
    options = replace(OPTIONS, header_timeout_s=0.05)
    # The half of another request behind it must not end the answer either.
    asked = FINE.replace(b"fine", b"slow") + b"GET /half"
    async with serve_in_process(slow, options) as server, connected(server, asked) as (reader, _):
        await until(reader, b"begun")
        asyncio.get_running_loop().call_later(4 * options.header_timeout_s, slow.release.set)
        assert await until(reader, b"]\r\n0\r\n\r\n")


async def test_garbage_behind_a_request_does_not_end_up_inside_its_answer() -> None:
    slow = Slow()
    async with serve_in_process(slow, OPTIONS) as server:
        async with connected(server) as (reader, writer):
            writer.write(FINE.replace(b"fine", b"slow"))
            await until(reader, b"begun")
            writer.write(b"\0\0\0\0")
            assert b"HTTP/1.1 400" not in await to_the_end(reader)
        assert await still_serves(server)


async def test_a_body_that_breaks_off_into_garbage_is_a_400() -> None:
    post = b"POST /fine HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    post += b"Content-Type: application/json\r\n\r\n"
    async with serve_in_process(application, OPTIONS) as server:
        for garbage in (b"zz\r\n{}\r\n", b"2\r\n{}\r\nzz\r\n"):
            async with connected(server) as (reader, writer):
                writer.write(post + garbage)
                answer = await to_the_end(reader)
                assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
                assert answer.count(b"HTTP/1.1") == 1
        assert await still_serves(server)


async def test_trailers_do_not_become_headers() -> None:
    request = (
        b"POST /fine HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nOrigin: https://evil.example\r\nX-Trailer: 1\r\n\r\n"
    )
    async with serve_in_process(application, OPTIONS) as server, connected(server) as (reader, writer):
        writer.write(request)
        shown = await until(reader, b"]")
        assert b"content-type" in shown
        assert b"trailer" not in shown
        assert b"origin" not in shown


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serve_in_process(application, OPTIONS) as server, connected(server) as (reader, writer):
        writer.write(FINE + FINE.replace(b"Host", b"First: 1\r\nHost") + FINE)
        answers = [await until(reader, b"]\r\n0\r\n\r\n") for _ in range(3)]
        assert [b'"first"' in answer for answer in answers] == [False, True, False]
