"""Ollama's own API against an upstream on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import ollama_wire, upstream
from tests.upstream import CUT, RESET, STALL, ScriptedUpstream, ollama_stream
from woollama.domain.answers import Answer
from woollama.domain.errors import (
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
from woollama.inferencers.ollama.inferencer import OllamaInferencer, root_of

CALL = Call(Target("here", "qwen3:14b"), (Message("user", (Text("hi"),)),))
END = b""
"""An empty chunk ends a body."""
NO_THOUGHT = '"qwen3:14b" does not support thinking'


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    started = HttpClient()
    yield started
    await started.aclose()


def inferencer_at(server: ScriptedUpstream, client: HttpClient, **how: Any) -> OllamaInferencer:
    return OllamaInferencer(Endpoint("here", server.origin, **how), client)


async def answered(inferencer: OllamaInferencer, call: Call = CALL) -> list[Event]:
    async with inferencer.answer(call) as events:
        return [event async for event in events]


async def failure(inferencer: OllamaInferencer, call: Call = CALL) -> RouterError:
    with pytest.raises(RouterError) as caught:
        await answered(inferencer, call)
    return caught.value


def streamed(*steps: upstream.Step) -> upstream.Answer:
    opening = upstream.head(200, {"content-type": ollama_wire.CONTENT_TYPE}, "transfer-encoding: chunked")
    return upstream.raw(opening, *upstream.in_chunks(steps))


def refusal(status: int, text: str) -> upstream.Answer:
    return upstream.json({"error": text}, status=status)


async def test_lines_become_events_and_the_connection_is_kept(server: ScriptedUpstream, client: HttpClient):
    server.always(ollama_stream("It is noon.", thinking="Hm", calls=[("now", {"zone": "x"})]))
    inferencer = inferencer_at(server, client, api_key=lambda: "own-key", extra_body={"keep_alive": "1h"})
    for _ in range(3):
        answer = Answer(await answered(inferencer))
    assert (answer.text, answer.calls[0].name, answer.usage.total.total_tokens) == ("It is noon.", "now", 18)
    assert answer.ending == Stopped("tool_calls", "stop")
    assert server.connections == 1
    seen = server.requests[0]
    assert (seen.method, seen.path) == ("POST", "/api/chat")
    assert seen.headers["authorization"] == "Bearer own-key"
    assert seen.headers["content-type"] == "application/json"
    assert seen.json == {
        "model": "qwen3:14b",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "keep_alive": "1h",
    }


async def test_without_a_key_none_is_sent(server: ScriptedUpstream, client: HttpClient):
    server.answers(ollama_stream("x"))
    await answered(inferencer_at(server, client))
    assert "authorization" not in server.requests[0].headers


async def test_events_come_while_the_upstream_still_speaks(server: ScriptedUpstream, client: HttpClient):
    gate = asyncio.Event()
    lines = ollama_wire.lines("one two")
    server.answers(streamed(lines[0], gate, *lines[1:], END))
    async with inferencer_at(server, client).answer(CALL) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                gate.set()
    assert gate.is_set()


async def test_an_answer_that_was_not_streamed_is_taken_too(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.json(ollama_wire.piece("whole", done=True)))
    assert Answer(await answered(inferencer_at(server, client))).text == "whole"


async def test_rewrites_follow_the_beginning(server: ScriptedUpstream, client: HttpClient):
    server.answers(ollama_stream("x"))
    events = await answered(
        inferencer_at(server, client), Call(CALL.target, CALL.items, params=Params(verbosity="low"))
    )
    assert isinstance(events[0], RoundBegan)
    assert events[1] == Rewrote("verbosity was left out: Ollama has no such setting")


async def test_a_model_that_does_not_think_is_asked_again_without(server: ScriptedUpstream, client: HttpClient):
    server.answers(refusal(400, NO_THOUGHT), ollama_stream("x"))
    call = Call(CALL.target, CALL.items, params=Params(reasoning_effort="high"))
    events = await answered(inferencer_at(server, client), call)
    assert events[1] == Rewrote("reasoning settings were left out: the model does not think")
    assert [request.json.get("think") for request in server.requests] == ["high", None]


async def test_who_asks_for_thoughts_in_ollamas_words_is_told_that_there_are_none(
    server: ScriptedUpstream, client: HttpClient
):
    server.answers(refusal(400, NO_THOUGHT))
    call = Call(CALL.target, CALL.items, extra={"chat": {"think": True}})
    error = await failure(inferencer_at(server, client), call)
    assert (error.status_hint, len(server.requests)) == (400, 1)
    assert NO_THOUGHT in error.message


async def test_a_model_that_is_not_there_is_to_be_pulled(server: ScriptedUpstream, client: HttpClient):
    server.answers(refusal(404, "model 'qwen3:14b' not found"))
    error = await failure(inferencer_at(server, client))
    assert isinstance(error, UpstreamRefused)
    assert error.message == "here has no model 'qwen3:14b': ollama pull qwen3:14b"
    assert (error.status_hint, error.param, error.code) == (404, "model", "model_not_found")


async def test_a_404_for_another_reason_is_told_as_it_is(server: ScriptedUpstream, client: HttpClient):
    server.answers(upstream.body(b"404 page not found", status=404))
    assert "404 page not found" in (await failure(inferencer_at(server, client))).message


async def test_a_refusal_says_why_and_never_the_key(server: ScriptedUpstream, client: HttpClient):
    server.answers(refusal(500, "no memory for own-key"))
    error = await failure(inferencer_at(server, client, api_key=lambda: "own-key"))
    assert error.status_hint == 500
    assert error.message == "here/qwen3:14b refused with status 500: no memory for ***"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ollama_stream("one two", cut_after=1), "without finishing"),
        (streamed(ollama_wire.line(ollama_wire.piece("x")), CUT), "broke off in the middle"),
        (streamed(ollama_wire.line(ollama_wire.piece("x")), RESET), "broke off in the middle"),
        (streamed(ollama_wire.line(ollama_wire.piece("x")), b'{"mess', END), "not JSON"),
        (streamed(END), "without finishing"),
        (upstream.html(200), "web page"),
    ],
    ids=["no end", "cut", "reset", "half a line", "empty", "html"],
)
async def test_an_answer_that_breaks_off_is_no_answer(
    server: ScriptedUpstream, client: HttpClient, answer: upstream.Answer, said: str
):
    server.answers(answer)
    error = await failure(inferencer_at(server, client))
    assert isinstance(error, UpstreamBroke)
    assert said in error.message


async def test_an_error_in_the_middle_is_raised_after_what_was_said(server: ScriptedUpstream, client: HttpClient):
    server.answers(streamed(*map(ollama_wire.line, [ollama_wire.piece("x"), {"error": "out of memory"}]), END))
    async with inferencer_at(server, client).answer(CALL) as events:
        told = [await anext(events) for _ in range(3)]
        with pytest.raises(UpstreamRefused, match="out of memory"):
            await anext(events)
    assert told[-1] == TextDelta("x")


async def test_silence_is_a_timeout(server: ScriptedUpstream, client: HttpClient):
    server.answers(streamed(ollama_wire.line(ollama_wire.piece("x")), STALL))
    error = await failure(inferencer_at(server, client, patience=Patience(idle_s=0.05)))
    assert isinstance(error, UpstreamTimeout)


async def test_nobody_there_is_told_with_the_address(server: ScriptedUpstream, client: HttpClient):
    inferencer = OllamaInferencer(Endpoint("here", "http://127.0.0.1:1"), client)
    error = await failure(inferencer)
    assert isinstance(error, UpstreamUnreachable)
    assert "127.0.0.1:1" in error.message


async def test_leaving_early_closes_the_upstream(server: ScriptedUpstream, client: HttpClient):
    server.answers(streamed(ollama_wire.line(ollama_wire.piece("x")), STALL))
    async with inferencer_at(server, client).answer(CALL) as events:
        assert isinstance(await anext(events), RoundBegan)
    await server.until(lambda: server.requests[0].left_early and not server.open_connections)
    assert client.open == 0


async def test_models_are_those_that_were_pulled(server: ScriptedUpstream, client: HttpClient):
    server.models = ["qwen3:14b", "llama3.2:latest"]
    assert await inferencer_at(server, client).list_models() == ["qwen3:14b", "llama3.2:latest"]
    assert server.requests[0].path == "/api/tags"


@pytest.mark.parametrize(
    "answer",
    [
        refusal(500, "busy"),
        upstream.json({"data": []}),
        upstream.json([]),
        upstream.body(b"<html>"),
    ],
)
async def test_a_list_that_is_none_is_an_error(server: ScriptedUpstream, client: HttpClient, answer: upstream.Answer):
    server.models = None
    server.answers(answer)
    with pytest.raises(RouterError, match="here"):
        await inferencer_at(server, client).list_models()


def test_both_apis_are_found_whichever_was_configured():
    assert {root_of(url) for url in ("http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/")} == {"http://h:1"}
    assert root_of("http://h/ollama/v1") == "http://h/ollama"


async def test_what_it_is_called(client: HttpClient):
    assert repr(OllamaInferencer(Endpoint("here", "http://h:1"), client)) == "<OllamaInferencer 'here' at http://h:1>"
