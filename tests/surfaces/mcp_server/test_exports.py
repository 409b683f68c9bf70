"""Names of re-exported tools: short, kept, and leading back to one tool."""

from __future__ import annotations

from woollama.domain.tools import Function, Tool
from woollama.surfaces.mcp_server.exports import NAME_LIMIT, Exports, definition


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
    there = [function("", "a", wire="tool"), function("", "b", wire="other")]
    kept = Exports(lambda: there, lambda tool: True)
    kept.current()
    there.pop(0)
    there.append(function("late", "x", wire="tool"))
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
