"""`woollama mcp` as hosts launch it: real processes, the SDK's client, any directory, nothing in the environment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, MCPError, StdioServerParameters

from tests.processes.living import is_alive
from tests.surfaces.mcp_server.hosts import (
    ACCEPT,
    PATIENCE_S,
    Host,
    configure,
    said,
    server,
    told_of,
    tool_names,
    until,
    until_async,
)
from woollama.platform import unix_peer

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
WOOLLAMA = str(Path(sys.executable).with_name("woollama"))
HELLO = {
    "jsonrpc": "2.0",
    "id": "h",
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


class Home:
    """A user's home, in a short path: a socket's is limited. `end` stops the daemon that was started in it."""

    def __init__(self, directory: Path, servers: Mapping[str, Mapping[str, Any]]) -> None:
        self.directory = directory
        configure(directory / "config", servers)
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "WOOLLAMA_CONFIG_DIR": str(directory / "config"),
            "WOOLLAMA_ADDRESS": "127.0.0.1:0",
        }
        self.socket = directory / ".local/state/woollama/run/woollama.sock"

    def daemon_pid(self) -> int:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.socket))
            pid = unix_peer(probe).pid
        assert pid is not None
        return pid

    def end(self) -> None:
        if self.socket.exists():
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.socket))
                except ConnectionRefusedError:
                    return
                pid = unix_peer(probe).pid
                assert pid is not None
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE_S
            while is_alive(pid):  # until then it writes into its directories
                assert time.monotonic() < deadline, "the daemon does not end"
                time.sleep(0.02)

    @asynccontextmanager
    async def host(self, mode: str, *args: str, person: Host | None = None) -> AsyncIterator[Client]:
        launched = StdioServerParameters(command=WOOLLAMA, args=["mcp", *args], env=self.environ, cwd="/")
        async with Client(launched, mode=mode, **(person or Host()).options()) as client:
            yield client

    def raw(self, *args: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [WOOLLAMA, "mcp", *args],
            env=self.environ,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="w-") as directory:
        home = Home(Path(directory), {"all": server(), "sure": server(trusted=True)})
        yield home
        home.end()


@pytest.fixture
def own_home() -> Iterator[Home]:
    """For tests that change a tool server or end the daemon."""
    with tempfile.TemporaryDirectory(prefix="w-") as directory:
        home = Home(Path(directory), {"sure": server(trusted=True)})
        yield home
        home.end()


@pytest.fixture
def bare_home() -> Iterator[Home]:
    """Without tool servers, and nobody else's."""
    with tempfile.TemporaryDirectory(prefix="w-") as directory:
        home = Home(Path(directory), {})
        yield home
        home.end()


@ERAS
@pytest.mark.parametrize("how", [[], ["--standalone"]], ids=["attached", "standalone"])
async def test_a_host_launches_it_and_has_everything(home: Home, mode: str, how: list[str]) -> None:
    person = Host(ACCEPT)
    async with home.host(mode, *how, person=person) as host:
        async with asyncio.timeout(PATIENCE_S):  # what has not started within a moment is listed later
            while not {"chat", "all__echo", "sure__count"} <= set(await tool_names(host)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert said(await host.call_tool("all__echo", {"text": "hello"})) == "hello"
        assert said(await host.call_tool("sure__count", {"n": 2}, progress_callback=person.tell)) == "counted to 2"
        assert person.progress == [(1, "at 1"), (2, "at 2")]
        assert said(await host.call_tool("all__ask", {"question": "which?"})) == "accept: blue"
        assert person.asked[1:] == ["all: which?"]
        got = await host.get_prompt("greeter", {"name": "Ada"})
        assert isinstance(got.messages[0].content, types.TextContent)
        assert got.messages[0].content.text == "Greet Ada in English."


@ERAS
async def test_a_call_is_cancelled_through_it(home: Home, mode: str) -> None:
    async with home.host(mode) as host:
        call = asyncio.create_task(host.call_tool("sure__wait", {"key": mode}))
        await until_async(lambda: traced(host, f"waiting {mode}"))
        call.cancel()
        await until_async(lambda: traced(host, f"cancelled {mode}"))


async def traced(host: Client, line: str) -> bool:
    """Whether the test server has written that into its trace."""
    return line in said(await host.call_tool("sure__trace", {})).splitlines()


async def test_hosts_share_one_daemon(home: Home) -> None:
    async with home.host("auto") as one, home.host("legacy") as other:
        pids = [said(await host.call_tool("sure__pid", {})) for host in (one, other)]
        assert pids[0] == pids[1]


@ERAS
async def test_a_host_hears_through_it_that_the_tools_have_changed(own_home: Home, mode: str) -> None:
    person = Host()
    async with own_home.host(mode, person=person) as host:
        if mode == "auto":
            async with asyncio.timeout(PATIENCE_S), host.listen(tools_list_changed=True) as changes:
                await host.call_tool("sure__grow", {})
                async for _ in changes:
                    if "sure__grown" in await tool_names(host):
                        break
        else:
            await host.call_tool("sure__grow", {})
            await until_async(lambda: told_of(host, person, "sure__grown"))


async def test_two_hosts_that_start_at_once_end_up_with_one_daemon(bare_home: Home) -> None:
    async def names() -> list[str]:
        async with bare_home.host("auto") as host:
            return await tool_names(host)

    ours = ["chat", "compress", "retrieve"]
    assert await asyncio.gather(names(), names()) == [ours, ours]
    assert bare_home.daemon_pid()


@pytest.mark.parametrize("how", [[], ["--standalone"]], ids=["attached", "standalone"])
def test_nothing_but_json_rpc_is_written_and_the_end_of_the_input_is_the_end(bare_home: Home, how: list[str]) -> None:
    process = bare_home.raw(*how)
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(HELLO).encode() + b"\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    assert answer["id"] == "h"
    assert answer["result"]["serverInfo"]["name"] == "woollama"
    rest, _ = process.communicate(timeout=PATIENCE_S)
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines())
    assert process.returncode == 0


def test_what_is_no_message_is_refused_and_the_next_one_is_heard(bare_home: Home) -> None:
    process = bare_home.raw()
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"hello?\n\n[1]\n" + json.dumps(HELLO).encode() + b"\n")
    process.stdin.flush()
    answers = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert [answer.get("error", {}).get("code") for answer in answers] == [-32700, -32600, None]
    process.communicate(timeout=PATIENCE_S)


@ERAS
async def test_a_daemon_that_dies_is_an_error_and_then_there_is_another(own_home: Home, mode: str) -> None:
    person = Host()
    async with own_home.host(mode, person=person) as host:
        first = said(await host.call_tool("sure__pid", {}))
        waiting = asyncio.create_task(host.call_tool("sure__wait", {"key": "k"}))
        await until_async(lambda: traced(host, "waiting k"))
        os.kill(own_home.daemon_pid(), signal.SIGKILL)
        with pytest.raises(MCPError, match="woollama ended"):
            await waiting
        assert said(await host.call_tool("sure__pid", {})) != first
        if mode == "legacy":
            changed = types.ToolListChangedNotification
            await until(lambda: any(isinstance(message, changed) for message in person.heard))


async def test_tool_servers_of_its_own_end_with_it(home: Home) -> None:
    async with home.host("auto", "--standalone") as host:
        pid = int(said(await host.call_tool("sure__pid", {})))
        assert is_alive(pid)
    await until(lambda: not is_alive(pid))


def test_a_daemon_that_cannot_start_is_told_with_its_log(bare_home: Home) -> None:
    bare_home.environ["WOOLLAMA_ADDRESS"] = "nowhere"
    process = bare_home.raw()
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(HELLO).encode() + b"\n")
    process.stdin.flush()
    told = json.loads(process.stdout.readline())
    assert (told["id"], told["error"]["code"]) == ("h", -32000)
    assert told["error"]["message"].endswith("woollama.log says why")
    process.communicate(timeout=PATIENCE_S)
    assert "nowhere" in (bare_home.directory / ".local/state/woollama/woollama.log").read_text()
