"""A relayed request goes up without the caller's credentials and comes back without the upstream's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests import chat_wire, upstream
from tests.upstream import CUT, ScriptedUpstream, chat_stream, raw, sse
from woollama.domain.errors import NotAuthorized, UpstreamBroke, UpstreamRefused, UpstreamUnreachable
from woollama.domain.ports import RequestHead
from woollama.domain.turns import Target
from woollama.http.request import Patience
from woollama.http.transport import HttpClient
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.http.forwarder import UpstreamForwarder

CALLER = (
    (b"host", b"127.0.0.1:11435"),
    (b"authorization", b"Bearer callers-secret"),
    (b"x-api-key", b"callers-secret"),
    (b"cookie", b"session=callers-secret"),
    (b"origin", b"http://localhost"),
    (b"referer", b"http://localhost/"),
    (b"x-forwarded-for", b"10.0.0.1"),
    (b"user-agent", b"curl"),
    (b"content-length", b"2"),
    (b"accept-encoding", b"gzip, br"),
    (b"content-type", b"application/json"),
    (b"accept", b"text/event-stream"),
    (b"openai-beta", b"assistants=v2"),
    (b"anthropic-version", b"2023-06-01"),
    (b"x-stainless-lang", b"python"),
    (b"idempotency-key", b"i1"),
    (b"traceparent", b"00-1"),
    (b"x-request-id", b"r1"),
)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    started = HttpClient()
    yield started
    await started.aclose()


def forwarder_to(server: ScriptedUpstream, client: HttpClient, **how: Any) -> UpstreamForwarder:
    return UpstreamForwarder(client, [Endpoint("up", server.base_url, **how)])


HEAD = RequestHead(Target("up", "m"), "POST", "/chat/completions", CALLER, stream=True)


async def forwarded(forwarder: UpstreamForwarder) -> tuple[int, dict[bytes, bytes], list[bytes]]:
    async with forwarder.forward(HEAD, b"{}") as answer:
        return answer.status, dict(answer.headers), [frame async for frame in answer.frames]


async def test_the_upstream_sees_its_own_key_and_only_the_listed_headers(server: ScriptedUpstream, client: HttpClient):
    server.answers(chat_stream("hi"))
    await forwarded(forwarder_to(server, client, api_key=lambda: "own-key", headers={"HTTP-Referer": "https://w"}))
    (seen,) = server.requests
    assert seen.path == "/v1/chat/completions"
    assert seen.headers == {
        "host": f"127.0.0.1:{server.port}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "openai-beta": "assistants=v2",
        "anthropic-version": "2023-06-01",
        "x-stainless-lang": "python",
        "idempotency-key": "i1",
        "traceparent": "00-1",
        "x-request-id": "r1",
        "http-referer": "https://w",
        "authorization": "Bearer own-key",
        "accept-encoding": "identity",
        "content-length": "2",
    }


async def test_the_key_is_asked_at_every_call(server: ScriptedUpstream, client: HttpClient):
    keys = iter(["first", "second", None])
    server.always(chat_stream("hi"))
    forwarder = forwarder_to(server, client, api_key=lambda: next(keys))
    for _ in range(3):
        await forwarded(forwarder)
    seen = [request.headers.get("authorization") for request in server.requests]
    assert seen == ["Bearer first", "Bearer second", None]


async def test_a_configured_header_takes_the_place_of_the_bearer_token(server: ScriptedUpstream, client: HttpClient):
    server.answers(chat_stream("hi"))
    await forwarded(forwarder_to(server, client, api_key=lambda: "key", headers={"Authorization": "Basic x"}))
    assert server.requests[0].headers["authorization"] == "Basic x"


async def test_the_callers_key_passes_only_where_that_is_configured(server: ScriptedUpstream, client: HttpClient):
    server.answers(chat_stream("hi"))
    forwarder = forwarder_to(server, client, api_key=lambda: "never", auth="client")
    async with forwarder.forward(replace(HEAD, key="callers-own"), b"{}"):
        pass
    headers = server.requests[0].headers
    assert headers["authorization"] == "Bearer callers-own"
    assert not headers.keys() & {"x-api-key", "cookie"}
    with pytest.raises(NotAuthorized, match="up is asked with the key of whoever asks"):
        await forwarded(forwarder)
    assert len(server.requests) == 1


async def test_the_client_sees_status_and_headers_but_for_cookies_cors_and_framing(
    server: ScriptedUpstream, client: HttpClient
):
    headers = {
        "x-request-id": "r1",
        "retry-after": "3",
        "x-ratelimit-remaining-tokens": "5",
        "set-cookie": "a=b",
        "access-control-allow-origin": "*",
        "connection": "keep-alive",
        "keep-alive": "timeout=5",
    }
    server.answers(upstream.json({"error": {}}, status=429, headers=headers))
    status, seen, body = await forwarded(forwarder_to(server, client))
    assert status == 429
    assert seen == {
        b"content-type": b"application/json",
        b"x-request-id": b"r1",
        b"retry-after": b"3",
        b"x-ratelimit-remaining-tokens": b"5",
    }
    assert b"".join(body) == b'{"error": {}}'


@pytest.mark.parametrize("kind", ["bytes", "crlf", "multiline", "comment", "bom"])
async def test_an_event_stream_comes_in_whole_frames(server: ScriptedUpstream, client: HttpClient, kind: str):
    server.answers(upstream.chat_malformed(kind))
    stream = b"".join(chat_wire.malformed(kind)).removeprefix(b"\xef\xbb\xbf")
    _, _, frames = await forwarded(forwarder_to(server, client))
    assert b"".join(frames) == stream
    assert all(frame.endswith((b"\n\n", b"\r\n\r\n")) for frame in frames)


async def test_any_other_body_comes_as_it_arrives(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.body(b"\x00audio\n\nbytes", headers={"content-type": "audio/wav"}))
    assert b"".join((await forwarded(forwarder_to(server, client)))[2]) == b"\x00audio\n\nbytes"


async def test_a_key_that_an_error_repeats_is_taken_out(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.error(401, "Incorrect API key provided: own-key"))
    _, _, body = await forwarded(forwarder_to(server, client, api_key=lambda: "own-key"))
    assert b"own-key" not in b"".join(body)
    assert b"provided: ***" in b"".join(body)


async def test_redirects_are_not_followed(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.body(b"", status=307, headers={"location": "http://elsewhere/"}))
    with pytest.raises(UpstreamRefused, match="elsewhere"):
        await forwarded(forwarder_to(server, client, api_key=lambda: "own-key"))
    assert len(server.requests) == 1


async def test_a_cut_stream_gives_its_whole_frames_and_then_the_error(server: ScriptedUpstream, client: HttpClient):
    server.answers(sse([b"data: 1\n\n", b"data: 2"], cut_after=2))
    async with forwarder_to(server, client).forward(HEAD, b"{}") as answer:
        assert await anext(answer.frames) == b"data: 1\n\n"
        with pytest.raises(UpstreamBroke):
            await anext(answer.frames)


async def test_no_answer_at_all_is_raised_on_the_way_in(server: ScriptedUpstream, client: HttpClient):
    server.answers(raw(CUT))
    with pytest.raises(UpstreamUnreachable):
        await forwarded(forwarder_to(server, client))


async def test_leaving_early_closes_the_upstream_request(server: ScriptedUpstream, client: HttpClient):
    server.answers(chat_stream("long", stall_after=1))
    async with forwarder_to(server, client).forward(HEAD, b"{}") as answer:
        await anext(answer.frames)
    await server.until(lambda: server.requests[0].left_early)


async def test_it_says_whom_it_reaches(server: ScriptedUpstream, client: HttpClient):
    assert repr(forwarder_to(server, client)) == "<UpstreamForwarder to up, <HttpClient 0 open, 0 idle>>"
    endpoint = Endpoint(
        "up", "http://x/v1", api_key=lambda: "secret", headers={"x": "secret"}, patience=Patience(idle_s=1)
    )
    assert "secret" not in repr(endpoint)


async def test_the_key_in_an_error_is_hidden_wherever_the_network_cuts_it(
    server: ScriptedUpstream, client: HttpClient
) -> None:
    """And what came already is passed on: nobody keeps the whole of an error that never ends."""
    rest = asyncio.Event()
    opening = upstream.head(500, {"content-type": "text/plain"}, "transfer-encoding: chunked")
    parts = upstream.in_chunks([b"a long enough beginning, and then sk-own", rest, b"-key, and sk-own-key again"])
    server.answers(raw(opening, *parts, b"0\r\n\r\n"))
    forwarder = forwarder_to(server, client, api_key=lambda: "sk-own-key")
    async with asyncio.timeout(60), forwarder.forward(HEAD, b"{}") as answer:
        first = await anext(answer.frames)
        rest.set()
        whole = b"".join([first, *[chunk async for chunk in answer.frames]])
    assert whole == b"a long enough beginning, and then ***, and *** again"
