"""Names of re-exported tools: short, kept, and leading back to one tool."""

from __future__ import annotations

from woollama.domain.tools import Function, Tool
from woollama.surfaces.mcp_server.exports import NAME_LIMIT, Exports, Judged, definition


def function(server: str, name: str, wire: str = "") -> Function:
    return Function(wire or f"{server}__{name}", tool=Tool(server, name, {"name": name}))


def exports(*functions: Function, reserved: tuple[str, ...] = ()) -> Exports:
    return Exports(lambda: functions, lambda tool: True, reserved=reserved)


def test_a_short_name_is_the_name_that_models_see() -> None:
    assert list(exports(function("git", "push")).current()) == ["git__push"]


def test_a_long_name_is_shortened_and_leads_back() -> None:
    long = function("server", "x" * 60)
    kept = exports(long)
    (name,) = kept.current()
    assert len(name) == NAME_LIMIT
    assert kept.resolve(name) is long
    assert kept.resolve(long.name) is None


def test_a_bare_name_of_ours_stays_ours() -> None:
    theirs = function("friend", "chat", wire="chat")
    assert list(exports(theirs, reserved=("chat",)).current()) == ["friend__chat"]


def test_a_tool_that_is_named_like_the_short_form_of_another_takes_nothing_from_it() -> None:
    long = function("server", "x" * 60)
    (short,) = exports(long).current()
    impostor = function("", short, wire=short)
    for both in ((long, impostor), (impostor, long)):
        names = exports(*both).current()
        assert len(names) == 2
        assert set(map(len, names)) == {NAME_LIMIT}


def test_a_name_once_given_stays_with_its_tool() -> None:
    there = (function("", "a", wire="tool"), function("", "b", wire="other"))
    kept = Exports(lambda: there, lambda tool: True)
    kept.current()
    there = (there[1], function("late", "x", wire="tool"))
    assert {name: each.tool.server for name, each in kept.current().items() if each.tool} == {
        "other": "",
        "late__x": "late",
    }


def test_what_is_not_exposed_is_not_there() -> None:
    some = Exports(lambda: [function("a", "x"), function("b", "x")], lambda tool: tool.server == "b")
    assert list(some.current()) == ["b__x"]
    assert some.resolve("a__x") is None


def test_a_definition_is_the_servers_own_with_a_schema_that_hosts_can_read() -> None:
    raw = {"name": "x", "title": "X", "inputSchema": {"properties": {"a": {}}}, "_meta": {"k": 1}, "vendor": True}
    assert definition("s__x", Tool("s", "x", raw)) == {
        **raw,
        "name": "s__x",
        "inputSchema": {"type": "object", "properties": {"a": {}}},
    }
    assert definition("s__y", Tool("s", "y", {"name": "y"}))["inputSchema"]["type"] == "object"


def test_what_is_exposed_from_now_on_is_found_anew() -> None:
    exposed = {"a"}
    functions = (function("a", "x"), function("b", "x"))
    some = Exports(lambda: functions, lambda tool: tool.server in exposed)
    assert list(some.current()) == ["a__x"]
    exposed.add("b")
    some.renew()
    assert list(some.current()) == ["a__x", "b__x"]


def test_a_tool_is_judged_once_for_each_revision() -> None:
    judged, asked = Judged(), []

    def find_out() -> bool:
        asked.append(1)
        return len(asked) != 2

    tool = function("a", "x")
    assert judged.is_sound("2025-11-25", "a__x", tool, find_out)
    assert judged.is_sound("2025-11-25", "a__x", tool, find_out)
    assert not judged.is_sound("2026-07-28", "a__x", tool, find_out)
    assert judged.is_sound("2025-11-25", "a__x", function("a", "x"), find_out)
    assert len(asked) == 3
