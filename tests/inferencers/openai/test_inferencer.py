"""The OpenAI-compatible inferencer against an upstream on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import chat_wire, upstream
from tests.upstream import ScriptedUpstream, chat_json, chat_stream, sse
from woollama.domain.answers import Answer
from woollama.domain.errors import (
    ContextTooLong,
    RouterError,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from woollama.domain.events import Event, Rewrote, RoundBegan, Stopped, TextDelta
from woollama.domain.messages import Message, Text
from woollama.domain.turns import Call, Params, Target
from woollama.http.request import Patience
from woollama.http.transport import HttpClient
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.openai.inferencer import OpenAIInferencer

CALL = Call(Target("up", "m"), (Message("user", (Text("hi"),)),))


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    started = HttpClient()
    yield started
    await started.aclose()


def inferencer_at(server: ScriptedUpstream, client: HttpClient, **how: Any) -> OpenAIInferencer:
    return OpenAIInferencer(Endpoint("up", server.base_url, **how), client)


async def answered(inferencer: OpenAIInferencer, call: Call = CALL) -> list[Event]:
    async with inferencer.answer(call) as events:
        return [event async for event in events]


async def failure(inferencer: OpenAIInferencer) -> RouterError:
    with pytest.raises(RouterError) as caught:
        await answered(inferencer)
    return caught.value


async def test_a_stream_becomes_events_and_the_connection_is_kept(server: ScriptedUpstream, client: HttpClient):
    server.always(chat_stream("It is noon.", calls=[("now", {"zone": "x"})], reasoning="Hm"))
    inferencer = inferencer_at(server, client, api_key=lambda: "own-key")
    for _ in range(3):
        answer = Answer(await answered(inferencer))
    assert (answer.text, answer.calls[0].name, answer.usage.total.total_tokens) == ("It is noon.", "now", 18)
    assert answer.ending == Stopped("tool_calls", "tool_calls")
    assert server.connections == 1
    seen = server.requests[0]
    assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
    assert seen.headers["authorization"] == "Bearer own-key"
    assert seen.json == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_events_come_while_the_upstream_still_speaks(server: ScriptedUpstream, client: HttpClient):
    gate = asyncio.Event()
    frames = chat_wire.frames("one two")
    server.answers(sse([*frames[:2], gate, *frames[2:]]))
    async with inferencer_at(server, client).answer(CALL) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                gate.set()
        assert gate.is_set()


async def test_rewrites_follow_the_beginning(server: ScriptedUpstream, client: HttpClient):
    server.answers(chat_stream("x"))
    call = Call(CALL.target, CALL.items, params=Params(options={"num_ctx": 1}))
    events = await answered(inferencer_at(server, client), call)
    assert isinstance(events[0], RoundBegan)
    assert events[1] == Rewrote("options were left out: num_ctx")


@pytest.mark.parametrize("kind", chat_wire.MALFORMED)
async def test_oddities_on_the_wire(server: ScriptedUpstream, client: HttpClient, kind: str):
    server.answers(upstream.chat_malformed(kind))
    inferencer = inferencer_at(server, client)
    match kind:
        case "json":
            assert "not JSON" in (await failure(inferencer)).message
        case "html":
            assert "web page" in (await failure(inferencer)).message
        case "empty":
            assert "without finishing" in (await failure(inferencer)).message
        case "errorevent":
            assert "mock error mid-stream" in (await failure(inferencer)).message
        case _:
            assert isinstance((await answered(inferencer))[-1], Stopped)


async def test_an_answer_that_was_not_streamed_is_taken_too(server: ScriptedUpstream, client: HttpClient):
    server.answers(chat_json("whole", calls=[("now", {})]))
    answer = Answer(await answered(inferencer_at(server, client)))
    assert (answer.text, answer.calls[0].arguments) == ("whole", "{}")


async def test_an_error_with_status_200_is_no_answer(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.json({"error": {"message": "quota", "code": 429}}))
    error = await failure(inferencer_at(server, client))
    assert isinstance(error, UpstreamRefused)
    assert error.status_hint == 429


async def test_a_refusal_is_raised_on_the_way_in_without_the_key(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.error(429, "Slow down, own-key", headers={"retry-after": "7", "x-request-id": "r"}))
    error = await failure(inferencer_at(server, client, api_key=lambda: "own-key"))
    assert isinstance(error, UpstreamRefused)
    assert (error.status_hint, error.retry_after, error.headers["x-request-id"]) == (429, 7.0, "r")
    assert "Slow down, ***" in error.message
    assert "own-key" not in str(error.payload)


async def test_a_prompt_that_is_too_long_is_told_apart(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.error(400, "too long", code="context_length_exceeded"))
    assert isinstance(await failure(inferencer_at(server, client)), ContextTooLong)


async def test_an_upstream_that_knows_no_stream_options_is_asked_without(server: ScriptedUpstream, client: HttpClient):
    server.answers(
        upstream.error(422, "Extra inputs are not permitted: stream_options"),
        chat_stream("a", usage=None),
        chat_stream("b", usage=None),
    )
    inferencer = inferencer_at(server, client)
    first, second = Answer(await answered(inferencer)), Answer(await answered(inferencer))
    assert (first.text, second.text, first.usage.seen) == ("a", "b", False)
    assert ["stream_options" in request.json for request in server.requests] == [True, False, False]


async def test_a_redirect_is_not_followed(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.body(b"", status=301, headers={"location": "http://elsewhere/"}))
    assert "correct its base_url" in (await failure(inferencer_at(server, client))).message
    assert len(server.requests) == 1


@pytest.mark.parametrize("cut_after", range(5))
async def test_a_cut_anywhere_is_a_failure_and_never_an_end(
    server: ScriptedUpstream, client: HttpClient, cut_after: int
):
    frames = chat_wire.frames("Hello there")
    assert len(frames) == 6
    server.answers(sse(frames, cut_after=cut_after))
    assert isinstance(await failure(inferencer_at(server, client)), UpstreamBroke)


async def test_a_connection_that_stays_open_after_the_end_holds_nobody_up(server: ScriptedUpstream, client: HttpClient):
    server.answers(sse(chat_wire.frames("x"), stall_after=99))
    assert isinstance((await answered(inferencer_at(server, client)))[-1], Stopped)
    await server.until(lambda: not server.open_connections)


async def test_silence_is_a_timeout(server: ScriptedUpstream, client: HttpClient):
    server.answers(chat_stream("Hello there", stall_after=3))
    inferencer = inferencer_at(server, client, patience=Patience(idle_s=0.05))
    assert isinstance(await failure(inferencer), UpstreamTimeout)


async def test_nobody_there_is_unreachable(client: HttpClient):
    async with ScriptedUpstream() as gone:
        inferencer = inferencer_at(gone, client)
    assert isinstance(await failure(inferencer), UpstreamUnreachable)


async def test_leaving_early_closes_the_upstream_request(server: ScriptedUpstream, client: HttpClient):
    server.answers(chat_stream("a long answer", stall_after=2))
    async with inferencer_at(server, client).answer(CALL) as events:
        await anext(events)
    await server.until(lambda: server.requests[0].left_early and not server.open_connections)


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}, {"x": 1}, None]}, ["a", "b"]),
        ({"models": [{"name": "a"}]}, ["a"]),
        ([{"id": "a"}], ["a"]),
        ({}, []),
        ("text", []),
    ],
)
async def test_models_are_listed_in_every_shape(
    server: ScriptedUpstream, client: HttpClient, listing: Any, names: list[str]
):
    server.models = None
    server.answers(upstream.json(listing))
    assert await inferencer_at(server, client).list_models() == names
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/models")


async def test_a_listing_that_fails_says_why(server: ScriptedUpstream, client: HttpClient):
    server.models = None
    server.answers(upstream.error(401, "no key"), upstream.html(200))
    inferencer = inferencer_at(server, client)
    with pytest.raises(UpstreamRefused, match="no key"):
        await inferencer.list_models()
    with pytest.raises(UpstreamBroke, match="not JSON"):
        await inferencer.list_models()


def test_it_says_where_it_is():
    inferencer = OpenAIInferencer(Endpoint("up", "http://[::1]:1/v1"), HttpClient())
    assert repr(inferencer) == "<OpenAIInferencer 'up' at http://[::1]:1/v1>"
