"""Secrets are planted wherever the daemon meets one, and looked for in everything that it says."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.chat_wire import chunk, frame
from tests.daemon import daemon
from tests.upstream import Answer, Received, ScriptedUpstream, body, error, html, raw, sse
from woollama.observe import Scrubber, configure

PATIENCE_S = 60.0
PLANTED = {
    "MOCK_KEY": 'sk+planted/"inferencer"=key',
    "EXTRA_HEADER": "planted-header-of-an-inferencer",
    "GIT_TOKEN": "planted-token-of-a-tool-server",
    "HTTP_TOKEN": "planted-header-of-a-tool-server",
    "WOOLLAMA_TOKEN": "planted-token-of-the-daemon",
    "WOOLLAMA_TOKEN_AIDER": 'planted+token/"of"=a client',
    "NAMED_LIKE_NOTHING": "planted-token-of-another-client",
    "UNRELATED_API_KEY": "planted-key-of-something-else",
}
INFERENCERS = """
[inferencers.mock]
base_url = "{url}"
api_key_env = "MOCK_KEY"
headers = { x-extra = "Bearer ${EXTRA_HEADER}", x-title = "woollama" }
discover = false
retries = 1

[inferencers.messages]
api = "anthropic"
base_url = "{origin}"
api_key_env = "MOCK_KEY"
headers = { x-extra = "Bearer ${EXTRA_HEADER}" }
discover = false
retries = 0

[inferencers.llama]
api = "ollama"
base_url = "{origin}"
api_key_env = "MOCK_KEY"
discover = false
retries = 0
"""
TOKENS = """
[tokens.aider]
models = ["mock/*", "woollama/plain"]

[tokens.other]
token_env = "NAMED_LIKE_NOTHING"
"""
RECIPES = '[recipes.plain]\ninferencer = "mock/m"\n'
LEAKY = "import os, sys\nprint(*(f'{k}={v}' for k, v in os.environ.items()), file=sys.stderr)\nsys.exit(3)\n"


def told(request: Received) -> str:
    """What an upstream that repeats everything would say."""
    everything = [*request.headers.values(), *PLANTED.values(), *map(quote, PLANTED.values())]
    return f"refused: {' '.join(everything)}"


REPLIES: dict[str, Callable[[Received], Answer]] = {
    "401": lambda request: error(401, told(request), code="invalid", param=told(request)),
    "500": lambda request: error(500, told(request)),
    "a page": lambda request: html(502, f"<html>{told(request)}</html>"),
    "a text": lambda request: body(told(request).encode(), status=400, headers={"content-type": "text/plain"}),
    "no HTTP": lambda request: raw(told(request).encode() + b"\r\n\r\n"),
    "an error in the stream": lambda request: sse(
        [frame(chunk({"content": "hi"})), frame({"error": {"message": told(request), "type": "x"}})]
    ),
    "a redirect": lambda request: body(
        b"", status=307, headers={"location": f"http://h/{PLANTED['UNRELATED_API_KEY']}"}
    ),
}


@dataclass
class Table:
    client: httpx2.AsyncClient
    upstream: ScriptedUpstream
    log: io.StringIO
    said: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, **how: Any) -> None:
        answer = await self.client.request(method, path, **how)
        self.said += [f"{answer.status_code} {dict(answer.headers)}", answer.text]

    def leaks(self) -> list[str]:
        spellings = {name: {value, quote(value, safe=""), json.dumps(value)[1:-1]} for name, value in PLANTED.items()}
        everything = [*self.said, self.log.getvalue()]
        return [
            f"{name} in {text[:300]}"
            for name, values in spellings.items()
            for text in everything
            if any(value in text for value in values)
        ]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, own = root.handlers[:], root.level, logging.getLogger("woollama").level
    yield io.StringIO()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("woollama").setLevel(own)


@pytest.fixture
async def table(tmp_path: Path, log: io.StringIO) -> AsyncIterator[Table]:
    (tmp_path / "leaky.py").write_text(LEAKY)
    (tmp_path / "recipes.toml").write_text(RECIPES)
    env = {name: f"${{{name}}}" for name in ("GIT_TOKEN",)}
    leaky = {"command": sys.executable, "args": [str(tmp_path / "leaky.py")], "env": env}
    async with ScriptedUpstream() as upstream:
        remote = {"url": f"{upstream.origin}/mcp", "headers": {"Authorization": "Bearer ${HTTP_TOKEN}"}}
        (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"leaky": leaky, "remote": remote}}))
        text = INFERENCERS.replace("{url}", upstream.base_url).replace("{origin}", upstream.origin)
        (tmp_path / "inferencers.toml").write_text(text)
        upstream.always(lambda request: error(500, told(request)))
        scrubber = Scrubber()
        configure("debug", "text", scrubber=scrubber, stream=log)
        (tmp_path / "woollama.toml").write_text(TOKENS)
        headers = {"authorization": f"Bearer {PLANTED['WOOLLAMA_TOKEN']}"}
        async with (
            daemon(tmp_path, {**PLANTED, "HOME": str(tmp_path)}, None, scrubber) as running,
            httpx2.AsyncClient(base_url=running.url, trust_env=False, timeout=PATIENCE_S, headers=headers) as client,
        ):
            yield Table(client, upstream, log)


@pytest.mark.parametrize("reply", REPLIES)
async def test_what_an_upstream_repeats_is_not_passed_on(table: Table, reply: str):
    feed = asyncio.create_task(table.ask("GET", "/w1/events"))
    for model in ("mock/m", "woollama/plain", "messages/m"):
        for stream in (False, True):
            asked = {"model": model, "messages": [{"role": "user", "content": "x"}], "stream": stream}
            table.upstream.always(REPLIES[reply])
            await table.ask("POST", "/v1/chat/completions", json=asked)
    await table.ask("POST", "/v1/responses", json={"model": "mock/m", "input": "x", "stream": True})
    await table.ask("POST", "/v1/messages", json={**asked, "max_tokens": 9})
    await table.ask("POST", "/v1/messages/count_tokens", json=asked)
    await table.ask("POST", "/api/chat", json=asked)
    await table.ask("POST", "/api/chat", json={**asked, "model": "llama/m"})
    await table.ask("POST", "/api/generate", json={"model": "mock/m", "prompt": "x", "stream": False})
    await table.ask("POST", "/api/embed", json={"model": "mock/m", "input": "x"})
    await table.ask("POST", "/v1/audio/speech", json={"model": "mock/m", "input": "x", "voice": "y"})
    feed.cancel()
    await asyncio.wait([feed])
    assert len(table.said) == 28
    assert table.leaks() == []


async def test_the_feed_tells_failures_without_the_secrets_in_them(table: Table):
    seen = []
    async with table.client.stream("GET", "/w1/events") as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        await table.ask(
            "POST",
            "/v1/chat/completions",
            json={"model": "woollama/plain", "messages": [{"role": "user", "content": "x"}]},
        )
        async with asyncio.timeout(PATIENCE_S):
            async for line in lines:
                seen.append(line)
                if "request.ended" in line:
                    break
    table.said += seen
    assert "[redacted]" in "".join(seen)
    assert table.leaks() == []


async def test_what_a_tool_server_writes_and_dies_of_is_told_without_its_secrets(table: Table):
    async def leaky() -> dict[str, Any]:
        listed = (await table.client.get("/w1/servers")).json()["data"]
        return next(server for server in listed if server["name"] == "leaky")

    async with asyncio.timeout(PATIENCE_S):
        while not (server := await leaky())["last_error"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert "[redacted]" in server["last_error"]
    assert "GIT_TOKEN=[redacted]" in table.log.getvalue()
    for path in ("/w1/servers", "/v1/tools", "/metrics", "/readyz"):
        await table.ask("GET", path)
    assert table.leaks() == []
    assert "woollama_info{" in "".join(table.said)  # a header with the name of a program makes that no secret


async def test_a_refused_caller_does_not_get_the_token_back(table: Table):
    await table.ask("GET", f"/v1/models/{PLANTED['WOOLLAMA_TOKEN']}")
    await table.ask("GET", "/v1/models", headers={"authorization": "Bearer wrong"})
    asked = {"model": PLANTED["MOCK_KEY"], "messages": []}
    await table.ask("POST", "/v1/chat/completions", json=asked)
    assert table.leaks() == []


@pytest.mark.parametrize("name", ["WOOLLAMA_TOKEN_AIDER", "NAMED_LIKE_NOTHING"])
async def test_a_clients_token_is_seen_nowhere_and_by_no_upstream(table: Table, name: str):
    token = PLANTED[name]
    for reply in REPLIES.values():
        for way in ({"authorization": f"Bearer {token}"}, {"authorization": "", "x-api-key": token}):
            for model in ("mock/m", "woollama/plain", "messages/m", f"mock/{token}", token, f"woollama/{token}"):
                table.upstream.always(reply)
                asked = {"model": model, "messages": [{"role": "user", "content": "x"}], "user": "u"}
                await table.ask("POST", "/v1/chat/completions", json=asked, headers=way)
                await table.ask("GET", f"/v1/models/{quote(model)}", headers=way)
            await table.ask("GET", "/w1/events", headers=way)
            await table.ask("GET", "/metrics", headers=way)
    assert table.leaks() == []
    sent = str([request.headers for request in table.upstream.requests])
    assert [each for each in (token, PLANTED["WOOLLAMA_TOKEN"]) if each in sent] == []
    assert {"caller=aider", "caller=other"} & set(table.log.getvalue().split())


def test_a_leak_would_be_seen(log: io.StringIO):
    table = Table(None, None, log, [f"oh: {PLANTED['GIT_TOKEN']}"])  # type: ignore[arg-type]
    log.write(quote(PLANTED["MOCK_KEY"], safe=""))
    assert [leak.partition(" ")[0] for leak in table.leaks()] == ["MOCK_KEY", "GIT_TOKEN"]
