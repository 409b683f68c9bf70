"""What one turn may use up, and what it cost: on a whole daemon, in every place that tells of it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.chat_wire import chunk, frame
from tests.daemon import daemon
from tests.surfaces.mcp_server.hosts import configure, server
from tests.upstream import STALL, ScriptedUpstream, chat, chat_stream, chat_tool_call, raw, sse
from woollama.observe import Scrubber
from woollama.observe import configure as configure_log

PATIENCE_S = 60.0
RECIPES = """
[recipes.plain]
inferencer = "mock/m"

[recipes.clerk]
inferencer = "mock/m"
tools = ["all.echo"]
"""
INFERENCERS = """
[inferencers.mock]
base_url = "{url}"
discover = false
retries = 0

[inferencers.free]
base_url = "{url}"
discover = false
retries = 0

[inferencers.ours]
api = "ollama"
base_url = "{origin}"
discover = false
retries = 0

[inferencers.messages]
api = "anthropic"
base_url = "{origin}"
discover = false
retries = 0
"""
PRICES = """
[prices]
"mock/*" = { input = 100, output = 1000 }
"""
COST_USD = (11 * 100 + 7 * 1000) / 1e6
"""Of what the scripted upstream says of its tokens."""


@dataclass
class Table:
    client: httpx2.AsyncClient
    upstream: ScriptedUpstream
    log: io.StringIO

    async def ask(self, model: str, **more: Any) -> httpx2.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "x"}], **more}
        return await self.client.post("/v1/chat/completions", json=body)

    async def lines(self, message: str, count: int = 1) -> list[dict[str, Any]]:
        """What was logged, once there is so much: a client has its answer before the line is written."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := self._lines(message)) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found

    def _lines(self, message: str) -> list[dict[str, Any]]:
        logged = map(json.loads, self.log.getvalue().splitlines())
        return [line for line in logged if line["message"] == message]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, own = root.handlers[:], root.level, logging.getLogger("woollama").level
    stream = io.StringIO()
    configure_log("info", "json", scrubber=Scrubber(), stream=stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("woollama").setLevel(own)


@pytest.fixture
def tables(tmp_path: Path, log: io.StringIO) -> Any:
    @asynccontextmanager
    async def opened(settings: str, **servers: Any) -> AsyncIterator[Table]:
        config = configure(tmp_path / "config", servers)
        (config / "recipes.toml").write_text(RECIPES)
        (config / "woollama.toml").write_text(settings)
        async with ScriptedUpstream() as upstream:
            text = INFERENCERS.replace("{url}", upstream.base_url).replace("{origin}", upstream.origin)
            (config / "inferencers.toml").write_text(text)
            async with (
                daemon(config, {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}) as running,
                httpx2.AsyncClient(base_url=running.url, trust_env=False, timeout=PATIENCE_S) as client,
            ):
                yield Table(client, upstream, log)

    return opened


# --- output ---


@pytest.mark.parametrize("stream", [False, True])
async def test_a_turn_beyond_its_output_ends_for_its_length_and_lets_the_upstream_go(tables: Any, stream: bool) -> None:
    endless = sse([frame(chunk({"content": "y" * 1000})) for _ in range(100)], stall_after=100)
    async with tables('[limits]\noutput = "20KiB"\n') as table:
        for path, asked, said in (
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, '"finish_reason":"length"'),
            ("/v1/responses", {"input": "x", "store": False}, '"incomplete"'),
            ("/v1/messages", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9}, '"max_tokens"'),
        ):
            table.upstream.answers(endless)
            answer = await table.client.post(path, json={"model": "woollama/plain", "stream": stream, **asked})
            assert answer.status_code == 200
            assert said in answer.text.replace(" ", "")
            assert "cut off after 20480 bytes of output (limits.output)" in answer.text
            assert answer.text.count("y" * 1000) >= 10 or answer.text.count("y") < 30_000
        await table.upstream.until(lambda: table.upstream.open_connections == 0)


# --- frames ---


@pytest.mark.parametrize("model", ["mock/m", "woollama/plain", "ours/m", "messages/m"])
async def test_a_frame_beyond_its_size_is_an_upstream_that_broke(tables: Any, model: str) -> None:
    async with tables('[limits]\nframe = "8KiB"\n') as table:
        flood = b"data: " + b"z" * 20_000
        events = raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + flood, STALL)
        lines = raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n" + flood, STALL)
        table.upstream.always(lines if model.startswith("ours") else events)
        for stream in (False, True):
            answer = await table.ask(model, stream=stream)
            assert "more than 8192 bytes" in answer.text
            assert "zzz" not in answer.text
        await table.upstream.until(lambda: table.upstream.open_connections == 0)


async def test_many_small_frames_are_no_large_one(tables: Any) -> None:
    async with tables('[limits]\nframe = "1KiB"\n') as table:
        for model in ("mock/m", "woollama/plain"):
            table.upstream.answers(chat_stream("word " * 2000))
            answer = await table.ask(model, stream=True)
            assert answer.text.rstrip().endswith("data: [DONE]")


# --- results of tools ---


async def test_a_large_result_is_cut_and_the_model_is_told_how_large_it_was(tables: Any) -> None:
    async with tables('[limits]\ntool_result = "1KiB"\n', all=server()) as table:
        table.upstream.answers(chat_tool_call("all__echo", {"text": "w" * 5000}), chat("I see."))
        answer = (await table.ask("woollama/clerk")).json()
        told = table.upstream.requests[-1].json["messages"][-1]["content"]
        assert told.startswith("w" * 900)
        assert len(told) < 1400
        size = re.search(r"this result was cut\. It had (\d+) bytes", told)
        assert size is not None
        assert int(size[1]) > 5000
        assert "at most 1024 are taken (limits.tool_result)" in told
        assert answer["x_woollama"]["tool_calls"][0]["result"] == told


# --- turns at once ---


async def test_turns_wait_for_a_place_relayed_or_not_and_are_all_answered(tables: Any) -> None:
    async with tables("[limits]\nruns = 1\n") as table:
        held = asyncio.Event()
        for _ in range(4):
            table.upstream.answers(sse([held, frame(chunk({"content": "a"})), frame(chunk({}, finish="stop"))]))
        asked = [
            asyncio.create_task(table.ask(model, stream=True))
            for model in ("mock/m", "woollama/plain", "mock/m", "plain")
        ]
        await table.upstream.until(lambda: len(table.upstream.requests) == 1)
        assert (await table.client.get("/v1/models")).status_code == 200
        assert len(table.upstream.requests) == 1
        held.set()
        for answer in await asyncio.gather(*asked):
            assert '"content":"a"' in answer.text.replace(" ", "")


# --- prices ---


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["mock/m", "woollama/plain"], ids=["relay", "engine"])
async def test_a_cost_is_in_the_log_the_metrics_and_the_events(tables: Any, model: str, stream: bool) -> None:
    async with tables(PRICES) as table, table.client.stream("GET", "/w1/events") as feed:
        lines = feed.aiter_lines()
        await anext(lines)
        table.upstream.answers(chat("fine"))
        answer = await table.ask(model, stream=stream)
        async with asyncio.timeout(PATIENCE_S):
            ended = json.loads(
                (await anext(line async for line in lines if '"request.ended"' in line))[len("data: ") :]
            )
        assert (ended["cost_usd"], ended["caller"]) == (COST_USD, "python-httpx2")
        (line,) = await table.lines("request")
        assert line["cost_usd"] == COST_USD
        metrics = (await table.client.get("/metrics")).text
        who = 'gen_ai_operation_name="chat",gen_ai_provider_name="mock",gen_ai_request_model="m",caller="tcp"'
        assert f"woollama_cost_usd_total{{{who}}} {COST_USD:g}\n" in metrics
        if model != "mock/m":  # what is relayed is left as it came
            assert f'"cost_usd": {COST_USD}' in answer.text or f'"cost_usd":{COST_USD}' in answer.text


async def test_every_dialect_has_the_cost_in_its_footnote(tables: Any) -> None:
    async with tables(PRICES) as table:
        for path, asked in (
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
            ("/v1/responses", {"input": "x", "store": False}),
            ("/v1/messages", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9}),
            ("/api/chat", {"messages": [{"role": "user", "content": "x"}]}),
        ):
            for stream in (False, True):
                table.upstream.answers(chat("fine"))
                answer = await table.client.post(path, json={"model": "woollama/plain", "stream": stream, **asked})
                assert f'"cost_usd":{COST_USD}' in answer.text.replace(" ", ""), (path, stream)


async def test_the_rounds_of_a_turn_are_added_up(tables: Any) -> None:
    async with tables(PRICES, all=server()) as table:
        table.upstream.answers(chat_tool_call("all__echo", {"text": "x"}), chat("done"))
        answer = (await table.ask("woollama/clerk")).json()
        assert answer["x_woollama"]["cost_usd"] == pytest.approx(2 * COST_USD)


async def test_without_a_price_there_is_no_cost_and_never_a_zero(tables: Any) -> None:
    async with tables(PRICES) as table:
        table.upstream.always(chat("fine"))
        assert "cost_usd" not in (await table.ask("free/m")).text
        assert "cost_usd" not in (await table.ask("free/m", n=1, stream=True)).text
        assert [line.get("cost_usd") for line in await table.lines("request", 2)] == [None, None]
        metrics = (await table.client.get("/metrics")).text
        assert "woollama_cost_usd_total{" not in metrics


# --- the log line ---


async def test_a_line_says_all_of_a_request_and_of_each_tool_call_and_no_content(tables: Any) -> None:
    async with tables(PRICES, all=server()) as table:
        table.upstream.answers(chat_tool_call("all__echo", {"text": "tell-nobody"}), chat("tell-nobody"))
        await table.client.post(
            "/v1/chat/completions",
            json={"model": "woollama/clerk", "messages": [{"role": "user", "content": "tell-nobody"}]},
            headers={"x-request-id": "mine-1", "user-agent": "probe/3"},
        )
        (request,), (call,) = await table.lines("request"), await table.lines("tool")
        ms = request.pop("ms"), call.pop("ms")
        assert all(isinstance(each, int) for each in ms)
        assert {key: request[key] for key in request.keys() - {"time", "level", "logger"}} == {
            "message": "request",
            "id": "mine-1",
            "method": "POST",
            "path": "/v1/chat/completions",
            "surface": "chat",
            "model": "woollama/clerk",
            "by": "engine",
            "target": "mock/m",
            "attempts": 1,
            "status": 200,
            "tokens_in": 22,
            "tokens_out": 14,
            "cost_usd": pytest.approx(2 * COST_USD),
            "caller": "probe",
            "via": "tcp",
        }
        assert {key: call[key] for key in call.keys() - {"time", "level", "logger"}} == {
            "message": "tool",
            "id": "mine-1",
            "server": "all",
            "tool": "echo",
            "caller": "probe",
            "outcome": "returned",
        }
        assert "tell-nobody" not in table.log.getvalue()
