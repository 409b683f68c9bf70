"""Lists in pages: what a host finds that follows cursors, also while the lists change."""

from __future__ import annotations

import json
import random
import sys
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, MCPError

from tests.surfaces.mcp_server.hosts import over_http, serving, until_async
from woollama.server import InProcess
from woollama.surfaces.mcp_server import pages
from woollama.surfaces.mcp_server.pages import PAGE_BYTES, Entry, page_of

PLENTY = Path(__file__).parents[2] / "toolservers" / "servers" / "plenty.py"
MANY = 1200
ONE_EVENT_BYTES = 1 << 20
"""What the SDKs' clients take."""
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
ENTRY_BYTES = len(json.dumps({"name": "n000"})) + 1


def named(*names: str) -> list[Entry]:
    return [{"name": name} for name in names]


def names_of(entries: Sequence[Entry]) -> list[str]:
    return [str(entry["name"]) for entry in entries]


# --- what is on which page


def test_what_fits_into_one_page_keeps_its_order() -> None:
    page, cursor = page_of("tools", named("chat"), named("z", "a", "m"), None)
    assert (names_of(page), cursor) == (["chat", "z", "a", "m"], None)


def test_a_page_is_as_large_as_it_can_be_and_our_own_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", 3 * ENTRY_BYTES)
    own, others = named("own1"), named("n004", "n001", "n003", "n002")
    first, cursor = page_of("tools", own, others, None)
    assert names_of(first) == ["own1", "n001", "n002"]
    second, end = page_of("tools", own, others, cursor)
    assert (names_of(second), end) == (["n003", "n004"], None)


def test_what_is_larger_than_a_page_has_one_of_its_own() -> None:
    large = {"name": "b", "description": "x" * PAGE_BYTES}
    entries = [*named("a"), large, *named("c")]
    found, cursor = [], None
    for _ in entries:
        page, cursor = page_of("tools", [], entries, cursor)
        found.append(names_of(page))
    assert (found, cursor) == ([["a"], ["b"], ["c"]], None)


def test_an_empty_cursor_is_none() -> None:
    assert page_of("tools", named("a"), [], "") == (named("a"), None)


@pytest.mark.parametrize("seed", range(20))
def test_what_stays_is_listed_once_whatever_comes_and_goes_meanwhile(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", 4 * ENTRY_BYTES)
    chance = random.Random(seed)
    staying = [f"n{number:03}" for number in range(0, 90, 3)]
    found: list[str] = []
    cursor = None
    for turn in range(200):
        passing = chance.sample([f"n{number:03}" for number in range(90) if number % 3], 20)
        there = [*staying, *passing]
        chance.shuffle(there)
        page, cursor = page_of("tools", [], named(*there), cursor)
        found += names_of(page)
        if cursor is None and turn:
            break
    assert cursor is None
    assert [name for name in found if name in staying] == staying
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "cursor",
    [
        "2",
        "ä",
        "bm90IGpzb24",
        urlsafe_b64encode(b"[[[").decode(),
        urlsafe_b64encode(b'["tools", 7, "a"]').decode(),
        urlsafe_b64encode(b'["prompts", 1, "a"]').decode(),
    ],
)
def test_a_cursor_that_was_not_given_out_for_this_list_is_refused(cursor: str) -> None:
    with pytest.raises(MCPError, match="list again without a cursor") as refused:
        page_of("tools", [], named("a"), cursor)
    assert refused.value.code == types.INVALID_PARAMS


# --- as hosts find them


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    entry = {"command": sys.executable, "args": ["-I", str(PLENTY)], "trusted": True, "era": "handshake"}
    with serving(tmp_path_factory.mktemp("daemon"), plenty=entry) as each:
        yield each


async def pages_of(client: Client, method: str) -> AsyncIterator[Any]:
    cursor = None
    while True:
        page = await getattr(client, method)(cursor=cursor, cache_mode="bypass")
        yield page
        if (cursor := page.next_cursor) is None:
            return


@ERAS
@pytest.mark.parametrize("kind", ["tools", "prompts", "resources", "resource_templates"])
async def test_more_than_fits_into_a_message_is_found_page_by_page(running: InProcess, kind: str, mode: str) -> None:
    async with over_http(running, mode) as host:
        seen: list[Any] = []

        async def is_all_there() -> bool:
            """A server that is up has listed its tools, and lists the rest next."""
            seen[:] = [page async for page in pages_of(host, f"list_{kind}")]
            return sum(len(getattr(page, kind)) for page in seen) >= MANY

        await until_async(is_all_there)
        names = [each.name for page in seen for each in getattr(page, kind)]
        assert len(names) == len(set(names))
        assert len([name for name in names if name[-4:].isdecimal()]) == MANY
        own = {"tools": {"chat", "compress", "retrieve"}, "prompts": {"greeter"}}.get(kind, set())
        assert own <= set(names[: len(names) - MANY])
        assert len(seen) > 1
        assert max(len(page.model_dump_json(by_alias=True).encode()) for page in seen) < ONE_EVENT_BYTES


@ERAS
async def test_a_host_goes_on_where_it_was_when_the_list_has_changed(running: InProcess, mode: str) -> None:
    """Also when the very entry is gone that its page had ended with."""
    async with over_http(running, mode) as host:

        async def all_names() -> list[str]:
            return [tool.name async for page in pages_of(host, "list_tools") for tool in page.tools]

        before = await all_names()
        first = await host.list_tools(cache_mode="bypass")
        names = [tool.name for tool in first.tools]
        last = names[-1].removeprefix("plenty__")
        await host.call_tool("plenty__drop", {"names": [last]})
        await host.call_tool("plenty__add", {"names": [f"a{mode}", f"zz{mode}"]})

        async def has_changed() -> bool:
            now = await all_names()
            return names[-1] not in now and f"plenty__zz{mode}" in now

        await until_async(has_changed)
        cursor = first.next_cursor
        while cursor is not None:
            page = await host.list_tools(cursor=cursor, cache_mode="bypass")
            names += [tool.name for tool in page.tools]
            cursor = page.next_cursor
        assert sorted(names) == sorted([*before, f"plenty__zz{mode}"])


@ERAS
@pytest.mark.parametrize("method", ["list_tools", "list_prompts", "list_resources", "list_resource_templates"])
async def test_a_host_with_a_cursor_of_nobodys_is_told_what_to_do(running: InProcess, method: str, mode: str) -> None:
    async with over_http(running, mode) as host:
        with pytest.raises(MCPError, match="list again without a cursor") as refused:
            await getattr(host, method)(cursor="2")
        assert refused.value.code == types.INVALID_PARAMS
