"""Woollamas that use each other: in both directions, in a ring, and one that finds itself among its tool servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client, MCPError

from tests.daemon import daemon
from tests.ports import OwnPort
from tests.surfaces.mcp_server.hosts import ACCEPT, PATIENCE_S, SHIPPED, Host, over_http, said, server
from tests.toolservers.fleets import SERVERS, until
from woollama.processes.environment import within
from woollama.server import InProcess


@dataclass
class One:
    running: InProcess
    directory: Path

    async def tools(self) -> list[str]:
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
            return [str(name) for name in (await client.get(f"{self.running.url}/v1/tools")).json()["tools"]]

    async def until_it_has(self, *names: str) -> list[str]:
        async def has() -> bool:
            return set(names) <= set(await self.tools())

        await until(has)
        return await self.tools()

    async def until_down(self, name: str) -> str:
        """Why that tool server is."""
        found: dict[str, Any] = {}

        async def is_down() -> bool:
            async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
                servers = (await client.get(f"{self.running.url}/w1/servers")).json()["data"]
            found.update(next((each for each in servers if each["name"] == name), {}))
            return found.get("health") == "down"

        await until(is_down)
        return str(found["last_error"])


@asynccontextmanager
async def woollamas(directory: Path, **uses: Mapping[str, Any]) -> AsyncIterator[list[One]]:
    """Each by its name, with the servers that it uses; `{"a": "b"}` of those is another one of them under a name."""
    off = {name: {"disabled": True} for name in SHIPPED}
    async with AsyncExitStack() as all_of_them:
        ports = {name: all_of_them.enter_context(OwnPort()).number for name in uses}
        ones = []
        for name, servers in uses.items():
            config = directory / name
            config.mkdir()
            entries = {
                each: {"url": f"http://127.0.0.1:{ports[entry]}/mcp", "trusted": True}
                if isinstance(entry, str)
                else entry
                for each, entry in servers.items()
            }
            (config / "mcp.json").write_text(json.dumps({"mcpServers": {**off, **entries}}))
            (config / "woollama.toml").write_text(f'[server]\naddress = "127.0.0.1:{ports[name]}"\n')
            environ = {"HOME": str(config), "PATH": os.environ["PATH"]}
            ones.append(One(await all_of_them.enter_async_context(daemon(config, environ)), config))
        yield ones


ALL = server(trusted=True)


async def test_two_that_use_each_other_see_each_others_own_and_no_more(tmp_path: Path) -> None:
    async with woollamas(tmp_path, a={"all": ALL, "b": "b"}, b={"own": ALL, "a": "a"}) as (a, b):
        of_a = await a.until_it_has("all.echo", "b.own__echo")
        of_b = await b.until_it_has("own.echo", "a.all__echo")
        assert not any(name.startswith("b.a__") for name in of_a)
        assert not any(name.startswith("a.b__") for name in of_b)
        host = Host(ACCEPT)
        async with over_http(a.running, "legacy", host) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            echo, count, ask, grow = (
                next(each for each in names if each.startswith("b__") and each.split("__")[-1].startswith(word))
                for word in ("echo", "count", "ask", "grow")
            )
            assert said(await client.call_tool(echo, {"text": "hi"})) == "hi"
            counted = await client.call_tool(count, {"n": 3}, progress_callback=host.tell)
            assert (said(counted), [progress for progress, _ in host.progress]) == ("counted to 3", [1.0, 2.0, 3.0])
            assert said(await client.call_tool(ask, {"question": "colour?"})) == "accept: blue"
            assert host.asked == ["b: own: colour?"]
        host = Host()  # that cannot be asked, and so needs no process of its own
        async with over_http(a.running, "legacy", host) as client:
            await client.call_tool(grow, {})
            await a.until_it_has("b.own__grown")
            for number in range(30):  # for as long as this takes, a change that was told on in circles would be heard
                await client.call_tool(echo, {"text": str(number)})
            heard = [each for each in host.heard if isinstance(each, types.ToolListChangedNotification)]
            assert 1 <= len(heard) <= 3


async def test_what_a_server_behind_another_one_shows_hosts_with_roots_reaches_such_a_host(tmp_path: Path) -> None:
    """Told once by each, and not in circles."""
    showing = {"command": sys.executable, "args": ["-IS", str(SERVERS / "showing.py")], "trusted": True}
    own = {**showing, "listing": "per-client"}
    async with woollamas(tmp_path, a={"b": "b", "own": own}, b={"a": "a", "own": own}) as (a, b):
        await a.until_it_has("b.own__trace", "own.trace")
        await b.until_it_has("a.own__trace", "own.trace")
        host = Host()

        async def roots(_: object) -> types.ListRootsResult:
            return types.ListRootsResult(roots=[types.Root(uri="file:///home/ann")])  # type: ignore[arg-type]

        options: dict[str, Any] = {"list_roots_callback": roots, **host.options()}
        async with Client(f"{a.running.url}/mcp", mode="legacy", **options) as client:

            async def found() -> list[str]:
                return [tool.name for tool in (await client.list_tools()).tools if "where" in tool.name]

            async def both_are() -> bool:
                return len(await found()) == 2

            await until(both_are)
            for name in await found():
                assert "file:///home/ann" in said(await client.call_tool(name, {}))
            for _ in range(30):  # for as long as this takes, a change that was told on in circles would be heard
                await client.call_tool("own__trace", {})
            heard = [each for each in host.heard if isinstance(each, types.ToolListChangedNotification)]
            assert len(heard) <= 3
        for one in (a, b):
            assert not any("where" in name for name in await one.tools())


async def test_in_a_ring_names_have_two_levels(tmp_path: Path) -> None:
    uses = {"a": {"all": ALL, "b": "b"}, "b": {"all": ALL, "c": "c"}, "c": {"all": ALL, "a": "a"}}
    async with woollamas(tmp_path, **uses) as ones:
        for one, following in zip(ones, "bca", strict=True):
            names = await one.until_it_has("all.echo", f"{following}.all__echo")
            assert {name.partition(".")[0] for name in names} == {"all", following}
            beyond = {"b": "c", "c": "a", "a": "b"}[following]
            assert not any(name.startswith(f"{following}.{beyond}__") for name in names)
        async with over_http(ones[0].running, "auto") as client:
            with pytest.raises(MCPError, match="through 4 woollamas"):
                await client.call_tool("all__echo", {"text": "hi"}, meta={"io.woollama/hops": 5})


async def test_one_is_not_its_own_tool_server_whatever_its_address_is(tmp_path: Path) -> None:
    async with woollamas(tmp_path, a={"all": ALL}) as (a,):
        url = a.running.url.replace("127.0.0.1", "localhost")
        pipe = {"command": sys.executable, "args": ["-m", "woollama", "mcp"]}
        pipe["env"] = {"XDG_RUNTIME_DIR": str(a.running.unix_path.parent), "WOOLLAMA_CONFIG_DIR": str(a.directory)}
        servers = {"all": ALL}
        for era in ("auto", "handshake", "modern"):
            servers |= {f"me_{era}": {"url": f"{url}/mcp", "era": era}, f"pipe_{era}": {**pipe, "era": era}}
        (a.directory / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        over_socket = httpx2.AsyncHTTPTransport(uds=str(a.running.unix_path))
        async with httpx2.AsyncClient(transport=over_socket, base_url="http://x", timeout=PATIENCE_S) as owner:
            (await owner.post("/w1/reload", json={})).raise_for_status()
        for name in servers.keys() - {"all"}:
            assert "it cannot be its own tool server" in await a.until_down(name)
        await a.until_it_has("all.echo")


def test_a_private_core_that_is_its_own_tool_server_does_not_start(tmp_path: Path) -> None:
    environ = {**os.environ, "WOOLLAMA_CONFIG_DIR": str(tmp_path), **within({}, str(tmp_path))}
    command = [sys.executable, "-m", "woollama", "mcp", "--standalone"]
    finished = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (finished.returncode, finished.stdout) == (4, "")
    assert "would start itself without end" in finished.stderr
