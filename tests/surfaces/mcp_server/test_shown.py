"""Tools that a server shows only to clients that can do something: each host finds those that it is shown itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client

from tests.surfaces.mcp_server.asking import Asking
from tests.surfaces.mcp_server.hosts import Host, feeds, serving, until, until_async
from tests.surfaces.mcp_server.raw_hosts import RawHost, raw_host
from woollama.server import InProcess

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

PROGRAM = Path(__file__).parents[2] / "toolservers" / "servers" / "showing.py"
CHANGED = "notifications/tools/list_changed"
ROOTS: dict[str, Any] = {"roots": {"listChanged": True}}
SAMPLING: dict[str, Any] = {"sampling": {}}
HERE = Asking()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """`a` is reached by HTTP; `pipe` is a program, `early` one that is asked before it is called, and of `own` each
    client has one."""
    entry = {"trusted": True, "era": "handshake"}
    program = {"command": sys.executable, "args": ["-IS", str(PROGRAM)], **entry}
    with (
        HERE.serving() as a,
        serving(
            tmp_path_factory.mktemp("daemon"),
            a={"url": a, **entry, "deny": ["think"]},
            pipe=program,
            early={**program, "listing": "per-client", "expose": ["tr*", "where"]},
            own={**program, "sharing": "per-client"},
        ) as each,
    ):
        yield each


async def finds(host: RawHost, tool: str) -> None:
    async def is_there() -> bool:
        return tool in await host.tools()

    await until_async(is_there)


async def is_not_there(host: RawHost, tool: str) -> None:
    assert tool not in await host.tools()
    answer = await host.begin_call(tool)[1]
    assert answer["error"]["message"] == f"there is no tool {tool!r}"


async def test_a_host_hears_of_what_an_http_server_shows_clients_like_it_and_calls_it(running: InProcess) -> None:
    heard = Host()

    async def roots(_: object) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ann")])  # type: ignore[arg-type]

    before = feeds(running)
    async with Client(
        f"{running.url}/mcp", mode="legacy", list_roots_callback=roots, message_handler=heard.hear, cache=None
    ) as host:
        await until(lambda: bool(feeds(running) - before))
        first = {tool.name for tool in (await host.list_tools()).tools}
        assert {"a__trace", "a__where"} & first == {"a__trace"}
        await until(lambda: any(isinstance(each, types.ToolListChangedNotification) for each in heard.heard))

        async def is_there() -> bool:  # it may have been told of another server's first
            return "a__where" in {tool.name for tool in (await host.list_tools()).tools}

        await until_async(is_there)
        assert "file:///home/ann" in str((await host.call_tool("a__where", {})).content)
    listed = httpx2.get(f"{running.url}/v1/tools").json()
    assert "a.trace" in str(listed)
    assert "where" not in str(listed)  # what recipes may name is what everybody has


async def test_the_next_host_that_can_do_the_same_has_them_at_once_and_others_never(running: InProcess) -> None:
    async with raw_host(running, "ann", ROOTS) as ann, raw_host(running, "ben", ROOTS) as ben:
        await finds(ann, "a__where")
        assert "a__where" in await ben.tools()
        assert "file:///ben" in await ben.call("a__where")
        async with raw_host(running, "cat", SAMPLING) as cat, raw_host(running, "dan", {}) as dan:
            await cat.call("a__trace")
            for host in (cat, dan):
                await is_not_there(host, "a__where")


async def test_what_the_owner_denies_or_does_not_expose_is_shown_to_no_such_host(running: InProcess) -> None:
    async with raw_host(running, "ann", SAMPLING) as ann:
        await ann.tools()
        await ann.call("pipe__trace")
        await finds(ann, "pipe__think")
        assert "ann" in await ann.call("pipe__think")
        for server in ("a", "early"):
            await ann.call(f"{server}__trace")
            await is_not_there(ann, f"{server}__think")


async def test_of_a_program_they_are_known_from_the_first_call_on(running: InProcess) -> None:
    async with raw_host(running, "ann", ROOTS) as ann, raw_host(running, "ben", {}) as ben:
        await is_not_there(ann, "pipe__where")
        await ann.call("pipe__trace")
        await ann.heard("feed", CHANGED)
        await finds(ann, "pipe__where")
        assert "file:///ann" in await ann.call("pipe__where")
        await ben.call("pipe__trace")
        await is_not_there(ben, "pipe__where")


async def test_of_a_program_whose_listing_is_per_client_they_are_known_before_any_call(running: InProcess) -> None:
    async with raw_host(running, "ann", {"roots": {"listChanged": False}}) as ann:  # as no host before
        assert "early__where" not in await ann.tools()
        await ann.heard("feed", CHANGED)
        await finds(ann, "early__where")
        assert "file:///ann" in await ann.call("early__where")


async def test_of_a_server_for_each_client_they_are_known_from_the_first_call_on(running: InProcess) -> None:
    async with raw_host(running, "ann", ROOTS) as ann:
        await is_not_there(ann, "own__where")
        await ann.call("own__trace")
        await finds(ann, "own__where")
        assert "file:///ann" in await ann.call("own__where")


@pytest.mark.parametrize(
    ("server", "capabilities"), [("a", {}), ("pipe", {"roots": {}}), ("own", {}), ("own", {"roots": {}})]
)
async def test_what_a_call_has_switched_on_is_for_that_host_alone(
    running: InProcess, server: str, capabilities: dict[str, Any]
) -> None:
    async with raw_host(running, "ann", capabilities) as ann, raw_host(running, "ben", capabilities) as ben:
        await ben.call(f"{server}__trace")
        await ann.call(f"{server}__unlock")
        await ann.heard("feed", CHANGED)
        await finds(ann, f"{server}__locked")
        assert await ann.call(f"{server}__locked") == "locked"
        await is_not_there(ben, f"{server}__locked")
