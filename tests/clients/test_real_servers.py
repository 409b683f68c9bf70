"""Servers that other people run, behind woollama, in the hands of hosts that other people write."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters

from conformance.case import environment
from conformance.mcp.run import INSTALLED, node
from tests.clients.conftest import ENVIRONMENTS, OURS, SCRIPTS, Stage, python_of
from tests.clients.test_clients import node_environment
from tests.conversing import converse
from tests.daemon import daemon
from tests.surfaces.mcp_server.hosts import SHIPPED, said
from tests.upstream import ScriptedUpstream

SERVED = SCRIPTS.parent / "mcp" / "served.py"
IN_NODE = ENVIRONMENTS / "servers-node" / "node_modules" / "@modelcontextprotocol"
RECIPE = """
[recipes.everything-there-is]
inferencer = "mock/mock-model"
tools = ["*"]
"""

Call = tuple[str, dict[str, Any], str]


@dataclass(frozen=True)
class Behind(Stage):
    """`calls` are good ones, at least one for each server; `runtime` is where the daemon's socket is."""

    calls: Sequence[Call] = ()
    runtime: Path = Path()


def servers(directory: Path) -> dict[str, Any]:
    if node() is None or not INSTALLED.exists() or not IN_NODE.exists() or shutil.which("git") is None:
        pytest.skip("the servers are not installed: install git and Node and run scripts/clients")

    def in_node(name: str, *args: str, **env: str) -> dict[str, Any]:
        program = str(IN_NODE / f"server-{name}" / "dist" / "index.js")
        return {"command": node(), "args": [program, *args], "env": env, "trusted": True}

    def in_python(environment: str, *args: str) -> dict[str, Any]:
        return {"command": python_of(environment), "args": list(args), "trusted": True}

    return {
        "everything": in_node("everything", "stdio"),
        "filesystem": in_node("filesystem", str(directory / "files")),
        "memory": in_node("memory", MEMORY_FILE_PATH=str(directory / "memory.jsonl")),
        "git": in_python("servers-python", "-m", "mcp_server_git"),
        "fetch": in_python("servers-python", "-m", "mcp_server_fetch", "--ignore-robots-txt", "--allow-private-ips"),
        "time": in_python("servers-python", "-m", "mcp_server_time"),
        "fastmcp": in_python("python", str(SERVED)),
        "sdk1": in_python("mcp1", str(SERVED)),
    }


def good_calls(directory: Path, url: str) -> list[Call]:
    entity = {"name": "woollama", "entityType": "daemon", "observations": ["it is one"]}
    place = {"name": "Bern", "near": [{"name": "Thun"}]}
    return [
        ("everything__echo", {"message": "hello"}, "hello"),
        ("everything__get-sum", {"a": 2, "b": 3}, "5"),
        ("filesystem__read_text_file", {"path": str(directory / "files" / "note.txt")}, "a note"),
        ("memory__create_entities", {"entities": [entity]}, ""),
        ("memory__read_graph", {}, "it is one"),
        ("git__git_log", {"repo_path": str(directory / "repository")}, "first of all"),
        ("fetch__fetch", {"url": f"{url}/healthz", "raw": True}, "woollama"),
        ("time__convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}, "+9.0h"),
        ("fastmcp__add", {"a": 40, "b": 2}, "42"),
        ("fastmcp__visit", {"place": place}, "Thun"),
        ("sdk1__climb", {"steps": 3}, "3 steps"),
        ("sdk1__visit", {"place": place}, "Thun"),
    ]


def prepare(directory: Path) -> None:
    (directory / "files").mkdir()
    (directory / "files" / "note.txt").write_text("a note")
    who = {f"GIT_{role}_{what}": "t" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for args in (
        ("init", "-q", "repository"),
        ("-C", "repository", "commit", "-q", "--allow-empty", "-m", "first of all"),
    ):
        subprocess.run(["git", *args], cwd=directory, env={**os.environ, **who}, check=True)
    config = directory / "config"
    shutil.copytree(SCRIPTS.parent / "config", config)
    off = {name: {"disabled": True} for name in SHIPPED}
    (config / "mcp.json").write_text(json.dumps({"mcpServers": {**off, **servers(directory)}}))
    (config / "recipes.toml").write_text(RECIPE)


@pytest.fixture(scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behind]:
    directory = tmp_path_factory.mktemp("servers")
    prepare(directory)
    async with ScriptedUpstream() as upstream:
        upstream.always(converse)
        environ = {**os.environ, **environment(upstream.origin)}
        async with daemon(directory / "config", environ) as running, httpx2.AsyncClient(timeout=60) as http:
            async with asyncio.timeout(90):
                while (await http.get(f"{running.url}/readyz")).status_code != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            told = (await http.get(f"{running.url}/w1/servers")).json()["data"]
            broken = {each["name"]: each["last_error"] for each in told if each["health"] == "down"}
            assert broken == {}
            calls = good_calls(directory, running.url)
            yield Behind(running.url, calls=calls, runtime=running.unix_path.parent)


@pytest.mark.parametrize("host", ["the SDK", "the SDK's first generation", "FastMCP"])
async def test_a_host_in_python(behind: Behind, host: str) -> None:
    interpreter = {"the SDK": OURS, "FastMCP": python_of("python")}.get(host) or python_of("mcp1")
    done = await behind.run(interpreter, "calls_client.py", behind.url, json.dumps(behind.calls))
    assert done.code == 0, done.out
    assert done.out.count("ok ") >= len(behind.calls), done.out


async def test_a_host_in_typescript(behind: Behind) -> None:
    environment = node_environment()
    shutil.copy(SCRIPTS / "node" / "calls_client.mjs", environment)
    done = await behind.run("node", str(environment / "calls_client.mjs"), behind.url, json.dumps(behind.calls))
    assert done.code == 0, done.out
    assert done.out.count("ok ") == len(behind.calls), done.out


async def test_the_inspector(behind: Behind) -> None:
    inspector = str(node_environment() / "node_modules" / ".bin" / "mcp-inspector")
    asked = (inspector, "--cli", f"{behind.url}/mcp", "--transport", "http", "--method")
    listed = await behind.run(*asked, "tools/list")
    assert {name for name, _, _ in behind.calls} <= {tool["name"] for tool in json.loads(listed.out)["tools"]}
    called = await behind.run(*asked, "tools/call", "--tool-name", "fastmcp__add", "--tool-arg", "a=40", "b=2")
    assert json.loads(called.out)["content"][0]["text"] == "42"


async def test_a_host_that_launches_woollama(behind: Behind) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(behind.runtime), "XDG_RUNTIME_DIR": str(behind.runtime)}
    launched = StdioServerParameters(command=sys.executable, args=["-m", "woollama", "mcp"], env=environ)
    async with Client(launched, cache=None) as client:
        for name, arguments, words in behind.calls:
            assert words in said(await client.call_tool(name, arguments))


async def test_a_host_that_has_roots_finds_what_the_server_of_everything_shows_such_hosts(behind: Behind) -> None:
    changed = asyncio.Event()

    async def hear(message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()

    async def roots(_: object) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ann", name="ann")])  # type: ignore[arg-type]

    options: dict[str, Any] = {"mode": "legacy", "list_roots_callback": roots, "message_handler": hear, "cache": None}
    async with Client(f"{behind.url}/mcp", **options) as client, asyncio.timeout(60):
        assert "hello" in said(await client.call_tool("everything__echo", {"message": "hello"}))
        while "everything__get-roots-list" not in {tool.name for tool in (await client.list_tools()).tools}:
            await changed.wait()
            changed.clear()
        assert "file:///home/ann" in said(await client.call_tool("everything__get-roots-list", {}))
        async with Client(f"{behind.url}/mcp", mode="legacy", cache=None) as other:
            assert "everything__get-roots-list" not in {tool.name for tool in (await other.list_tools()).tools}


async def test_a_model_with_a_recipe(behind: Behind) -> None:
    text = "\n".join(f"@call {name} {json.dumps(arguments)}" for name, arguments, _ in behind.calls)
    asked = {"model": "woollama/everything-there-is", "messages": [{"role": "user", "content": text}]}
    async with httpx2.AsyncClient(timeout=60) as http:
        answer = await http.post(f"{behind.url}/v1/chat/completions", json=asked)
    assert answer.status_code == 200, answer.text
    told = answer.json()["choices"][0]["message"]["content"]
    assert [words for _, _, words in behind.calls if words not in told] == []
