"""The live feed, as somebody who looks on reads it from a whole daemon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.daemon import daemon
from tests.upstream import ScriptedUpstream, chat, chat_tool_call, error
from woollama.server import InProcess
from woollama.surfaces.feed import HELD_EVENTS, Feed, Subscriber

PATIENCE_S = 60.0
RECIPES = """
[recipes.plain]
inferencer = "mock/m"

[recipes.clerk]
inferencer = "mock/m"
tools = ["textops.*"]
"""


@dataclass
class Onlooker:
    """Reads the feed; `until` waits for an event of a kind and gives all that came before it, too."""

    lines: AsyncIterator[str]
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def until(self, kind: str) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE_S):
            while not any(event["type"] == kind for event in self.seen):
                await self._next()
        return self.seen

    async def _next(self) -> None:
        line = await anext(self.lines)
        if line.startswith("data: "):
            self.seen.append(json.loads(line.removeprefix("data: ")))


@asynccontextmanager
async def looking_on(client: httpx2.AsyncClient) -> AsyncIterator[Onlooker]:
    async with client.stream("GET", "/w1/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        onlooker = Onlooker(answer.aiter_lines())
        await onlooker.until("listening")
        onlooker.seen.clear()
        yield onlooker


@dataclass
class Table:
    running: InProcess
    client: httpx2.AsyncClient
    upstream: ScriptedUpstream

    async def chat(self, model: str) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "private words"}]}
        await self.client.post("/v1/chat/completions", json=body, headers={"x-request-id": "req-1"})


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    (tmp_path / "recipes.toml").write_text(RECIPES)
    async with ScriptedUpstream() as upstream:
        entry = f'base_url = "{upstream.base_url}"\ndiscover = false\nretries = 0\n'
        (tmp_path / "inferencers.toml").write_text(f"[inferencers.mock]\n{entry}")
        async with (
            daemon(tmp_path, {"HOME": str(tmp_path)}) as running,
            httpx2.AsyncClient(base_url=running.url, trust_env=False, timeout=PATIENCE_S) as client,
        ):
            yield Table(running, client, upstream)


async def test_a_run_is_told_from_its_beginning_to_its_end_without_what_was_said(table: Table):
    table.upstream.answers(chat_tool_call("textops__uppercase", {"text": "private words"}), chat("PRIVATE WORDS"))
    async with looking_on(table.client) as onlooker:
        await table.chat("woollama/clerk")
        seen = await onlooker.until("request.ended")
    assert [event["type"] for event in seen] == [
        "run.began",
        "round.began",
        "tool.called",
        "tool.returned",
        "round.began",
        "run.ended",
        "request.ended",
    ]
    assert {event["request"] for event in seen} == {"req-1"}
    assert len({event["run"] for event in seen if "run" in event}) == 1
    assert "private words" not in json.dumps(seen).lower()
    by_type = {event["type"]: event for event in seen}
    assert by_type["round.began"]["target"] == "mock/m"
    assert by_type["tool.returned"]["outcome"] == "returned"
    assert by_type["tool.returned"]["server"] == "textops"
    assert (by_type["run.ended"]["reason"], by_type["run.ended"]["tokens_in"]) == ("end", 22)


async def test_a_relayed_request_is_told_when_it_is_over(table: Table):
    table.upstream.answers(chat("hi"))
    async with looking_on(table.client) as onlooker:
        await table.chat("mock/m")
        (event,) = await onlooker.until("request.ended")
    assert (event["by"], event["target"], event["status"], event["tokens_out"]) == ("relay", "mock/m", 200, 7)


async def test_a_failure_is_told_with_its_reason(table: Table):
    table.upstream.answers(error(500, "out of memory"))
    async with looking_on(table.client) as onlooker:
        await table.chat("woollama/plain")
        seen = await onlooker.until("request.ended")
    ended = next(event for event in seen if event["type"] == "run.ended")
    assert (ended["reason"], ended["error"]) == ("failed", "upstream_refused")
    assert "out of memory" in ended["message"]


async def test_those_who_look_on_are_dismissed_when_the_daemon_drains(tmp_path: Path):
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        async with daemon(tmp_path, {"HOME": str(tmp_path)}) as running:
            client.base_url = running.url
            asked = client.stream("GET", "/w1/events")
            answer = await asked.__aenter__()
            onlooker = Onlooker(answer.aiter_lines())
            await onlooker.until("listening")
        assert (await onlooker.until("ending"))[-1]["type"] == "ending"
        assert [line async for line in onlooker.lines if line] == []
        await asked.__aexit__(None, None, None)


async def test_a_slow_reader_loses_the_oldest_and_is_told_how_many():
    subscriber = Subscriber()
    for number in range(HELD_EVENTS + 3):
        subscriber.put(b"%d\n" % number)
    frames = await subscriber.take()
    assert frames is not None
    notice, _, rest = frames.partition(b"\n\n")
    assert notice.startswith(b"event: dropped\n")
    assert b'"count":3' in notice
    assert rest.split() == [b"%d" % number for number in range(3, HELD_EVENTS + 3)]
    subscriber.put(b"later")
    assert await subscriber.take() == b"later"
    subscriber.close()
    assert await subscriber.take() is None


async def test_nobody_costs_nothing():
    feed = Feed(heartbeat_s=1, scrub=lambda text: pytest.fail("nobody reads this"))
    feed.tell("run.began", run="x")
    assert len(feed) == 0
