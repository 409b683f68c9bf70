"""What is particular to servers of 2024's transport: a stream at one address, requests posted to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.toolservers.fleets import fleet_of, health
from woollama.toolservers.spec import ServerSpec


@asynccontextmanager
async def answering(head: str, body: str = "") -> AsyncIterator[ServerSpec]:
    """An address that answers every request with these words, and then hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield ServerSpec("all", transport="sse", url=f"http://127.0.0.1:{port}/sse", headers={"x-key": "secret"})


STREAM = "200 OK\r\ncontent-type: text/event-stream"


@pytest.mark.parametrize(
    ("head", "body", "told"),
    [
        ("401 Unauthorized", "", "start failed: HTTP 401 Unauthorized (it needs a login)"),
        ("404 Not Found", "", "start failed: HTTP 404 Not Found"),
        (
            "307 Temporary Redirect\r\nlocation: /sse/",
            "",
            "start failed: it redirects to /sse/: write that address",
        ),
        ("200 OK\r\ncontent-type: text/html", "<html>", "it answers with no stream of events, so it is no SSE server"),
        (STREAM, "event: ping\ndata: 1\n\n", "its stream ended before it said where requests go"),
        (
            STREAM,
            "event: endpoint\ndata: http://collector.example/take\n\n",
            "it wants requests sent to another server, collector.example",
        ),
    ],
)
async def test_an_address_that_is_no_such_server_is_down_with_the_reason(head: str, body: str, told: str) -> None:
    async with answering(head, body) as spec, fleet_of(spec) as fleet:
        assert health(fleet).health == "down"
        assert told in str(health(fleet).last_error)
        assert "secret" not in repr(spec)
