"""One name for each tool, and back."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toolservers.fleets import QUIET, fleet_of, said, tiny
from woollama.domain.tools import Invalid, Tool, wire_name
from woollama.surfaces.mcp_server.exports import NAME_LIMIT
from woollama.toolservers.fleet import _examples
from woollama.toolservers.names import WireNames

VECTORS = json.loads((Path(__file__).parents[2] / "conformance" / "names" / "vectors.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['server']}.{vector['tool']}"[:40])
def test_names_are_shortened_as_published(vector: dict[str, str]) -> None:
    server, name = vector["server"], vector["tool"]
    assert wire_name(server, name) == vector["model"]
    assert wire_name(server, name, NAME_LIMIT) == vector["host"]
    for made, limit in ((vector["model"], 64), (vector["host"], 46)):
        assert re.fullmatch(r"[A-Za-z0-9_-]*", made)
        assert len(made) <= limit
        if made != (f"{server}__{name}" if server else name):  # as the file says that it is made
            digest = hashlib.sha256(json.dumps([server, name]).encode()).hexdigest()[:8]
            assert made.endswith(f"_{digest}")


def test_the_published_names_lead_to_different_tools() -> None:
    for kind in ("model", "host"):
        assert len({vector[kind] for vector in VECTORS}) == len(VECTORS)


def tool(server: str, name: str) -> Tool:
    return Tool(server, name, {"name": name})


def test_every_spelling_leads_to_the_tool() -> None:
    names = WireNames()
    wire = names.name(tool("git", "log.all"), "git")
    assert wire.startswith("git__log_all_")
    for spelling in (wire, f"mcp__{wire}", "git.log.all", "git__log.all", "mcp__git__log.all"):
        assert names.resolve(spelling) == ("git", "log.all")
    assert names.resolve("git__log") is None


def test_names_that_would_be_the_same_are_not_and_their_common_spelling_means_neither() -> None:
    names = WireNames()
    first, second = names.name(tool("a__b", "c"), "a__b"), names.name(tool("a", "b__c"), "a")
    assert first != second
    assert names.resolve(first) == ("a__b", "c")
    assert names.resolve(second) == ("a", "b__c")
    assert names.resolve("a__b__c") is None
    assert names.resolve("a__b.c") == ("a__b", "c")


def test_a_bare_name_belongs_to_whom_it_was_given_first_for_ever() -> None:
    names = WireNames()
    assert names.name(tool("one", "search"), "") == "search"
    assert names.name(tool("two", "search"), "") == "two__search"
    assert names.name(tool("one", "search"), "") == "search"
    assert names.resolve("search") == ("one", "search")


def test_a_name_that_imitates_a_shortened_one_gets_another() -> None:
    names = WireNames()
    shortened = names.name(tool("s", "with space"), "s")
    imitator = names.name(tool("t", shortened), "")
    assert imitator != shortened
    assert names.resolve(shortened) == ("s", "with space")
    assert names.resolve(imitator) == ("t", shortened)


@pytest.mark.parametrize("length", [40, 64, 200])
def test_a_wire_name_is_never_too_long(length: int) -> None:
    names = WireNames()
    given = {names.name(tool("server", "x" * length), prefix) for prefix in ("server", "")}
    given |= {names.name(tool("other", "x" * length), "")}
    assert all(len(name) <= 64 for name in given)


def test_a_fleet_is_imported_without_the_libraries_that_it_will_need() -> None:
    source = (
        "import sys, woollama.toolservers.fleet; print(*{'mcp', 'mcp_types', 'httpx2', 'pydantic'} & set(sys.modules))"
    )
    finished = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert finished.stdout.split() == []


async def test_a_fleet_knows_its_tools_by_name_and_refuses_the_disabled_ones() -> None:
    async with fleet_of(tiny("one", prefix=""), tiny("two", disabled_tools=("die*", "wait"))) as fleet:
        assert {f.name for f in fleet.functions() if f.tool and f.tool.server == "two"} == {
            *("two__echo", "two__pid", "two__environment")
        }
        assert await said(fleet, "echo", text="bare") == "bare"
        assert await said(fleet, "mcp__two__echo", text="of two") == "of two"
        assert fleet.resolve("two.die") is None
        die = fleet.resolve("one.die")
        assert die
        forged = type(die)(name="two__die", tool=tool("two", "die"))
        outcome = await fleet.call(forged, {}, QUIET)
        assert outcome == Invalid(("there is no tool 'two__die'",))


def test_examples_are_whole_arguments_and_nothing_else() -> None:
    shown = [{"a": 1}, {"ask": "do", "arguments": {"b": 2}}, "no", {"ask": 3, "arguments": 4}]
    assert [(e.arguments, e.ask) for e in _examples(shown)] == [
        ({"a": 1}, None),
        ({"b": 2}, "do"),
        ({"ask": 3, "arguments": 4}, None),
    ]
    assert list(_examples({"a": 1})) == []
