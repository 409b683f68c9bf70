"""The gate in front of an application, over real sockets: what is refused, how, and what the application is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from woollama.domain.errors import RouterError, TooMany, UnknownModel
from woollama.server import InProcess, ServeOptions, serve_in_process

OPTIONS = ServeOptions(max_body_bytes=1000, shutdown_timeout_s=0.2, allow_origins=("https://app.example",))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Shows what it was given; some paths fail in their own way."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    match scope["path"]:
        case "/unknown":
            raise UnknownModel("no such model", param="model")
        case "/busy":
            raise TooMany("later", retry_after=1.5)
        case "/defect":
            raise RuntimeError("secret detail")
        case "/late-defect":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("secret detail")
        case "/own-id":
            own = [(b"x-request-id", b"upstream-1")]
            await send({"type": "http.response.start", "status": 200, "headers": own})
            await send({"type": "http.response.body", "body": b""})
            return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    state = scope["state"]
    shown = {
        "caller": asdict(state["caller"]),
        "request_id": state["request_id"],
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
        "bytes": size,
    }
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(shown).encode()})


@asynccontextmanager
async def client_of(server: InProcess, *, unix: bool = False, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.AsyncHTTPTransport(uds=str(server.unix_path)) if unix else None
    async with httpx2.AsyncClient(
        base_url="http://localhost" if unix else server.url,
        transport=transport,
        headers=headers,
        trust_env=False,
        timeout=60,
    ) as client:
        yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with serve_in_process(application, OPTIONS) as server, client_of(server) as client:
        yield client


def code_of(answer: httpx2.Response) -> str:
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    return str(error["code"])


# --- refusals ---


async def test_a_foreign_host_is_refused_over_tcp_and_does_not_matter_over_the_socket() -> None:
    async with serve_in_process(application, OPTIONS) as server:
        async with client_of(server) as client:
            refused = await client.get("/v1/models", headers={"host": "evil.example"})
            assert (refused.status_code, code_of(refused)) == (421, "wrong_host")
        async with client_of(server, unix=True) as client:
            assert (await client.get("/v1/models", headers={"host": "evil.example"})).status_code == 200


async def test_a_web_pages_text_plain_post_is_refused(client: httpx2.AsyncClient) -> None:
    sent_by_a_page = {"content-type": "text/plain", "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    refused = await client.post("/v1/chat/completions", content=b"{}", headers=sent_by_a_page)
    assert (refused.status_code, code_of(refused)) == (403, "forbidden")
    assert "access-control-allow-origin" not in refused.headers
    refused = await client.post("/v1/chat/completions", content=b"{}", headers={"content-type": "text/plain"})
    assert (refused.status_code, code_of(refused)) == (415, "wrong_content_type")


async def test_a_multipart_post_of_a_foreign_page_is_refused_and_that_of_a_program_is_not(
    client: httpx2.AsyncClient,
) -> None:
    files = {"file": ("a.wav", b"RIFF")}
    assert (await client.post("/v1/audio/transcriptions", files=files)).status_code == 200
    foreign = {"origin": "https://evil.example"}
    assert (await client.post("/v1/audio/transcriptions", files=files, headers=foreign)).status_code == 403


async def test_a_refusal_does_not_cost_the_connection(client: httpx2.AsyncClient) -> None:
    refused = await client.post("/v1/x", content=b"y" * 900, headers={"content-type": "text/plain"})
    taken = await client.post("/v1/x", json={})
    assert (refused.status_code, taken.status_code) == (415, 200)
    first, second = (answer.extensions["network_stream"] for answer in (refused, taken))
    assert first.get_extra_info("client_addr") == second.get_extra_info("client_addr")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: httpx2.AsyncClient) -> None:
    refused = await client.post("/v1/x", content=b"y" * 1001, headers={"content-type": "application/json"})
    assert (refused.status_code, code_of(refused)) == (413, "too_large")
    assert (await client.post("/v1/x", content=b"y" * 1000, headers={"content-type": "application/json"})).is_success


async def test_a_chunked_body_is_counted(client: httpx2.AsyncClient) -> None:
    async def body(chunks: int) -> AsyncIterator[bytes]:
        for _ in range(chunks):
            yield b"y" * 100

    sent_as = {"content-type": "application/json"}
    assert (await client.post("/v1/x", content=body(10), headers=sent_as)).json()["bytes"] == 1000
    refused = await client.post("/v1/x", content=body(11), headers=sent_as)
    assert (refused.status_code, code_of(refused)) == (413, "too_large")


# --- tokens ---


async def test_a_token_is_asked_for_over_tcp_and_goes_no_further() -> None:
    async with serve_in_process(application, replace(OPTIONS, token="sesame")) as server:
        async with client_of(server) as client:
            refused = await client.get("/healthz")
            assert (refused.status_code, code_of(refused)) == (401, "not_authorized")
            assert refused.headers["www-authenticate"] == "Bearer"
            for way in ({"authorization": "bearer sesame"}, {"x-api-key": "sesame"}):
                both = (
                    {"x-api-key": "mine", **way} if "authorization" in way else {"authorization": "Bearer mine", **way}
                )
                seen = (await client.get("/healthz", headers=both)).json()["headers"]
                assert "sesame" not in str(seen)
                assert "mine" in str(seen)
        async with client_of(server, unix=True) as client:
            assert (await client.get("/healthz")).status_code == 200


# --- what every answer carries ---


async def test_every_answer_has_a_request_id(client: httpx2.AsyncClient) -> None:
    fine = await client.get("/")
    assert fine.headers["x-request-id"] == fine.json()["request_id"]
    assert (await client.get("/", headers={"x-request-id": "mine-1"})).json()["request_id"] == "mine-1"
    assert (await client.get("/", headers={"x-request-id": "not sane"})).json()["request_id"].startswith("req_")
    assert (await client.get("/own-id")).headers.get_list("x-request-id") == ["upstream-1"]
    for path in ("/unknown", "/defect"):
        assert (await client.get(path, headers={"x-request-id": "mine-2"})).headers["x-request-id"] == "mine-2"


async def test_the_date_is_there_and_the_servers_name_is_not(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/")
    assert "date" in answer.headers
    assert "server" not in answer.headers


# --- pages that are allowed ---


async def test_an_allowed_page_gets_its_preflight_answered_and_may_read_the_answer(client: httpx2.AsyncClient) -> None:
    origin = {"origin": "https://app.example"}
    wanted = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-stainless-os, mcp-session-id",
    }
    asked = await client.options("/mcp", headers={**origin, **wanted})
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "https://app.example"
    assert asked.headers["access-control-allow-headers"] == "x-stainless-os, mcp-session-id"
    assert "DELETE" in asked.headers["access-control-allow-methods"]
    answer = await client.post("/mcp", json={}, headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "mcp-session-id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "origin"


async def test_the_preflight_of_any_other_page_is_refused(client: httpx2.AsyncClient) -> None:
    foreign = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    refused = await client.options("/v1/chat/completions", headers=foreign)
    assert refused.status_code == 403
    assert not [name for name in refused.headers if name.startswith("access-control")]


# --- what the application does wrong ---


async def test_an_error_that_nobody_rendered_is_rendered(client: httpx2.AsyncClient) -> None:
    unknown = await client.get("/unknown")
    assert (unknown.status_code, code_of(unknown), unknown.json()["error"]["param"]) == (404, "unknown_model", "model")
    assert (await client.get("/busy")).headers["retry-after"] == "2"


async def test_a_defect_is_a_json_500_that_tells_nothing_and_a_log_entry_that_tells_all(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    broken = await client.get("/defect")
    assert (broken.status_code, code_of(broken)) == (500, "internal_fault")
    assert "secret detail" not in broken.text
    assert "secret detail" in caplog.text
    assert (await client.get("/")).status_code == 200


async def test_a_defect_in_mid_answer_does_not_look_like_an_end(client: httpx2.AsyncClient) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.get("/late-defect")
    assert (await client.get("/")).status_code == 200


async def test_errors_take_the_shape_of_the_paths_dialect() -> None:
    def render(path: str, error: RouterError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return error.status_hint, [(b"content-type", b"application/json")], json.dumps([path, error.kind]).encode()

    async with serve_in_process(application, OPTIONS, render_error=render) as server, client_of(server) as client:
        refused = await client.get("/v1/messages", headers={"origin": "null"})
        assert (refused.status_code, refused.json()) == (403, ["/v1/messages", "forbidden"])


# --- WebSockets ---


async def handshake(server: InProcess, **headers: str) -> tuple[bytes, bytes]:
    """The status line and the rest of the answer to a WebSocket handshake, over TCP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    fields = {
        "host": "localhost",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    lines = ["GET /v1/responses HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    body = await asyncio.wait_for(reader.read(), 60) if b" 101 " not in answer else b""
    writer.close()
    await writer.wait_closed()
    status, _, rest = answer.partition(b"\r\n")
    return status, rest + body


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example"},
        {"authorization": "Bearer wrong"},
    ],
)
async def test_a_websocket_handshake_is_judged_like_a_request(headers: dict[str, str]) -> None:
    async with serve_in_process(application, replace(OPTIONS, token="sesame")) as server:
        right = {"authorization": "Bearer sesame"}
        assert (await handshake(server, **right))[0] == b"HTTP/1.1 101 Switching Protocols"
        status, rest = await handshake(server, **{**right, **headers})
        assert status == b"HTTP/1.1 403 Forbidden"
        assert b"x-request-id: req_" in rest.lower()


async def test_the_refusal_of_a_websocket_says_why() -> None:
    async with serve_in_process(application, OPTIONS) as server:
        _, rest = await handshake(server, origin="https://evil.example")
        error: dict[str, Any] = json.loads(rest.rpartition(b"\r\n\r\n")[2])["error"]
        assert "evil.example" in error["message"]


async def test_a_request_that_the_end_overtakes_before_its_answer_is_told_so() -> None:
    entered = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await asyncio.Event().wait()

    async with serve_in_process(waiting, OPTIONS) as server, client_of(server) as client:
        asking = asyncio.create_task(client.get("/"))
        await entered.wait()
        await server.serving.end(0)
        answer = await asking
        assert (answer.status_code, code_of(answer)) == (503, "shutting_down")
