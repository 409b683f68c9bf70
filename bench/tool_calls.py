"""What a tool call costs through an aggregator: ours, FastMCP's proxy, mcp-proxy, all before one server in one run.

Every way is measured in turn, several rounds, and the median round is shown: milliseconds of one call after another,
and of a hundred at once, by the same client over Streamable HTTP. `added` is what a way takes longer than a session
with the server itself. Then `tools/list` of woollama and of FastMCP's proxy with many servers.

The others are measured where `FASTMCP=/path/to/python` says which environment has fastmcp, and `MCP_PROXY=/path/to/
mcp-proxy` where that program is: environments of their own, because they want other versions of the SDK.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from subprocess import DEVNULL
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters

from bench.gateways import cpu_s, memory_mib, running

SERVER = Path(__file__).with_name("echo_server.py")
MANY = Path(__file__).with_name("many_tools.py")
PATIENCE_S = 60.0
AT_ONCE = 100
DOWN = (httpx2.HTTPError, OSError)
MODES = {"modern": "auto", "handshake": "legacy"}
FASTMCP_PROXY = """
import json, sys
from fastmcp.server import create_proxy
create_proxy(json.loads(sys.argv[1])).run("http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False)
"""


@dataclass(frozen=True)
class Way:
    """How to reach the server, what its tool is called there, and the process that it costs."""

    name: str
    server: str | StdioServerParameters
    prefix: str = ""
    pid: int | None = None


@dataclass(frozen=True)
class Took:
    """Milliseconds of single calls, of `AT_ONCE` together, and of all processors for one of them."""

    p50_ms: float
    p99_ms: float
    at_once_ms: float
    cpu_ms: float = 0.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stdio_entry() -> dict[str, Any]:
    return {"command": sys.executable, "args": ["-I", str(SERVER), "stdio"]}


@contextmanager
def http_server() -> Iterator[str]:
    port = free_port()
    with running([sys.executable, "-I", str(SERVER), "http", str(port)]):
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def woollama(servers: dict[str, Any]) -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory(prefix="w-") as home:
        port = free_port()
        off = {name: {"disabled": True} for name in ("hello", "clock", "textops")}
        trusted = {name: {**entry, "trusted": True} for name, entry in servers.items()}
        for name in ("config", "state", "run"):
            (Path(home) / name).mkdir(mode=0o700)
        (Path(home) / "config" / "mcp.json").write_text(json.dumps({"mcpServers": {**off, **trusted}}))
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "WOOLLAMA_ADDRESS": f"127.0.0.1:{port}",
            "WOOLLAMA_CONFIG_DIR": f"{home}/config",
            "WOOLLAMA_STATE_DIR": f"{home}/state",
            "XDG_RUNTIME_DIR": f"{home}/run",
        }
        argv = [sys.executable, "-m", "woollama", "serve"]
        with (Path(home) / "log").open("w") as log, running(argv, env=environ, stdout=log, stderr=log) as process:
            until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200)
            yield f"http://127.0.0.1:{port}/mcp", process.pid


@contextmanager
def fastmcp_proxy(servers: dict[str, Any]) -> Iterator[tuple[str, int]]:
    port = free_port()
    argv = [os.environ["FASTMCP"], "-c", FASTMCP_PROXY, json.dumps({"mcpServers": servers}), str(port)]
    with running(argv, stdout=DEVNULL, stderr=DEVNULL) as process:
        until(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}/mcp", process.pid


@contextmanager
def mcp_proxy(entry: dict[str, Any]) -> Iterator[tuple[str | StdioServerParameters, int | None]]:
    """It puts HTTP before programs, and a program before HTTP."""
    if "url" in entry:
        quiet = 'exec "$0" "$@" 2>/dev/null'
        argv = ["-c", quiet, os.environ["MCP_PROXY"], "--transport", "streamablehttp", entry["url"]]
        yield StdioServerParameters(command="/bin/sh", args=argv), None
        return
    port = free_port()
    argv = [os.environ["MCP_PROXY"], "--port", str(port), "--host", "127.0.0.1", "--", entry["command"], *entry["args"]]
    with running(argv, stdout=DEVNULL, stderr=DEVNULL) as process:
        until(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}/mcp", process.pid


def _answers(port: int) -> bool:
    with suppress(*DOWN), httpx2.Client(timeout=5) as client:
        return client.get(f"http://127.0.0.1:{port}/mcp").status_code < 500
    return False


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(*DOWN):
            if true():
                return
        time.sleep(0.1)
    raise TimeoutError("a way does not come up")


@asynccontextmanager
async def opened(way: Way, mode: str) -> AsyncIterator[Client]:
    connecting: AbstractAsyncContextManager[Client] = Client(way.server, mode=mode, cache=None)
    async with connecting as client:
        await client.list_tools()
        yield client


async def measured(client: Client, tool: str, calls: int) -> Took:
    took = []
    for n in range(calls):
        began = time.perf_counter()
        await client.call_tool(tool, {"text": str(n)})
        took.append((time.perf_counter() - began) * 1000)
    began = time.perf_counter()
    await asyncio.gather(*(client.call_tool(tool, {"text": str(n)}) for n in range(AT_ONCE)))
    at_once_ms = (time.perf_counter() - began) * 1000
    return Took(median(took), quantiles(took, n=100)[98], at_once_ms)


async def compare(ways: list[Way], mode: str, rounds: int, calls: int) -> dict[str, list[Took] | str]:
    made: dict[str, list[Took] | str] = {}
    for number in range(rounds + 1):  # the first warms up
        for way in ways:
            try:
                async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack:
                    client = await stack.enter_async_context(opened(way, mode))
                    before = cpu_s(way.pid) if way.pid else 0.0
                    took = await measured(client, f"{way.prefix}echo", calls if number else 20)
                    spent_ms = (cpu_s(way.pid) - before) * 1000 if way.pid else 0.0
                    took = replace(took, cpu_ms=spent_ms / (calls + AT_ONCE))
            except Exception as error:
                made[way.name] = f"no answers: {type(error).__name__}"
                continue
            if number and not isinstance(known := made.setdefault(way.name, []), str):
                known.append(took)
    return made


def show(what: str, ways: list[Way], made: dict[str, list[Took] | str]) -> None:
    sys.stdout.write(f"\n{what}: p50 and p99 ms of a call, added ms, {AT_ONCE} at once in ms, CPU ms a call, MiB\n")
    direct = made[ways[0].name]
    base = median(each.p50_ms for each in direct) if not isinstance(direct, str) else 0.0
    for way in ways:
        rows = made[way.name]
        if isinstance(rows, str):
            sys.stdout.write(f"  {way.name:<18}{rows}\n")
            continue
        p50, p99 = median(each.p50_ms for each in rows), median(each.p99_ms for each in rows)
        at_once = median(each.at_once_ms for each in rows)
        cpu = median(each.cpu_ms for each in rows)
        mib = f"{cpu:>8.2f}{memory_mib(way.pid):>8.0f}" if way.pid else ""
        sys.stdout.write(f"  {way.name:<18}{p50:>8.2f}{p99:>8.2f}{p50 - base:>8.2f}{at_once:>9.0f}{mib}\n")


def calls_through(
    entry: dict[str, Any], direct: str | StdioServerParameters, what: str, made: argparse.Namespace
) -> None:
    with ExitStack() as stack:
        ways = [Way("direct", direct)]
        url, pid = stack.enter_context(woollama({"one": entry}))
        ways.append(Way("woollama", url, "one__", pid))
        if os.environ.get("FASTMCP"):
            url, pid = stack.enter_context(fastmcp_proxy({"one": entry}))
            ways.append(Way("FastMCP's proxy", url, "", pid))
        if os.environ.get("MCP_PROXY"):
            server, none = stack.enter_context(mcp_proxy(entry))
            ways.append(Way("mcp-proxy", server, "", none))
        for era, mode in MODES.items():
            show(f"{what}, a host of the {era} era", ways, asyncio.run(compare(ways, mode, made.rounds, made.calls)))


async def listing(url: str, times: int) -> tuple[int, float, float]:
    """How many tools there are, and the milliseconds of the first listing and of the median one."""
    took = []
    async with asyncio.timeout(10 * PATIENCE_S), Client(url, cache=None) as client:
        for _ in range(times):
            began, tools = time.perf_counter(), 0
            cursor: str | None = None
            while True:
                page = await client.list_tools(cursor=cursor)
                tools += len(page.tools)
                if (cursor := page.next_cursor) is None:
                    break
            took.append((time.perf_counter() - began) * 1000)
    return tools, took[0], median(took)


def lists_of_many(servers: int, tools: int, times: int) -> None:
    one = {"command": sys.executable, "args": ["-IS", str(MANY), str(tools // servers)]}
    entries = {f"s{n}": one for n in range(servers)}
    sys.stdout.write(f"\ntools/list with {servers} servers and {tools} tools: tools, first ms, median ms\n")
    ways = {"woollama": woollama, **({"FastMCP's proxy": fastmcp_proxy} if os.environ.get("FASTMCP") else {})}
    for name, way in ways.items():
        with way(entries) as (url, _):
            try:
                found, first, usual = asyncio.run(listing(url, times))
            except Exception as error:
                sys.stdout.write(f"  {name:<18}no answers: {type(error).__name__}\n")
                continue
        sys.stdout.write(f"  {name:<18}{found:>8}{first:>9.0f}{usual:>9.0f}\n")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench/run mcp", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, few servers: does it run?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    made = parser.parse_args(arguments)
    if made.quick:
        made.rounds, made.calls = 1, 20
    for variable, what in (("FASTMCP", "FastMCP's proxy"), ("MCP_PROXY", "mcp-proxy")):
        if not os.environ.get(variable):
            sys.stdout.write(f"{variable} is not set, and {what} is left out\n")
    stdio = stdio_entry()
    calls_through(stdio, StdioServerParameters(**stdio), "a program", made)
    with http_server() as url:
        calls_through({"type": "http", "url": url}, url, "an HTTP server", made)
    lists_of_many(*((3, 60, 2) if made.quick else (50, 2000, 5)))
    return 0
