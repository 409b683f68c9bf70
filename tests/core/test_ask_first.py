"""The shipped floor: who is asked before a tool is called, and what happens without an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from woollama.core.ask_first import AskFirst
from woollama.domain.messages import Answer, Ask
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Denied, Function, Returned, Tool, ToolOutcome
from woollama.domain.turns import INTERNAL

DONE = Returned.of_text("done")


class Box:
    def __init__(self) -> None:
        self.called: list[str] = []

    def functions(self) -> Sequence[Function]:
        return [function("git", "push")]

    async def call(self, function: Function, arguments: Mapping[str, Any], context: ToolContext) -> ToolOutcome:
        self.called.append(function.name)
        return DONE


class Person:
    def __init__(self, approves: bool) -> None:
        self.asked: list[Ask] = []
        self._approves = approves

    async def ask(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        return Answer(ask.id, self._approves)


def function(server: str, name: str, **annotations: bool) -> Function:
    return Function(f"{server}__{name}", tool=Tool(server, name, {"name": name, "annotations": annotations}))


async def test_a_read_only_tool_is_called_without_asking() -> None:
    assert await AskFirst(Box(), []).call(function("git", "log", readOnlyHint=True), {}, ToolContext(INTERNAL)) is DONE


async def test_a_tool_of_a_trusted_server_is_called_without_asking() -> None:
    assert await AskFirst(Box(), ["git"]).call(function("git", "push"), {}, ToolContext(INTERNAL)) is DONE


async def test_any_other_tool_is_denied_where_nobody_can_be_asked() -> None:
    box = Box()
    outcome = await AskFirst(box, ["other"]).call(function("git", "push"), {}, ToolContext(INTERNAL))
    assert isinstance(outcome, Denied)
    assert "\"trusted\": true in the entry 'git' of mcp.json" in outcome.for_model()
    assert box.called == []


@pytest.mark.parametrize(("approves", "called"), [(True, ["git__push"]), (False, [])])
async def test_a_person_decides(approves: bool, called: list[str]) -> None:
    box, person = Box(), Person(approves)
    context = ToolContext(INTERNAL, asker=person, call_id="7")
    outcome = await AskFirst(box, []).call(function("git", "push"), {"to": "main"}, context)
    assert outcome == (DONE if approves else Denied())
    assert box.called == called
    (ask,) = person.asked
    assert (ask.server, ask.tool, ask.arguments, ask.call_id) == ("git", "push", '{"to": "main"}', "7")


async def test_a_false_hint_is_no_hint() -> None:
    outcome = await AskFirst(Box(), []).call(function("git", "log", readOnlyHint=False), {}, ToolContext(INTERNAL))
    assert isinstance(outcome, Denied)


def test_everything_is_offered() -> None:
    assert [each.name for each in AskFirst(Box(), []).functions()] == ["git__push"]
