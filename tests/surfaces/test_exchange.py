"""One request through the engine: what the client is sent, message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Scope

from woollama.core.attempts import Attempts
from woollama.core.catalog import Catalog
from woollama.core.lease import Gate, turns_policy
from woollama.core.names import Names
from woollama.core.route_of import Traits
from woollama.core.runs import Emit, Runs
from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import Failed, Rewrote, RoundBegan, Stopped, TextDelta, Usage, UsageSeen
from woollama.domain.turns import INTERNAL, Target, Turn
from woollama.http.transport import HttpClient
from woollama.inferencers.http.forwarder import UpstreamForwarder
from woollama.observe import Span
from woollama.surfaces import openai_chat
from woollama.surfaces.exchange import Exchange, Surroundings
from woollama.surfaces.relay import Relayer
from woollama.surfaces.sse import DONE, HEARTBEAT

BEGAN = RoundBegan(0, Target("fake", "m"), attempts=2)
NEVER_S = 3600.0
UNBOUNDED = Gate("woollama", turns_policy(0))


class Client:
    """Asks `play` for `fake/m`. `sent` is what went out to it, `noted` what the log line says."""

    def __init__(self, play: Callable[[Turn, Emit], Awaitable[None]], *, commit_after_s: float = NEVER_S) -> None:
        self.sent: list[Message] = []
        self.news = asyncio.Event()
        self.left = asyncio.Event()
        self.runs = Runs(play)
        self._span = Span({})
        around = Surroundings(
            names=Names(inferencers=["fake"], recipes={}, aliases={}, catalog=Catalog({})),
            runs=self.runs,
            traits={"fake": Traits()},
            relayer=Relayer(
                UpstreamForwarder(HttpClient(), []), Attempts({}), {}, places=UNBOUNDED, heartbeat_s=NEVER_S
            ),
            heartbeat_s=NEVER_S,
            commit_after_s=commit_after_s,
        )
        self._exchange = Exchange("chat", openai_chat, "/chat/completions", around)

    async def ask(self, **body: Any) -> None:
        whole = {"model": "fake/m", "stream": True, "messages": [{"role": "user", "content": "hi"}], **body}
        requests = [{"type": "http.request", "body": json.dumps(whole).encode(), "more_body": False}]

        async def receive() -> Message:
            if requests:
                return requests.pop()
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.sent.append(message)
            self.news.set()

        scope: Scope = {"type": "http", "headers": [], "state": {"span": self._span, "caller": INTERNAL}}
        await self._exchange(scope, receive, send)

    async def hears(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.sent) < count:
                self.news.clear()
                await self.news.wait()

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def noted(self) -> dict[str, Any]:
        return dict(self._span.fields)


async def answering(turn: Turn, emit: Emit) -> None:
    for event in (Rewrote("answered by another"), BEGAN, TextDelta("hello"), UsageSeen(0, Usage(3, 1)), Stopped("end")):
        await emit(event)


async def test_what_was_done_for_a_request_stands_in_its_headers_and_its_log_line() -> None:
    for stream in (True, False):
        client = Client(answering)
        await client.ask(stream=stream)
        assert client.sent[0]["status"] == 200
        told = {name: value for name, value in client.headers.items() if name.startswith(b"x-woollama-")}
        assert told == {
            b"x-woollama-path": b"engine; dialect",
            b"x-woollama-target": b"fake/m",
            b"x-woollama-attempts": b"2",
            b"x-woollama-rewrites": b"answered by another",
        }
        assert b"hello" in client.body
        assert (client.noted["target"], client.noted["tokens_in"], client.noted["tokens_out"]) == ("fake/m", 3, 1)


async def test_a_failure_before_the_answer_begins_is_no_answer() -> None:
    async def failing(turn: Turn, emit: Emit) -> None:
        raise UpstreamBroke("it died")

    for stream in (True, False):
        client = Client(failing)
        with pytest.raises(UpstreamBroke):
            await client.ask(stream=stream)
        assert client.sent == []


@pytest.mark.parametrize("fails", [True, False])
async def test_what_comes_after_a_long_wait_follows_the_heartbeat(fails: bool) -> None:
    late = asyncio.Event()

    async def slow(turn: Turn, emit: Emit) -> None:
        await late.wait()
        if fails:
            died = UpstreamBroke("it died")
            died.target, died.attempts = "fake/m", 2
            await emit(Failed(died))
        else:
            await answering(turn, emit)

    client = Client(slow, commit_after_s=0.01)
    asking = asyncio.create_task(client.ask())
    await client.hears(2)
    late.set()
    await asking
    assert client.sent[0]["status"] == 200
    assert client.body.startswith(HEARTBEAT + b"data: {")
    assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert (DONE in client.body) is not fails
    assert (b"it died" in client.body.split(b"\n\n")[-2]) is fails
    assert (client.noted.get("error") == "upstream_broke") is fails
    assert (client.noted["target"], client.noted["attempts"]) == ("fake/m", 2)


async def test_a_client_that_leaves_ends_its_run() -> None:
    released = False

    async def endless(turn: Turn, emit: Emit) -> None:
        nonlocal released
        try:
            await emit(BEGAN)
            await asyncio.Event().wait()
        finally:
            released = True

    client = Client(endless)
    asking = asyncio.create_task(client.ask())
    await client.hears(2)
    client.left.set()
    await asking
    assert released
    assert len(client.runs) == 0
    assert DONE not in client.body
