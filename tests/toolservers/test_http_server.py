"""What is particular to a server behind an address: forgotten sessions, refusals, answers that break off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest

from tests.toolservers.fleets import PATIENCE_S, call, fleet_of, health, said
from tests.toolservers.servers.handmade_http import HandmadeHttp
from woollama.domain.tools import Returned
from woollama.toolservers.spec import ServerSpec
from woollama.toolservers.streamable_http import ReadToItsEnd, SoftFail


@pytest.fixture
async def server() -> AsyncIterator[HandmadeHttp]:
    async with HandmadeHttp().serving() as running:
        yield running


def spec_of(server: HandmadeHttp) -> ServerSpec:
    return ServerSpec("all", transport="http", url=f"http://127.0.0.1:{server.port}/mcp")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (404, b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "Session not found"}}'),
        (400, b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "No valid session ID provided"}}'),
    ],
)
async def test_a_call_on_a_forgotten_session_is_made_once_on_a_new_one(
    server: HandmadeHttp, status: int, body: bytes
) -> None:
    async with fleet_of(spec_of(server)) as fleet:
        server.forget(status, body)
        assert await said(fleet, "all__act") == "acted"
        assert server.called == ["act"]
        assert health(fleet).attempts == 2


async def test_an_answer_that_breaks_off_fails_its_call_and_not_the_session(server: HandmadeHttp) -> None:
    async with fleet_of(spec_of(server)) as fleet:
        server.cut = True
        outcome = await call(fleet, "all__act")
        assert isinstance(outcome, Returned)
        assert "what it did is unknown" in outcome.for_model()
        server.cut = False
        assert await said(fleet, "all__act") == "acted"
        assert server.called == ["act", "act"]
        assert health(fleet).attempts == 1


@pytest.fixture
def a_defect_in_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tool call raises inside the session, as no transport should: that ends the session from within."""
    read, struck = SoftFail._read, False

    async def broken(self: SoftFail, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        nonlocal struck
        if not struck and b"tools/call" in await request.aread():
            struck = True
            raise RuntimeError("a defect")
        return await read(self, request, response)

    monkeypatch.setattr(SoftFail, "_read", broken)


@pytest.mark.usefixtures("a_defect_in_the_library")
async def test_a_session_that_breaks_from_within_is_replaced(
    server: HandmadeHttp, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet_of(spec_of(server)) as fleet:
        assert "what it did is unknown" in (await call(fleet, "all__act")).for_model()
        assert await said(fleet, "all__act") == "acted"
        assert health(fleet).attempts == 2
    assert "all: its session broke: a defect" in caplog.messages


async def test_a_server_that_only_says_that_its_connection_is_closed_gets_a_new_one(server: HandmadeHttp) -> None:
    said_by_it = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "Connection closed"}}'
    async with fleet_of(spec_of(server)) as fleet:
        server.refuse = 400, "application/json", said_by_it
        assert "what it did is unknown" in (await call(fleet, "all__act")).for_model()
        server.refuse = None
        assert await said(fleet, "all__act") == "acted"
        assert health(fleet).attempts == 2


@pytest.mark.usefixtures("a_defect_in_the_library")
async def test_a_session_that_breaks_at_the_moment_of_closing_still_closes(server: HandmadeHttp) -> None:
    async with fleet_of(spec_of(server)) as fleet:
        await call(fleet, "all__act")
        await asyncio.wait_for(fleet.close(), PATIENCE_S)


@pytest.mark.parametrize(
    ("status", "kind", "content", "told"),
    [
        (502, "text/html", b"<html>Bad Gateway</html>", "Error: HTTP 502 Bad Gateway"),
        (401, "text/plain", b"", "Error: HTTP 401 Unauthorized (it needs a login)"),
        (200, "text/html", b"<html>Welcome</html>", "Error: Unexpected content type: text/html"),
        (
            400,
            "application/json",
            b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32602, "message": "no such thing"}}',
            "Error: no such thing",
        ),
    ],
)
async def test_a_refusal_is_told_to_the_model_and_the_session_goes_on(
    server: HandmadeHttp, status: int, kind: str, content: bytes, told: str
) -> None:
    async with fleet_of(spec_of(server)) as fleet:
        server.refuse = status, kind, content
        assert (await call(fleet, "all__act")).for_model() == told
        server.refuse = None
        assert await said(fleet, "all__act") == "acted"
        assert health(fleet).attempts == 1


async def test_configured_headers_are_sent_and_never_shown(server: HandmadeHttp) -> None:
    spec = replace(spec_of(server), headers={"authorization": "Bearer secret"})
    assert "secret" not in repr(spec)
    async with fleet_of(spec) as fleet:
        await said(fleet, "all__act")
        assert {headers["authorization"] for headers in server.headers} == {"Bearer secret"}
        assert "secret" not in repr(fleet)


class Chunks(httpx2.AsyncByteStream):
    """A stream of which it is seen how far it was read."""

    def __init__(self, *chunks: bytes, never_ends: bool = False) -> None:
        self.chunks = list(chunks)
        self.closed = False
        self._never_ends = never_ends

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.chunks:
            yield self.chunks.pop(0)
        if self._never_ends:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("never_ends", [False, True])
async def test_a_stream_that_is_closed_with_its_answer_is_read_to_its_end_or_for_a_moment(never_ends: bool) -> None:
    inner = Chunks(b"answer", b"end", never_ends=never_ends)
    stream = ReadToItsEnd(inner)
    assert await anext(aiter(stream)) == b"answer"
    await asyncio.wait_for(stream.aclose(), PATIENCE_S)
    assert inner.chunks == []
    assert inner.closed
