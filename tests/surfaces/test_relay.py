"""The relay towards a real upstream: what the client is sent, message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.types import Message

from tests.chat_wire import DONE
from tests.clock import Clock
from tests.upstream import Scripted, ScriptedUpstream, chat_stream, error, head, raw
from woollama.core.attempts import Attempts
from woollama.core.lease import FAILURES_BEFORE_COOLDOWN, Gate, LeasePolicy, turns_policy
from woollama.domain.ports import Forwarded, RequestHead
from woollama.domain.turns import INTERNAL, Target
from woollama.http.transport import HttpClient
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.http.forwarder import UpstreamForwarder
from woollama.surfaces.body_head import scan
from woollama.surfaces.departure import Departure
from woollama.surfaces.openai_chat import encode_error_frame
from woollama.surfaces.relay import JsonBody, Relayed, Relayer
from woollama.surfaces.sse import HEARTBEAT

UP = Target("up", "m")
SOON_S = 0.01
LATER_S = 600.0
UNBOUNDED = Gate("woollama", turns_policy(0))


@dataclass
class Client:
    """`sent` is what went out to it."""

    relayer: Relayer
    upstream: ScriptedUpstream
    attempts: Attempts

    def __post_init__(self) -> None:
        self.sent: list[Message] = []
        self.news = asyncio.Event()

    async def ask(self, *answers: Scripted, stream: bool = True) -> None:
        self.upstream.answers(*answers)
        body = json.dumps({"model": "up/m", "stream": stream, "messages": []}).encode()
        relayed = Relayed(
            JsonBody(body, scan(body, "chat", "application/json")),
            [UP],
            "/chat/completions",
            [],
            INTERNAL,
            lambda **fields: None,
            encode_error_frame,
        )
        self.sent.clear()
        async with Departure(_stays) as departure:
            await self.relayer.respond(relayed, self._send, departure)

    async def hears(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.sent) < count:
                self.news.clear()
                await self.news.wait()

    @property
    def statuses(self) -> list[int]:
        return [message["status"] for message in self.sent if message["type"] == "http.response.start"]

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent if message["type"] == "http.response.body")

    @property
    def error(self) -> dict[str, Any]:
        """What the last frame says went wrong."""
        frame = self.body.split(b"\n\n")[-2]
        return dict(json.loads(frame.removeprefix(b"data: "))["error"])

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        self.news.set()


async def _stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    http = HttpClient()
    async with ScriptedUpstream() as upstream:
        attempts = Attempts({"up": LeasePolicy(retries=0)})
        forwarder = UpstreamForwarder(http, [Endpoint("up", upstream.base_url)])
        yield Client(
            Relayer(forwarder, attempts, {}, places=UNBOUNDED, heartbeat_s=60, commit_after_s=SOON_S),
            upstream,
            attempts,
        )
        await http.aclose()


async def test_a_refusal_that_comes_late_is_an_error_frame_after_the_heartbeat(client: Client) -> None:
    late = asyncio.Event()
    refused = error(400, "no such thing", code="nope")
    asking = asyncio.create_task(client.ask(raw(late, *refused.steps)))
    await client.hears(2)
    late.set()
    await asking
    assert client.statuses == [200]
    assert client.body.startswith(HEARTBEAT)
    assert (client.error["code"], client.error["at_fault"]) == ("nope", "upstream")
    assert DONE not in client.body
    assert client.sent[-1]["more_body"] is False


async def test_a_stream_that_begins_late_follows_the_heartbeat(client: Client) -> None:
    late = asyncio.Event()
    asking = asyncio.create_task(client.ask(chat_stream("hello", delay_event=late)))
    await client.hears(2)
    late.set()
    await asking
    assert client.statuses == [200]
    assert client.body.startswith(HEARTBEAT)
    assert client.body.endswith(DONE)


class SlowBody:
    """A forwarder whose answers have a status at once, and a body long after a stream would have begun."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @asynccontextmanager
    async def forward(self, head: RequestHead, body: object) -> AsyncIterator[Forwarded]:
        yield Forwarded(400, [(b"content-type", b"application/json")], self._frames())

    async def _frames(self) -> AsyncIterator[bytes]:
        self._clock.forward(3 * LATER_S)
        for _ in range(10):  # time enough for whoever thinks that it is his turn
            await asyncio.sleep(0)
        yield b'{"error": {"message": "no such thing"}}'


async def test_a_refusal_whose_body_comes_slowly_keeps_its_status(client: Client, clock: Clock) -> None:
    slow, attempts = SlowBody(clock), client.attempts
    client.relayer = Relayer(slow, attempts, {}, places=UNBOUNDED, heartbeat_s=3600, commit_after_s=LATER_S)
    await client.ask()
    assert client.statuses == [400]
    assert json.loads(client.body)["error"]["message"] == "no such thing"


async def test_an_answer_in_one_piece_cannot_follow_a_heartbeat(client: Client) -> None:
    late = asyncio.Event()
    opening = head(200, {"content-type": "application/json"}, "content-length: 2")
    asking = asyncio.create_task(client.ask(raw(late, opening, b"{}")))
    await client.hears(2)
    late.set()
    await asking
    assert client.error["message"] == "up/m answered in one piece where a stream was asked for"


async def test_an_upstream_whose_failures_are_passed_on_is_cooled_all_the_same(client: Client) -> None:
    for _ in range(FAILURES_BEFORE_COOLDOWN):
        await client.ask(error(500), stream=False)
        assert client.statuses == [500]
    assert repr(client.attempts) == "<Attempts at 1 inferencers, cooling: up>"
    await client.ask(error(404), stream=False)
    assert repr(client.attempts) == "<Attempts at 1 inferencers, cooling: none>"
