"""What tests of our MCP server share: daemons with a scripted model, and the SDK's client as a host."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client import ClientRequestContext

from tests.daemon import daemon_in_thread
from woollama.server import InProcess

EVERYTHING = Path(__file__).parents[2] / "toolservers" / "servers" / "everything.py"
PATIENCE_S = 60.0
SHIPPED = ("hello", "clock", "textops")
RECIPES = """
[recipes.greeter]
inferencer = "scripted/echo"
description = "Greets"
system = "Greet {{name}} in {{language}}."
variables.language = { default = "English", choices = ["English", "French"], description = "which tongue" }

[recipes.plain]
inferencer = "scripted/echo"

[recipes.caller]
inferencer = "scripted/echo"
tools = ["all.echo"]
tool_choice = "required"
"""


def server(**more: Any) -> dict[str, Any]:
    """The entry of the test server over stdio."""
    return {"command": sys.executable, "args": ["-I", str(EVERYTHING), "stdio"], **more}


def configure(directory: Path, servers: Mapping[str, Mapping[str, Any]]) -> Path:
    """A configuration directory: these servers and no shipped ones, and the recipes above."""
    directory.mkdir(exist_ok=True)
    off = {name: {"disabled": True} for name in SHIPPED}
    (directory / "mcp.json").write_text(json.dumps({"mcpServers": {**off, **servers}}))
    (directory / "recipes.toml").write_text(RECIPES)
    return directory


@contextmanager
def serving(directory: Path, rules: str = "", /, **servers: Any) -> Iterator[InProcess]:
    """A daemon in a thread of its own, whose tool servers are up. `rules` is its woollama.toml."""
    config = configure(directory / "config", servers)
    (config / "woollama.toml").write_text(rules)
    environ = {"HOME": str(directory), "PATH": os.environ["PATH"]}
    with daemon_in_thread(config, environ) as running:
        deadline = time.monotonic() + PATIENCE_S
        while httpx2.get(f"{running.url}/readyz", timeout=PATIENCE_S).status_code != 200:
            assert time.monotonic() < deadline, "the tool servers do not come up"
            time.sleep(0.01)
        yield running


class Host:
    """A host: its person's answer to questions, and what it was asked, told and notified of."""

    def __init__(self, answer: types.ElicitResult | None = None) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.progress: list[tuple[float, str | None]] = []
        self.heard: list[object] = []

    async def elicit(self, _: ClientRequestContext, params: Any) -> types.ElicitResult:
        self.asked.append(params.message)
        assert self.answer is not None
        return self.answer

    async def tell(self, progress: float, total: float | None, message: str | None) -> None:
        self.progress.append((progress, message))

    async def hear(self, message: object) -> None:
        self.heard.append(message)

    def options(self) -> dict[str, Any]:
        asked = {"elicitation_callback": self.elicit} if self.answer else {}
        return {"message_handler": self.hear, "cache": None, **asked}


ACCEPT = types.ElicitResult(action="accept", content={"answer": "blue"})
CANCEL = types.ElicitResult(action="cancel")
DECLINE = types.ElicitResult(action="decline")


@asynccontextmanager
async def over_http(running: InProcess, mode: str, host: Host | None = None) -> AsyncIterator[Client]:
    """One of the handshake era opens its stream of notifications in the background: by then it is open."""
    before = feeds(running)
    async with Client(f"{running.url}/mcp", mode=mode, **(host or Host()).options()) as client:
        if mode == "legacy":
            await until(lambda: bool(feeds(running) - before))
        yield client


def feeds(running: InProcess) -> set[Any]:
    """The streams of notifications that are open."""
    answers = [connection.cycle for connection in list(running.serving._state.connections)]  # type: ignore[union-attr]
    return {
        answer
        for answer in answers
        if answer
        and answer.scope["method"] == "GET"
        and answer.scope["path"].startswith("/mcp")
        and answer.response_started
        and not answer.response_complete
    }


@asynccontextmanager
async def over_unix(running: InProcess, mode: str, host: Host | None = None) -> AsyncIterator[Client]:
    """Through a port that leads to the socket: anyio's own unix streams stumble over a cancelled read."""

    tasks: set[asyncio.Task[Any]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(cast(asyncio.Task[Any], asyncio.current_task()))
        down, up = await asyncio.open_unix_connection(running.unix_path)
        try:
            ways = [asyncio.ensure_future(_pump(reader, up)), asyncio.ensure_future(_pump(down, writer))]
            tasks.update(ways)
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (up, writer):
                each.transport.abort()

    forwarder = await asyncio.start_server(forward, "127.0.0.1")
    port = forwarder.sockets[0].getsockname()[1]
    try:
        async with Client(f"http://127.0.0.1:{port}/mcp", mode=mode, **(host or Host()).options()) as client:
            yield client
    finally:
        forwarder.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def said(result: types.CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, types.TextContent))


async def tool_names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]


async def told_of(client: Client, host: Host, tool: str) -> bool:
    """Whether a host of the handshake era has been told of changes since the last time, and finds this tool."""
    told = any(isinstance(each, types.ToolListChangedNotification) for each in host.heard)
    host.heard.clear()
    return told and tool in await tool_names(client)


async def until(true: Callable[[], bool]) -> None:
    async def ask() -> bool:
        return true()

    await until_async(ask)


async def until_async(true: Callable[[], Any]) -> None:
    """Asks again and again with a bounded deadline; every question costs at least a turn of the event loop."""
    async with asyncio.timeout(PATIENCE_S):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
