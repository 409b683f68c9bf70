"""The HTTP client against real sockets that refuse, stall, break off, come back and leave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests import chat_wire, upstream
from tests.certificates import tls_contexts
from tests.upstream import CUT, RESET, STALL, Scripted, ScriptedUpstream, chat_stream, raw, sse
from woollama.domain.errors import BadRequest, RouterError, UpstreamBroke, UpstreamTimeout, UpstreamUnreachable
from woollama.http.request import HttpRequest, Origin, Patience, split_base_url
from woollama.http.transport import HttpClient


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Every event loop that the daemon may run on."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    started = HttpClient()
    yield started
    await started.aclose()
    assert started.open == 0


def request_to(server: ScriptedUpstream, method: str = "POST", **how: Any) -> HttpRequest:
    body = b"{}" if method == "POST" else b""
    return HttpRequest(Origin("127.0.0.1", server.port), method, "/v1/chat/completions", **{"body": body, **how})


async def fetched(client: HttpClient, request: HttpRequest) -> tuple[int, bytes]:
    async with client.exchange(request) as answer:
        return answer.status, b"".join([chunk async for chunk in answer])


# --- what arrives


async def test_a_request_arrives_as_it_was_sent(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.json({"ok": True}, headers={"x-request-id": "r1"}))
    async with client.exchange(request_to(server, headers=((b"x-a", b"1"),), body=b'{"a": 1}')) as answer:
        assert (answer.status, answer.header(b"x-request-id")) == (200, b"r1")
        assert b"".join([chunk async for chunk in answer]) == b'{"ok": true}'
    (seen,) = server.requests
    assert (seen.method, seen.path, seen.json) == ("POST", "/v1/chat/completions", {"a": 1})
    assert seen.headers == {"host": f"127.0.0.1:{server.port}", "x-a": "1", "content-length": "8"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (upstream.body(b"hello"), b"hello"),
        (upstream.body(b""), b""),
        (sse([b"a", b"bc", b"d" * 70_000]), b"abc" + b"d" * 70_000),
        (raw(b"HTTP/1.1 200 OK\r\n\r\nuntil ", b"it closes", CUT), b"until it closes"),
        (raw(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi"), b"hi"),
        (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), b""),
        (raw(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"), b""),
        (raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nx-trailer: 1\r\n\r\n"), b"hi"),
        (
            raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n", upstream.body(b"hi").steps[0]),
            b"hi",
        ),
    ],
)
async def test_bodies_of_every_framing(server: ScriptedUpstream, client: HttpClient, answer: Scripted, expected: bytes):
    server.answers(answer)
    assert (await fetched(client, request_to(server)))[1] == expected


async def test_an_answer_to_head_has_no_body_whatever_its_headers_say(server: ScriptedUpstream, client: HttpClient):
    server.answers(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"), upstream.body(b"next"))
    assert await fetched(client, request_to(server, "HEAD")) == (200, b"")
    assert await fetched(client, request_to(server)) == (200, b"next")


async def test_header_names_are_lower_case_and_trailers_are_no_headers(server: ScriptedUpstream, client: HttpClient):
    server.answers(raw(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\nX-T: 3\r\n\r\n"))
    async with client.exchange(request_to(server)) as answer:
        assert [chunk async for chunk in answer] == []
        assert answer.headers == [(b"x-a", b"1"), (b"x-a", b"2"), (b"transfer-encoding", b"chunked")]


async def test_chunks_come_as_they_arrive(server: ScriptedUpstream, client: HttpClient):
    gates = [asyncio.Event(), asyncio.Event()]
    server.answers(sse([b"one", gates[0], b"two", gates[1], b"three"]))
    seen = []
    async with client.exchange(request_to(server)) as answer:
        async for chunk in answer:
            seen.append(chunk)
            if gates:
                gates.pop(0).set()
    assert seen == [b"one", b"two", b"three"]


async def test_a_large_request_and_a_large_answer_pass(server: ScriptedUpstream, client: HttpClient):
    server.answers(lambda request: upstream.body(request.body))
    big = b"x" * 3_000_000
    assert await fetched(client, request_to(server, body=big)) == (200, big)


async def test_a_slow_reader_holds_the_upstream_back(server: ScriptedUpstream, client: HttpClient):
    server.answers(sse([b"x" * 65536] * 400))
    async with client.exchange(request_to(server)) as answer:
        size = len(await anext(answer))
        await server.until(lambda: server.blocked_writers)
        async for chunk in answer:
            size += len(chunk)
    assert size == 400 * 65536


async def test_waiting_for_a_slow_reader_is_no_silence_of_the_upstream(server: ScriptedUpstream, client: HttpClient):
    server.answers(sse([b"x" * 65536] * 400))
    async with client.exchange(request_to(server, patience=Patience(idle_s=1.0))) as answer:
        size = len(await anext(answer))
        await asyncio.sleep(1.2)  # a reader that takes its time, which is what is tested
        async for chunk in answer:
            size += len(chunk)
    assert size == 400 * 65536


# --- connections are used again


async def test_a_connection_is_used_again_and_the_newest_first(server: ScriptedUpstream, client: HttpClient):
    server.always(chat_stream("hi"))
    for _ in range(3):
        await fetched(client, request_to(server))
    assert server.connections == 1
    assert repr(client) == "<HttpClient 1 open, 1 idle>"
    async with client.exchange(request_to(server)), client.exchange(request_to(server)):
        assert server.connections == 2
        assert repr(client) == "<HttpClient 2 open, 0 idle>"


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"),
        raw(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi"),
        raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhijunk"),
    ],
)
async def test_a_connection_that_said_goodbye_or_too_much_is_not(
    server: ScriptedUpstream, client: HttpClient, answer: Scripted
):
    server.answers(answer, upstream.body(b"next"))
    assert (await fetched(client, request_to(server)))[1] == b"hi"
    assert await fetched(client, request_to(server)) == (200, b"next")
    assert server.connections == 2


async def test_a_connection_closed_while_idle_is_forgotten(server: ScriptedUpstream, client: HttpClient):
    server.always(upstream.body(b"hi"))
    await fetched(client, request_to(server))
    server.drop_connections()
    await server.until(lambda: not server.open_connections)
    assert (await fetched(client, request_to(server)))[1] == b"hi"
    assert repr(client) == "<HttpClient 1 open, 1 idle>"


async def test_a_request_on_a_connection_that_had_gone_stale_is_sent_again(
    server: ScriptedUpstream, client: HttpClient
):
    server.answers(upstream.body(b"one"), raw(CUT), upstream.body(b"two"))
    await fetched(client, request_to(server))
    assert await fetched(client, request_to(server)) == (200, b"two")
    assert [request.connection for request in server.requests] == [1, 1, 2]


async def test_it_is_not_sent_again_once_anything_of_the_answer_came(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.body(b"one"), raw(b"HTTP/1.1 2", CUT))
    await fetched(client, request_to(server))
    with pytest.raises(UpstreamUnreachable, match="without an answer"):
        await fetched(client, request_to(server))
    assert len(server.requests) == 2


async def test_a_new_connection_that_gives_no_answer_is_not_tried_again(server: ScriptedUpstream, client: HttpClient):
    server.answers(raw(CUT))
    with pytest.raises(UpstreamUnreachable, match="without an answer"):
        await fetched(client, request_to(server))
    assert len(server.requests) == 1


async def test_idle_connections_are_closed_after_their_time(server: ScriptedUpstream):
    client = HttpClient(keep_alive_s=0.02)
    server.always(upstream.body(b"hi"))
    await fetched(client, request_to(server))
    await server.until(lambda: not server.open_connections)
    assert repr(client) == "<HttpClient 0 open, 0 idle>"
    await client.aclose()


# --- leaving early


async def test_leaving_early_closes_the_upstreams_connection(server: ScriptedUpstream, client: HttpClient):
    server.answers(chat_stream("never read to its end", stall_after=2))
    async with client.exchange(request_to(server)) as answer:
        await anext(answer)
    await server.until(lambda: server.requests[0].left_early and not server.open_connections)
    assert client.idle == 0


async def test_an_answer_that_is_left_just_before_its_end_keeps_its_connection(
    server: ScriptedUpstream, client: HttpClient
):
    may_end = asyncio.Event()
    whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n"
    server.answers(raw(whole, may_end, b"0\r\n\r\n"), raw(whole, STALL))
    async with client.exchange(request_to(server)) as answer:
        assert await anext(answer) == b"whole"
        answer.ends_within_s = 60.0
    assert repr(client) == "<HttpClient 1 open, 0 idle>"
    may_end.set()
    async with asyncio.timeout(upstream.PATIENCE_S):
        while not client.idle:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    async with client.exchange(request_to(server)) as answer:
        assert await anext(answer) == b"whole"
        answer.ends_within_s = 0.01
    await server.until(lambda: not server.open_connections)
    assert [request.connection for request in server.requests] == [1, 1]


@pytest.mark.parametrize("repeatable", [True, False])
async def test_what_must_not_be_sent_twice_is_not(server: ScriptedUpstream, client: HttpClient, repeatable: bool):
    server.answers(upstream.body(b"one"), raw(CUT), upstream.body(b"two"))
    await fetched(client, request_to(server))
    if repeatable:
        assert await fetched(client, request_to(server)) == (200, b"two")
    else:
        with pytest.raises(UpstreamUnreachable, match="without an answer"):
            await fetched(client, request_to(server, repeatable=False))
    assert len(server.requests) == (3 if repeatable else 2)


async def test_whom_a_connection_is_about_to_be_made_to_can_be_refused(server: ScriptedUpstream):
    seen = []

    def look(host: str, addresses: Sequence[str]) -> None:
        seen.append((host, list(addresses)))
        raise UpstreamUnreachable("not there")

    client = HttpClient(look=look)
    exchange = client.exchange(HttpRequest(Origin("127.0.0.1", server.port), "GET", "/"))
    with pytest.raises(UpstreamUnreachable, match="not there"):
        await exchange.__aenter__()
    assert not exchange.begun
    assert seen == [("127.0.0.1", ["127.0.0.1"])]
    assert not server.requests


async def test_a_cancelled_wait_closes_it_too(server: ScriptedUpstream, client: HttpClient):
    server.answers(raw(STALL))
    waiting = asyncio.create_task(fetched(client, request_to(server)))
    await server.until(lambda: server.active_requests)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await server.until(lambda: server.requests[0].left_early and not server.open_connections)
    assert client.idle == 0


async def test_closing_the_client_ends_what_is_under_way(server: ScriptedUpstream):
    client = HttpClient()
    server.answers(chat_stream("x", stall_after=1))
    async with client.exchange(request_to(server)) as answer:
        await anext(answer)
        await client.aclose()
        with pytest.raises(UpstreamBroke):
            await anext(answer)
    assert client.open == 0


# --- failures


async def failure(client: HttpClient, request: HttpRequest) -> RouterError:
    with pytest.raises(RouterError) as caught:
        await fetched(client, request)
    return caught.value


async def test_a_refused_connection_names_the_place_and_a_hint(client: HttpClient):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = await failure(client, HttpRequest(Origin("127.0.0.1", port), "GET", "/"))
    assert isinstance(error, UpstreamUnreachable)
    assert f"127.0.0.1:{port}" in error.message
    assert "is it running?" in error.message


async def test_a_name_that_does_not_resolve_says_so(client: HttpClient):
    error = await failure(client, HttpRequest(Origin("no-such-host.invalid", 80), "GET", "/"))
    assert isinstance(error, UpstreamUnreachable)
    assert "resolved" in error.message


async def test_an_upstream_that_does_not_accept_is_a_timeout(client: HttpClient):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.socket() as taken, socket.socket() as queued:
            taken.connect(full.getsockname())
            queued.setblocking(False)
            queued.connect_ex(full.getsockname())
            origin = Origin("127.0.0.1", full.getsockname()[1])
            error = await failure(client, HttpRequest(origin, "GET", "/", patience=Patience(connect_s=0.05)))
    assert isinstance(error, UpstreamTimeout)
    assert "did not accept" in error.message


@pytest.mark.parametrize(
    ("answer", "limit"),
    [
        (raw(STALL), "first_byte_s"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", STALL), "first_byte_s"),
        (chat_stream("one two", stall_after=2), "idle_s"),
    ],
)
async def test_silence_is_a_timeout(server: ScriptedUpstream, client: HttpClient, answer: Scripted, limit: str):
    server.answers(answer)
    error = await failure(client, request_to(server, patience=Patience(**{limit: 0.05})))
    assert isinstance(error, UpstreamTimeout)
    assert error.message == f"127.0.0.1:{server.port} sent nothing for 0.05 s"
    await server.until(lambda: not server.open_connections)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (raw(RESET), UpstreamUnreachable, "without an answer"),
        (raw(b"SSH-2.0-x\r\n", STALL), UpstreamUnreachable, "proper HTTP"),
        (
            raw(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", STALL),
            UpstreamUnreachable,
            "proper HTTP",
        ),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"x-a: 1\r\n" * 40_000, STALL), UpstreamUnreachable, "bytes of headers"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", CUT), UpstreamBroke, "broke off"),
        (chat_stream("one two", cut_after=2), UpstreamBroke, "broke off"),
        (raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nha", CUT), UpstreamBroke, "broke off"),
        (raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", STALL), UpstreamBroke, "proper HTTP"),
    ],
)
async def test_failures_of_an_upstream(
    server: ScriptedUpstream, client: HttpClient, answer: Scripted, kind: type[RouterError], said: str
):
    server.answers(answer)
    error = await failure(client, request_to(server))
    assert type(error) is kind
    assert said in error.message
    assert f"127.0.0.1:{server.port}" in error.message
    await server.until(lambda: not server.open_connections)


async def test_what_arrived_before_a_cut_is_read_before_the_error(server: ScriptedUpstream, client: HttpClient):
    server.answers(sse([b"one", b"two", b"three"], cut_after=2))
    async with client.exchange(request_to(server)) as answer:
        received = await anext(answer)
        while len(received) < len(b"onetwo"):
            received += await anext(answer)
        assert received == b"onetwo"
        with pytest.raises(UpstreamBroke):
            await anext(answer)


async def test_a_model_that_thinks_long_before_its_first_byte_has_the_longer_time(
    server: ScriptedUpstream, client: HttpClient
):
    gate = asyncio.Event()
    server.answers(sse([gate, b"at last"]))
    request = request_to(server, patience=Patience(first_byte_s=60, idle_s=0.02))
    async with client.exchange(request) as answer:
        asyncio.get_running_loop().call_later(0.06, gate.set)  # three times what it may be silent later
        assert await anext(answer) == b"at last"


async def test_a_header_with_a_line_break_is_not_sent(server: ScriptedUpstream, client: HttpClient):
    with pytest.raises(BadRequest, match="line break"):
        await fetched(client, request_to(server, headers=((b"x-a", b"1\r\nx-b: 2"),)))
    assert server.connections == 0


async def test_an_ipv6_literal_is_reached(client: HttpClient):
    async with ScriptedUpstream("::1") as server:
        server.answers(upstream.body(b"hi"))
        origin, path = split_base_url(server.base_url)
        assert await fetched(client, HttpRequest(origin, "GET", path)) == (200, b"hi")
        assert server.requests[0].headers["host"] == f"[::1]:{server.port}"
        await client.aclose()


# --- TLS


async def test_a_trusted_certificate_is_accepted_and_another_is_refused():
    host_tls, client_tls = tls_contexts("localhost")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            if await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=host_tls)
    request = HttpRequest(Origin("localhost", listening.sockets[0].getsockname()[1], tls=True), "GET", "/")
    trusting, wary = HttpClient(tls=client_tls), HttpClient()
    assert await fetched(trusting, request) == (200, b"hi")
    assert await fetched(trusting, request) == (200, b"hi")
    assert trusting.open == 1
    error = await failure(wary, request)
    assert isinstance(error, UpstreamUnreachable)
    assert "certificate is not trusted" in error.message
    await trusting.aclose()
    listening.close()
    await listening.wait_closed()


async def test_plain_http_on_a_tls_origin_says_so(server: ScriptedUpstream, client: HttpClient):
    server.always(upstream.body(b"x"))
    error = await failure(client, HttpRequest(Origin("127.0.0.1", server.port, tls=True), "GET", "/"))
    assert isinstance(error, UpstreamUnreachable)
    assert "is it https?" in error.message


# --- many at once


async def test_two_hundred_streams_at_once_complete(server: ScriptedUpstream, client: HttpClient):
    gate = asyncio.Event()
    frames = chat_wire.frames("word " * 20)
    server.always(sse([*frames[:5], gate, *frames[5:]]))
    streams = [asyncio.create_task(fetched(client, request_to(server))) for _ in range(200)]
    await server.until(lambda: server.active_requests == 200)
    assert client.open == 200
    gate.set()
    assert set(await asyncio.gather(*streams)) == {(200, b"".join(frames))}
    assert repr(client) == "<HttpClient 200 open, 200 idle>"
    await fetched(client, request_to(server))
    assert server.connections == 200
