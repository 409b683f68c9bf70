"""The policy around a toolbox: what is hidden, who is asked before a tool is called, and what comes of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from woollama.core.approved import Approved
from woollama.core.policy import Policy, ServerPolicy
from woollama.core.recipes import Recipe
from woollama.domain.messages import Answer, Ask
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Denied, Function, Paused, Returned, Tool, ToolOutcome, Unanswered
from woollama.domain.turns import INTERNAL

DONE = Returned.of_text("done")
FLOOR = Policy()


class Box:
    def __init__(self) -> None:
        self.called: list[str] = []

    def functions(self) -> Sequence[Function]:
        return [function("git", "push"), function("git", "log", readOnlyHint=True), Function("mine")]

    async def call(self, function: Function, arguments: Mapping[str, Any], context: ToolContext) -> ToolOutcome:
        self.called.append(function.name)
        return DONE


class Person:
    def __init__(self, approves: bool | None, missing: str = "") -> None:
        self.asked: list[Ask] = []
        self._approves = approves
        self._missing = missing

    async def ask(self, ask: Ask) -> Answer | None:
        self.asked.append(ask)
        return None if self._approves is None else Answer(ask.id, self._approves, missing=self._missing)


def function(server: str, name: str, **annotations: bool) -> Function:
    return Function(f"{server}__{name}", tool=Tool(server, name, {"name": name, "annotations": annotations}))


PUSH = function("git", "push")
LOG = function("git", "log", readOnlyHint=True)


def of_git(**more: Any) -> Policy:
    return Policy(servers={"git": ServerPolicy(**more)})


async def asks(policy: Policy, called: Function, recipe: Recipe | None = None) -> bool:
    """Whether a person is asked; who is not asked is not in the way."""
    person = Person(True)
    assert await Approved(Box(), policy, recipe).call(called, {}, ToolContext(INTERNAL, asker=person)) is DONE
    return bool(person.asked)


def recipe(**more: Any) -> Recipe:
    return Recipe("r", "a/b", tools=("*",), **more)


@pytest.mark.parametrize(
    ("asked", "policy", "called", "under"),
    [
        (True, FLOOR, PUSH, None),
        (False, FLOOR, LOG, None),
        (True, FLOOR, function("git", "log", readOnlyHint=False), None),
        (False, of_git(trusted=True), PUSH, None),
        (False, of_git(auto=["push"]), PUSH, None),
        (False, of_git(auto=["git.*"]), PUSH, None),
        (True, of_git(auto=["pull"]), PUSH, None),
        (False, FLOOR, PUSH, recipe()),
        (True, FLOOR, PUSH, recipe(confirm=("git.p*",))),
        (False, FLOOR, LOG, recipe(confirm=("git.p*",))),
        (True, Policy(confirm=["git.*"]), LOG, None),
        (True, Policy(confirm=["git.*"]), PUSH, recipe()),
        (True, Policy(confirm=["*.push"], servers={"git": ServerPolicy(trusted=True, auto=["*"])}), PUSH, None),
        (True, of_git(confirm=["push"], trusted=True, auto=["push"]), PUSH, None),
        (True, of_git(confirm=["push"], trusted=True), PUSH, recipe()),
        (False, Policy(servers={"other": ServerPolicy(confirm=["*"])}), PUSH, recipe()),
    ],
)
async def test_who_is_asked(asked: bool, policy: Policy, called: Function, under: Recipe | None) -> None:
    assert await asks(policy, called, under) is asked


@pytest.mark.parametrize("policy", [Policy(deny=["git.push"]), of_git(deny=["push"]), of_git(deny=["git.pu*"])])
@pytest.mark.parametrize("under", [None, recipe()])
async def test_what_is_denied_is_not_there_and_cannot_be_called(policy: Policy, under: Recipe | None) -> None:
    box, person = Box(), Person(True)
    toolbox = Approved(box, policy, under)
    assert [each.name for each in toolbox.functions()] == ["git__log", "mine"]
    outcome = await toolbox.call(PUSH, {}, ToolContext(INTERNAL, asker=person, approved=True))
    assert outcome.for_model() == "The call was denied by the owner of this machine. git.push must not be used."
    assert (box.called, person.asked) == ([], [])


async def test_where_nobody_can_be_asked_the_call_is_not_made_and_what_would_allow_it_is_said() -> None:
    box = Box()
    outcome = await Approved(box, FLOOR).call(PUSH, {}, ToolContext(INTERNAL))
    assert isinstance(outcome, Unanswered)
    assert "\"trusted\": true in the entry 'git' of mcp.json" in outcome.for_model()
    assert box.called == []


@pytest.mark.parametrize(
    ("person", "outcome"),
    [
        (Person(True), DONE),
        (Person(False), Denied()),
        (Person(False, "nobody answered within 60 s"), Unanswered("nobody answered within 60 s")),
    ],
)
async def test_a_person_decides(person: Person, outcome: ToolOutcome) -> None:
    box = Box()
    context = ToolContext(INTERNAL, asker=person, call_id="7")
    toolbox = Approved(box, FLOOR, recipe(confirm=("*",), confirm_by="client"))
    assert await toolbox.call(PUSH, {"to": "main"}, context) == outcome
    assert box.called == (["git__push"] if outcome is DONE else [])
    (ask,) = person.asked
    assert (ask.name, ask.arguments, ask.call_id, ask.caller) == ("git.push", '{"to": "main"}', "7", "woollama")
    assert (ask.recipe, ask.confirm_by) == ("r", "client")
    assert ask.preview == 'git.push is to be confirmed. Call it with {"to": "main"}?'


async def test_a_run_that_pauses_has_the_call_paused() -> None:
    person = Person(None)
    outcome = await Approved(Box(), FLOOR).call(PUSH, {}, ToolContext(INTERNAL, asker=person))
    assert outcome == Paused(person.asked[0].id)


async def test_a_call_that_a_person_has_approved_is_not_asked_about_again() -> None:
    assert await Approved(Box(), FLOOR).call(PUSH, {}, ToolContext(INTERNAL, approved=True)) is DONE


async def test_nothing_is_hidden_in_what_a_person_is_shown() -> None:
    person = Person(True)
    arguments = {"x": "\u202egnp.exe\n", "y": "z" * 5000}
    await Approved(Box(), FLOOR).call(PUSH, arguments, ToolContext(INTERNAL, asker=person))
    (ask,) = person.asked
    assert ask.preview.isprintable()
    assert "\\u202egnp.exe\\n" in ask.preview
    assert "more characters" in ask.preview
    assert "z" * 5000 in ask.arguments


def test_a_recipe_over_another_adds_to_what_is_confirmed_and_takes_nothing_away() -> None:
    inner = Recipe("inner", "a/b", confirm=("git.push",))
    outer = Recipe("outer", "inner", confirm=("fs.*",), confirm_by="client")
    both = outer.over(inner)
    assert (both.confirm, both.confirm_by) == (("git.push", "fs.*"), "owner")
    assert outer.over(Recipe("inner", "a/b")).confirm_by == "client"


def test_a_recipes_digest_changes_with_what_it_says_and_with_nothing_else() -> None:
    one = recipe(locked=frozenset({"seed", "top_p", "top_k", "stop"}), system="a")
    again = recipe(locked=frozenset({"stop", "top_k", "top_p", "seed"}), system="a", written=frozenset({"system"}))
    assert one.digest == again.digest
    assert one.digest != recipe(system="b", locked=one.locked).digest
