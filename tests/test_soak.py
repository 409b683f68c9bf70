"""A daemon that everybody treats badly, over and over: no process, no descriptor and no memory is left behind.

A few rounds of it; `SOAK_S=3600 scripts/test tests/test_soak.py` is an hour.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client

from tests.processes.watching import Deaths
from tests.surfaces.mcp_server.hosts import RECIPES, SHIPPED, Host, said
from tests.test_published_failures import address_of
from tests.toolservers.fleets import SERVERS, HttpServer
from woollama.platform import runtime_dir
from woollama.toolservers.lanes import MOST_OWN

log = logging.getLogger(__name__)

SOAK_S = float(os.environ.get("SOAK_S", "20"))
PATIENCE_S = 60.0
LONGEST_REST_S = 180.0
"""Before and after those rounds; only a test that hangs ever takes this long."""
CALL_TIMEOUT_S = 8
FEWEST_LAPS = 4
TINY = {"command": sys.executable, "args": ["-IS", str(SERVERS / "tiny.py")], "trusted": True}
LEFT_ALONE = {**TINY, "timeout": CALL_TIMEOUT_S}
STEADY = {
    "steady": TINY,
    "waits": LEFT_ALONE,
    "killed": TINY,
    "crashes": TINY,
    "each": {**TINY, "sharing": "per-client"},
}
FEW_PROCESSES = 8
FEW_FDS = 24
"""What one moment may have more than another: hosts that are about to make room, connections that are being closed."""
FEW_BYTES = 24 << 20
NO_IDLE = httpx2.Limits(max_keepalive_connections=0)
"""What is cancelled here all the time must not leave a half-dead connection to who comes next."""
HANDSHAKE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"sampling": {}},
    "clientInfo": {"name": "rude", "version": "1"},
}


@dataclass(frozen=True)
class Held:
    """What the daemon has, and its children."""

    processes: int
    zombies: int
    fds: int
    rss_bytes: int

    def is_within(self, other: Held) -> bool:
        few = self.processes <= other.processes + FEW_PROCESSES and self.fds <= other.fds + FEW_FDS
        return few and not self.zombies


class World:
    """A daemon of its own process, and what is around it."""

    def __init__(self, directory: Path, elsewhere: HttpServer) -> None:
        self.directory = directory
        self.elsewhere = elsewhere
        self.laps = 0
        self.url = ""
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "WOOLLAMA_CONFIG_DIR": str(directory / "config"),
            "WOOLLAMA_STATE_DIR": str(directory / "state"),
            "WOOLLAMA_ADDRESS": "127.0.0.1:0",
            "XDG_RUNTIME_DIR": str(directory / "run"),
        }
        for name in ("config", "run", "state"):
            (directory / name).mkdir(mode=0o700)
        (directory / "config" / "recipes.toml").write_text(RECIPES.replace("all.echo", "steady.echo"))
        self.configure({})

    def configure(self, more: Mapping[str, Any]) -> None:
        url = f"http://127.0.0.1:{self.elsewhere.port}/mcp"
        entry = {"type": "http", "url": url, "trusted": True, "timeout": CALL_TIMEOUT_S}
        servers = {**{name: {"disabled": True} for name in SHIPPED}, **STEADY, "elsewhere": entry, **more}
        (self.directory / "config" / "mcp.json").write_text(json.dumps({"mcpServers": servers}))

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[None]:
        log = (self.directory / "log").open("wb")
        argv = (sys.executable, "-m", "woollama", "serve")
        process = await asyncio.create_subprocess_exec(*argv, env=self.environ, stdout=log, stderr=log)
        self.pid = process.pid
        path = str(runtime_dir(self.environ) / "woollama.sock")
        try:
            self.url = await address_of(runtime_dir(self.environ))
            async with (
                httpx2.AsyncClient(base_url=self.url, timeout=PATIENCE_S, limits=NO_IDLE) as self.http,
                httpx2.AsyncClient(
                    transport=httpx2.AsyncHTTPTransport(uds=path), base_url="http://localhost", timeout=PATIENCE_S
                ) as self.owner,
            ):
                await self.settled()
                yield
        finally:
            process.terminate()
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
            log.close()

    async def settled(self) -> None:
        """Every tool server is up, and whatever is not wanted any more has gone."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self._is_settled():  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def _is_settled(self) -> bool:
        try:
            told = (await self.http.get("/w1/servers")).json()["data"]
        except (httpx2.HTTPError, ValueError):
            return False
        wanted = {*STEADY, "elsewhere"}
        return wanted <= {each["name"] for each in told if each["health"] == "ready"} and "extra" not in {
            each["name"] for each in told
        }

    def descendants(self) -> list[tuple[int, str]]:
        """(pid, state) of every process below the daemon."""
        below: dict[int, list[tuple[int, str]]] = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                below.setdefault(int(fields[1]), []).append((int(entry), fields[0]))
        found, waiting = [], [self.pid]
        while waiting:
            children = below.get(waiting.pop(), [])
            found += children
            waiting += [pid for pid, _ in children]
        return found

    def held(self) -> Held:
        states = [state for _, state in self.descendants()]
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        fds = len(os.listdir(f"/proc/{self.pid}/fd"))
        return Held(len(states), states.count("Z"), fds, pages * os.sysconf("SC_PAGE_SIZE"))

    async def at_rest(self, no_more_than: Held | None = None) -> Held:
        """Once the calls of hosts that hung up have run out of time, which is soon; or what there is after a while."""
        await asyncio.sleep(CALL_TIMEOUT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while no_more_than and not self.held().is_within(no_more_than):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
        return self.held()


async def polite_host(world: World, mode: str) -> None:
    async with Client(f"{world.url}/mcp", mode=mode, **Host().options()) as client:
        assert "steady__echo" in {tool.name for tool in (await client.list_tools()).tools}
        for server in ("steady", "each"):
            assert said(await client.call_tool(f"{server}__echo", {"text": mode})) == mode
        asked = {"messages": [{"role": "user", "content": "hello"}], "recipe": "caller"}
        assert not (await client.call_tool("chat", asked)).is_error


async def rude_host(world: World) -> None:
    """Can sample, so that it gets sessions of its own; hangs up in the middle and is never seen again."""
    headers = {"accept": "application/json, text/event-stream"}
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HANDSHAKE}
    begun = await world.http.post("/mcp", json=hello, headers=headers)
    headers["mcp-session-id"] = begun.headers["mcp-session-id"]
    await world.http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
    for tool in ("waits__wait", "elsewhere__wait"):
        call = {
            "jsonrpc": "2.0",
            "id": tool,
            "method": "tools/call",
            "params": {"name": tool, "arguments": {"key": "k"}},
        }
        with suppress(TimeoutError, httpx2.HTTPError):
            async with asyncio.timeout(0.5), world.http.stream("POST", "/mcp", json=call, headers=headers) as answer:
                async for _ in answer.aiter_bytes():
                    pass
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(0.2), world.http.stream("GET", "/mcp", headers=headers) as feed:
            async for _ in feed.aiter_bytes():
                pass


async def killed_host(world: World) -> None:
    """A host over stdio whose `woollama mcp` is killed in the middle of a call."""
    argv = (sys.executable, "-m", "woollama", "mcp")
    process = await asyncio.create_subprocess_exec(
        *argv, env=world.environ, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 22
    )
    assert process.stdin is not None
    assert process.stdout is not None
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {**HANDSHAKE, "capabilities": {}}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "waits__wait", "arguments": {}}}
    try:
        process.stdin.write(json.dumps(hello).encode() + b"\n")
        async with asyncio.timeout(PATIENCE_S):
            assert b'"serverInfo"' in await process.stdout.readline()
        process.stdin.write(json.dumps(call).encode() + b"\n")
        await process.stdin.drain()
    finally:
        process.kill()
        await process.communicate()


async def impatient_chat(world: World) -> None:
    """Leaves after the first bytes of an answer."""
    asked = {"model": "woollama/caller", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with world.http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        async for _ in answer.aiter_bytes():
            return


async def deaths(world: World) -> None:
    rows = (await world.owner.get("/w1/processes")).json()["data"]
    for row in rows:
        if row["name"] == "killed" and row["pid"]:
            with suppress(ProcessLookupError):
                os.kill(row["pid"], signal.SIGKILL)
    async with Client(f"{world.url}/mcp", mode="auto", **Host().options()) as client:
        await client.call_tool("crashes__die", {})


async def elsewhere_restarts(world: World) -> None:
    await world.elsewhere.kill()
    await world.elsewhere.start()


async def reloads(world: World) -> None:
    for more in ({"extra": TINY}, {}):
        world.configure(more)
        assert (await world.owner.post("/w1/reload")).status_code == 200


async def lap(world: World) -> None:
    treated: list[Coroutine[Any, Any, None]] = [
        *(polite_host(world, mode) for mode in ("auto", "legacy")),
        *(rude_host(world) for _ in range(2)),
        killed_host(world),
        *(impatient_chat(world) for _ in range(3)),
        deaths(world),
        reloads(world),
    ]
    if world.laps % 3 == 0:
        treated.append(elsewhere_restarts(world))
    world.laps += 1
    async with asyncio.TaskGroup() as group:
        for each in treated:
            group.create_task(each)
    await world.settled()


async def test_nothing_is_left_of_what_everybody_does_to_it() -> None:
    faulthandler.dump_traceback_later(SOAK_S + LONGEST_REST_S, exit=True)  # instead of what pytest allows a test
    elsewhere = HttpServer()
    await elsewhere.start()
    with tempfile.TemporaryDirectory(prefix="w-") as directory:
        world = World(Path(directory), elsewhere)
        try:
            async with world.daemon():
                ends_at = time.monotonic() + SOAK_S
                # What is made once is made after that, and as many hosts have come and not gone as are let be.
                await asyncio.gather(*(rude_host(world) for _ in range(MOST_OWN)))
                await lap(world)
                began = await world.at_rest()
                while time.monotonic() < ends_at or world.laps < FEWEST_LAPS:
                    await lap(world)
                ended = await world.at_rest(no_more_than=began)
                log.info("%d laps: %s -> %s", world.laps, began, ended)
                assert ended.zombies == 0
                assert ended.processes <= began.processes + FEW_PROCESSES
                assert ended.fds <= began.fds + FEW_FDS
                assert ended.rss_bytes <= began.rss_bytes + FEW_BYTES
                children = [pid for pid, _ in world.descendants()]
                deaths_of_all = Deaths(children)
        finally:
            with suppress(ProcessLookupError):
                await elsewhere.close()
        assert children
        await deaths_of_all.all()
