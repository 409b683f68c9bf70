"""A daemon that remembers, between the official SDK and a scripted upstream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import APIStatusError, AsyncOpenAI

from tests.daemon import daemon
from tests.upstream import ScriptedUpstream
from woollama.observe import Scrubber

MODEL = "mock/m"
PATIENCE_S = 60.0


@dataclass
class Table:
    client: AsyncOpenAI
    http: httpx2.AsyncClient
    upstream: ScriptedUpstream
    directory: Path

    async def ask(self, text: Any, model: str, *, key: str | None = None, **more: Any) -> Any:
        """A response. `key` is woollama's own field, which the SDK does not know."""
        extra = {} if key is None else {"key": key}
        return await self.client.responses.create(model=model, input=text, extra_body=extra, **more)

    async def shows_nothing_of(self, response: Any, backend: str) -> None:
        """Items of a conversation and inputs of a response whose backend cannot show them: refused by its name."""
        for refused in (
            self.client.conversations.items.list(response.conversation.id),
            self.client.responses.input_items.list(response.id),
        ):
            with pytest.raises(APIStatusError, match=f"kept by {backend}") as caught:
                await refused
            assert caught.value.status_code == 501

    def asked(self, number: int = -1) -> list[tuple[str, Any]]:
        """What a request to the upstream said: role and content of each message, and the names of called functions."""
        messages = self.upstream.requests[number].json["messages"]
        return [
            (message["role"], message.get("content") or [c["function"]["name"] for c in message.get("tool_calls", ())])
            for message in messages
        ]

    async def ended(self, response_id: str) -> Any:
        """The response, once it has left the background."""
        while True:
            response = await self.client.responses.retrieve(response_id)
            if response.status not in ("queued", "in_progress"):
                return response


async def with_tools(at: Table, *tools: Any, **asked: Any) -> Any:
    """A response for which the model has these tools."""
    return await at.client.responses.create(**{"model": MODEL, "input": "do it", "tools": list(tools), **asked})


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


def write_config(directory: Path, base_url: str, mcp: Mapping[str, Any], recipes: str = "", daemon: str = "") -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "inferencers.toml").write_text(
        f'[inferencers.mock]\nbase_url = "{base_url}"\nmodels = ["m"]\ndiscover = false\nretries = 0\n'
    )
    off = {name: {"disabled": True} for name in ("hello", "clock", "textops")}
    servers = {**off, **mcp.get("mcpServers", {})}
    (directory / "mcp.json").write_text(json.dumps({**mcp, "mcpServers": servers}))
    (directory / "recipes.toml").write_text(recipes)
    (directory / "woollama.toml").write_text(daemon)


@asynccontextmanager
async def table(
    directory: Path,
    *,
    upstream: ScriptedUpstream | None = None,
    inferencer: str = "",
    environ: Mapping[str, str] | None = None,
    recipes: str = "",
    daemon_toml: str = "",
    scrubber: Scrubber | None = None,
    **mcp: Any,
) -> AsyncIterator[Table]:
    """`directory` holds configuration and state; the same one again is the same daemon after a restart."""
    own = ScriptedUpstream()
    async with own:
        asked = upstream or own
        write_config(directory / "config", asked.base_url, mcp, recipes, daemon_toml)
        if inferencer:
            with (directory / "config" / "inferencers.toml").open("a") as file:
                file.write(inferencer)
        around = {"HOME": str(directory), "WOOLLAMA_STATE_DIR": str(directory / "state"), **(environ or {})}
        async with (
            daemon(directory / "config", around, scrubber=scrubber) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as http,
            AsyncOpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0, timeout=PATIENCE_S) as client,
        ):
            await _ready(http)
            yield Table(client, http, asked, directory)


async def _ready(http: httpx2.AsyncClient) -> None:
    """Tool servers have started: a request waits for them for a while only, and this machine may be slow."""
    async with asyncio.timeout(3 * PATIENCE_S):
        while (await http.get("/readyz")).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
