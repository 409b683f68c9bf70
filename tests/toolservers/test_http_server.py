"""What is particular to a server behind an address: forgotten sessions, refusals, answers that break off."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.certificates import tls_contexts
from tests.toolservers.fleets import PATIENCE_S, call, fleet_of, health, said, until_health
from tests.toolservers.servers.handmade_http import HandmadeHttp
from woollama.domain.tools import Returned
from woollama.toolservers.spec import ServerSpec


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


async def test_a_server_that_only_says_that_its_connection_is_closed_gets_a_new_one(server: HandmadeHttp) -> None:
    said_by_it = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "Connection closed"}}'
    async with fleet_of(spec_of(server)) as fleet:
        server.refuse = 400, "application/json", said_by_it
        assert "what it did is unknown" in (await call(fleet, "all__act")).for_model()
        server.refuse = None
        assert await said(fleet, "all__act") == "acted"
        assert health(fleet).attempts == 2


@pytest.mark.parametrize(
    ("status", "kind", "content", "told"),
    [
        (502, "text/html", b"<html>Bad Gateway</html>", "Error: HTTP 502 Bad Gateway"),
        (401, "text/plain", b"", "Error: HTTP 401 Unauthorized (it needs a login)"),
        (
            200,
            "text/html",
            b"<html>Welcome</html>",
            "Error: the server answers with text/html, which is no message of the protocol",
        ),
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


async def test_a_stream_that_never_ends_after_its_answer_is_left(server: HandmadeHttp) -> None:
    async with fleet_of(spec_of(server)) as fleet:
        server.ends_after_s = 3600.0
        async with asyncio.timeout(PATIENCE_S):
            assert [await said(fleet, "all__act") for _ in range(3)] == ["acted"] * 3


async def test_a_server_that_has_moved_within_itself_is_followed(server: HandmadeHttp) -> None:
    server.moved_from = "/mcp"
    async with fleet_of(spec_of(server)) as fleet:
        assert await said(fleet, "all__act") == "acted"


async def test_who_is_sent_to_another_server_does_not_go_there(server: HandmadeHttp) -> None:
    async with HandmadeHttp().serving() as stranger:
        server.refuse = 307, "text/plain", b""
        elsewhere = f"http://127.0.0.1:{stranger.port}/mcp"
        server.location = {"location": elsewhere}
        async with fleet_of(spec_of(server)) as fleet:
            assert (await call(fleet, "all__act")).for_model() == (
                f"Error: the server redirects to {elsewhere}: write that address"
            )
        assert stranger.connections == 0


async def test_a_balancers_cookie_comes_back_with_every_request(server: HandmadeHttp) -> None:
    server.cookie = "lb=7; Path=/; HttpOnly"
    async with fleet_of(spec_of(server)) as fleet:
        await said(fleet, "all__act")
    assert {headers.get("cookie") for headers in server.headers if "mcp-session-id" in headers} == {"lb=7"}


@pytest.mark.parametrize(
    ("address", "headers", "sent"),
    [
        ("user:p%40ss@127.0.0.1", {}, "Basic dXNlcjpwQHNz"),
        ("user@127.0.0.1", {"Authorization": "Bearer own"}, "Bearer own"),
    ],
)
async def test_the_user_in_an_address_is_whom_the_server_is_asked_for(
    server: HandmadeHttp, address: str, headers: dict[str, str], sent: str
) -> None:
    spec = replace(spec_of(server), url=f"http://{address}:{server.port}/mcp", headers=headers)
    async with fleet_of(spec) as fleet:
        await said(fleet, "all__act")
    assert {each["authorization"] for each in server.headers} == {sent}


async def test_a_configured_host_header_is_the_only_one(server: HandmadeHttp) -> None:
    async with fleet_of(replace(spec_of(server), headers={"Host": "tools.example"})) as fleet:
        await said(fleet, "all__act")
    assert {each["host"] for each in server.headers} == {"tools.example"}


@asynccontextmanager
async def answering(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port where whatever is sent is answered with this, and that is all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)  # all of it: what is left unread would reset the connection
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as listening:
        yield listening.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("url", "answer", "tls", "told"),
    [
        ("http://127.0.0.1:{port}/mcp", b"", False, "closed the connection without an answer"),
        ("http://127.0.0.1:{port}/mcp", b"SSH-2.0-x\r\n", False, "does not speak proper HTTP"),
        ("http://127.0.0.1:{port}/mcp", b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", False, "HTTP 503"),
        ("https://localhost:{port}/mcp", b"", True, "its certificate is not trusted"),
        ("https://127.0.0.1:{port}/mcp", b"nothing of TLS", False, "TLS failed"),
        ("http://nowhere.invalid/mcp", b"", False, "its name cannot be resolved"),
    ],
)
async def test_a_server_that_is_none_is_down_and_says_why(url: str, answer: bytes, tls: bool, told: str) -> None:
    async with answering(answer, tls_contexts("localhost")[0] if tls else None) as port:
        spec = ServerSpec("far", transport="http", url=url.format(port=port))
        async with fleet_of(spec, warm=False) as fleet:
            assert told in ((await until_health(fleet, "down", "far")).last_error or "")
