"""Many tools behind two: what a model is shown above its budget, what it finds, and that its calls are as any other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.core.rounds import Rounds, Table, calls, says
from woollama.core.approved import Approved
from woollama.core.estimates import schema_tokens
from woollama.core.found_tools import FoundTools
from woollama.core.policy import Policy
from woollama.core.ranking import ranked
from woollama.core.toolboxes import Filtered, Validated
from woollama.domain.find_tools import CALL, FIND
from woollama.domain.messages import ToolResult
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Denied, Function, Invalid, Returned, Tool, ToolOutcome, Unanswered
from woollama.domain.turns import INTERNAL, Turn

CONTEXT = ToolContext(INTERNAL)


def function(server: str, name: str, description: str, **properties: str) -> Function:
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    tool = Tool(server, name, {"name": name, "description": description, "inputSchema": schema})
    return Function(f"{server}__{name}", description, schema, tool=tool)


TOOLS = [
    function("fs", "read_file", "Read the complete contents of a file.", path="string"),
    function("fs", "write_file", "Create a file or overwrite it.", path="string", content="string"),
    function("fs", "listDirectory", "List what is in a directory.", path="string"),
    function("git", "commit", "Record changes to the repository.", message="string"),
    function("git", "push", "Send commits to a remote.", remote="string"),
    function("mail", "send", "Send an e-mail to somebody.", to="string", body="string"),
]


class Box:
    def __init__(self) -> None:
        self.called: list[tuple[str, Any]] = []

    def functions(self) -> Sequence[Function]:
        return TOOLS

    async def call(self, function: Function, arguments: Mapping[str, Any], context: ToolContext) -> ToolOutcome:
        self.called.append((function.name, dict(arguments)))
        return Returned.of_text("done")


def shown(toolbox: FoundTools) -> dict[str, Function]:
    return {each.name: each for each in toolbox.functions()}


async def find(toolbox: FoundTools, **arguments: Any) -> list[str]:
    outcome = await toolbox.call(shown(toolbox)[FIND], arguments, CONTEXT)
    return [each["name"] for each in json.loads(outcome.for_model().partition("\n")[0])]


async def call(toolbox: FoundTools, **arguments: Any) -> ToolOutcome:
    return await toolbox.call(shown(toolbox)[CALL], arguments, CONTEXT)


@pytest.mark.parametrize("budget_tokens", [0, schema_tokens(TOOLS)])
async def test_within_the_budget_everything_is_shown(budget_tokens: int) -> None:
    toolbox = FoundTools(box := Box(), budget_tokens)
    assert list(toolbox.functions()) == TOOLS
    assert toolbox.hidden == ()
    await toolbox.call(TOOLS[0], {"path": "x"}, CONTEXT)
    assert box.called == [("fs__read_file", {"path": "x"})]


async def test_above_it_two_tools_stand_for_all() -> None:
    toolbox = FoundTools(Box(), schema_tokens(TOOLS) - 1)
    assert list(shown(toolbox)) == [FIND, CALL]
    assert "There are 6 tools, of fs (3), git (2), mail (1)." in shown(toolbox)[FIND].description
    assert list(toolbox.hidden) == TOOLS
    assert (await find(toolbox, query="read files"))[:2] == ["fs__read_file", "fs__write_file"]
    assert await find(toolbox, query="", limit=2) == ["fs__read_file", "fs__write_file"]
    nothing = await toolbox.call(shown(toolbox)[FIND], {"query": "zebra"}, CONTEXT)
    assert nothing.for_model().startswith("No tool fits these words.")


async def test_what_was_found_is_called_by_either_name_and_directly() -> None:
    toolbox = FoundTools(box := Box(), 1)
    for name in ("git__push", "git.push"):
        assert await call(toolbox, name=name, arguments={"remote": "origin"}) == Returned.of_text("done")
    await call(toolbox, name="git__push", arguments='{"remote": "origin"}')
    await toolbox.call(TOOLS[4], {"remote": "origin"}, CONTEXT)
    assert box.called == [("git__push", {"remote": "origin"})] * 4


async def test_the_tools_that_a_recipe_needs_in_any_case_stay() -> None:
    assert list(shown(FoundTools(Box(), 1, ["mail.send"]))) == ["mail__send", FIND, CALL]


async def test_policies_hold_as_for_a_direct_call() -> None:
    policy = Policy(confirm=["git.push"], deny=["fs.write_file"])
    guarded = Filtered(Validated(Approved(box := Box(), policy)), ["git.*", "fs.*"])
    toolbox = FoundTools(guarded, 1)
    assert "mail__send" not in {each.name for each in toolbox.hidden}
    assert isinstance(await call(toolbox, name="mail__send", arguments={"to": "a", "body": "b"}), Invalid)
    assert isinstance(await call(toolbox, name="fs__write_file", arguments={"path": "x", "content": ""}), Invalid)
    assert isinstance(await toolbox.call(TOOLS[5], {"to": "a", "body": "b"}, CONTEXT), Denied)
    assert isinstance(await call(toolbox, name="git__push", arguments={"remote": "origin"}), Unanswered)
    wrong = await call(toolbox, name="git__commit", arguments={"message": 1})
    assert isinstance(wrong, Invalid)
    assert box.called == []


@pytest.mark.parametrize("arguments", [{}, {"name": "git__push", "arguments": []}, {"name": [], "arguments": {}}])
async def test_nonsense_is_told(arguments: dict[str, Any]) -> None:
    assert isinstance(await call(FoundTools(Box(), 1), **arguments), Invalid)


@pytest.mark.parametrize("arguments", [{}, {"query": 1}, {"query": "a", "limit": 0}, {"query": "a", "limit": "all"}])
async def test_so_is_a_search_for_nonsense(arguments: dict[str, Any]) -> None:
    toolbox = FoundTools(Box(), 1)
    assert isinstance(await toolbox.call(shown(toolbox)[FIND], arguments, CONTEXT), Invalid)


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("read a file", "read_file"),
        ("writing files", "write_file"),
        ("list directories", "listDirectory"),
        ("commit", "commit"),
        ("send mail", "send"),
        ("push commits", "push"),
        ("recipient body", "send"),
    ],
)
def test_words_find_the_tool_that_is_meant(query: str, best: str) -> None:
    found = ranked(TOOLS, query)[0].tool
    assert found
    assert found.name == best


async def test_a_model_finds_a_tool_and_calls_it_through_the_other_or_by_its_own_name() -> None:
    through = json.dumps({"name": "clock__now", "arguments": {}})
    model = Rounds(
        calls((FIND, '{"query": "now"}')), calls((CALL, through)), calls(("clock__now", "{}")), says("it is noon")
    )
    answer = await Table(model, tools_budget_tokens=1).answer(Turn("turn_1", INTERNAL, "chat", "r", ()))
    assert answer.text == "it is noon"
    assert {tuple(each.name for each in round_.tools) for round_ in model.calls} == {(FIND, CALL)}
    results = [item.outcome.for_model() for item in model.calls[-1].items if isinstance(item, ToolResult)]
    assert json.loads(results[0])[0]["name"] == "clock__now"
    assert results[1:] == ["noon", "noon"]
