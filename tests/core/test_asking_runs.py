"""Runs that need a person: those that wait for one, those that pause, and those that go on where one paused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.clock import Clock
from tests.core.rounds import Box, Rounds, Table, calls, says
from woollama.domain.answers import Answer as Answered_
from woollama.domain.events import Answered, Asked, CallOpened, Event, Stopped, ToolReturned
from woollama.domain.messages import Answer, Ask, Item, Json, Message, Text, ToolCall, ToolResult
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Denied, Paused, Returned, ToolOutcome, Unanswered
from woollama.domain.turns import INTERNAL, PausedCall, Turn

PATIENCE_S = 60.0
ASKED = Message("user", (Text("push it"),))
PUSHED = Returned.of_text("pushed")


def turn(**more: Any) -> Turn:
    return replace(Turn("turn_1", INTERNAL, "chat", "r", (ASKED,)), **more)


async def push(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
    return PUSHED


class Answering:
    """A person at the table: answers each ask with what `decide` says, when `may_answer` is set."""

    def __init__(self, table: Table, *, approve: bool = True) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.was_asked = asyncio.Event()
        self.asks: list[Ask] = []
        self._approvals = table.approvals
        self._approve = approve
        self._tasks: set[asyncio.Task[None]] = set()
        table.approvals.observe(self._see)

    def _see(self, ask: Ask, answer: Answer | None) -> None:
        if answer is None:
            self.asks.append(ask)
            self.was_asked.set()
            task = asyncio.create_task(self._answer(ask))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, ask: Ask) -> None:
        await self.may_answer.wait()
        self._approvals.answer(ask.id, self._approve, by="unix")


def pushing(*more: tuple[str, str]) -> Rounds:
    return Rounds(calls(("git__push", "{}"), *more), says("done"))


def told(events: list[Event]) -> list[ToolOutcome]:
    return [event.outcome for event in events if isinstance(event, ToolReturned)]


# --- waiting


@pytest.mark.parametrize(("approve", "outcome"), [(True, PUSHED), (False, Denied())])
async def test_the_run_waits_for_the_answer_and_goes_on(approve: bool, outcome: ToolOutcome) -> None:
    table = Table(pushing(), box=Box(git__push=push), confirm=("git.*",))
    person = Answering(table, approve=approve)
    events = await table.play(turn())
    (asked,) = [event.ask for event in events if isinstance(event, Asked)]
    (answered,) = [event.answer for event in events if isinstance(event, Answered)]
    assert (asked.run, asked.recipe, asked.call_id) == ("turn_1", "r", "call_git__push_0")
    assert answered == Answer(person.asks[0].id, approve, by="unix")
    assert told(events) == [outcome]
    assert Answered_(events).text == "done"


async def test_when_nobody_answers_the_model_is_told_and_goes_on() -> None:
    table = Table(pushing(), box=Box(git__push=push), confirm=("git.*",))
    table.approvals.timeout_s = 0.01
    table.approvals.observe(lambda ask, answer: None)
    events = await table.play(turn())
    assert told(events) == [Unanswered("nobody answered within 0.01 s")]
    assert Answered_(events).text == "done"


async def test_calls_that_need_no_yes_run_meanwhile_and_a_waiting_one_takes_nobodys_place() -> None:
    ran = asyncio.Event()

    async def pull(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        ran.set()
        return Returned.of_text("pulled")

    box = Box(git__push=push, git__pull=pull)
    table = Table(pushing(("git__pull", "{}")), box=box, confirm=("git.push",), max_parallel_tools=1)
    person = Answering(table)
    person.may_answer.clear()
    playing = asyncio.create_task(table.play(turn()))
    async with asyncio.timeout(PATIENCE_S):
        await ran.wait()
        person.may_answer.set()
        events = await playing
    assert told(events) == [Returned.of_text("pulled"), PUSHED]


async def test_the_time_of_a_tool_does_not_run_while_a_person_thinks(clock: Clock) -> None:
    async def curious(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        assert context.asker is not None
        question = Ask("ask_q", context.call_id, "git", "push", "{}", "git: sure?", question={"message": "sure?"})
        answer = await context.asker.ask(question)
        assert answer is not None
        return Returned.of_text(f"heard {answer.approved}")

    table = Table(pushing(), box=Box(git__push=curious), confirm=("git.push",), tool_timeout_s=600)
    table.approvals.timeout_s = 3600
    person = Answering(table)
    person.may_answer.clear()
    playing = asyncio.create_task(table.play(turn()))
    async with asyncio.timeout(PATIENCE_S):
        await person.was_asked.wait()
    clock.forward(2 * 600)  # longer than the tool may take
    for _ in range(20):
        await asyncio.sleep(0)
    assert not playing.done()
    person.may_answer.set()
    assert told(await playing) == [Returned.of_text("heard True")]
    assert [ask.question is None for ask in person.asks] == [True, False]


async def test_who_leaves_takes_the_question_along() -> None:
    table = Table(pushing(), box=Box(git__push=push), confirm=("git.*",))
    asked = asyncio.Event()
    table.approvals.observe(lambda ask, answer: asked.set())
    async with asyncio.timeout(PATIENCE_S):
        async with table.runs.start(turn()):
            await asked.wait()
        assert table.approvals.pending() == []


# --- pausing


async def paused(*more: tuple[str, str], **recipe: Any) -> tuple[Table, list[Event]]:
    async def pull(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        return Returned.of_text("pulled")

    box = Box(git__push=push, git__pull=pull)
    table = Table(pushing(*more), box=box, **{"confirm": ("git.push",), **recipe})
    return table, await table.play(turn(on_ask="pause"))


async def test_a_turn_that_pauses_runs_the_other_calls_first() -> None:
    table, events = await paused(("git__pull", "{}"))
    (ask,) = [event.ask for event in events if isinstance(event, Asked)]
    assert events[-1] == Stopped("paused")
    assert sorted(map(repr, told(events))) == sorted(map(repr, [Paused(ask.id), Returned.of_text("pulled")]))
    assert table.approvals.pending() == [ask]


def resumed(events: list[Event], answer: Answer | None, *then: Item) -> Turn:
    """The turn after a pause, as whoever keeps the conversation would put it."""
    (ask,) = [event.ask for event in events if isinstance(event, Asked)]
    items = [item for item in Answered_(events).items if not isinstance(item, ToolResult)]
    (call,) = [item for item in items if isinstance(item, ToolCall)]
    if answer is not None:
        answer = replace(answer, ask_id=ask.id)
    return turn(id="turn_2", items=(ASKED, *items, *then), resumes=(PausedCall(call, ask, answer),))


async def test_a_paused_call_that_was_approved_runs_before_the_model_goes_on() -> None:
    table, before = await paused()
    events = await table.play(resumed(before, Answer("", True, by="unix")))
    assert isinstance(events[0], CallOpened)
    assert told(events) == [PUSHED]
    assert Answered_(events).text == "done"


async def test_a_yes_to_what_a_tool_was_is_none_to_what_it_has_become() -> None:
    table, before = await paused()
    (waiting,) = table.approvals.pending()
    table.approvals.collect(waiting.id)
    person = Answering(table, approve=False)
    turned = resumed(before, Answer("", True, by="unix"))
    (call,) = turned.resumes
    since = replace(call, ask=replace(call.ask, tool_digest="as it was then"))
    events = await table.play(replace(turned, resumes=(since,)))
    assert len(person.asks) == 1
    assert told(events) == [Denied()]


@pytest.mark.parametrize("answer", [Answer("", False, by="client"), None])
async def test_a_paused_call_without_a_yes_is_denied(answer: Answer | None) -> None:
    table, before = await paused()
    events = await table.play(resumed(before, answer))
    (outcome,) = told(events)
    assert isinstance(outcome, Denied)
    assert events[-1] == Stopped("end", "stop")


async def test_the_results_stand_before_what_the_user_said_after_the_pause() -> None:
    model = Rounds(calls(("git__push", "{}")), says("done"))
    table = Table(model, box=Box(git__push=push), confirm=("git.push",))
    before = await table.play(turn(on_ask="pause"))
    later = Message("user", (Text("never mind"),))
    await table.play(resumed(before, None, later))
    kinds = [type(item) for item in model.calls[-1].items]
    assert kinds.index(ToolResult) < kinds.index(Message, 1)
    assert model.calls[-1].items[-1] == later


@pytest.mark.parametrize(("confirm_by", "asks"), [("client", 0), ("owner", 1)])
async def test_a_clients_own_yes_counts_only_where_the_recipe_says_so(confirm_by: str, asks: int) -> None:
    table, before = await paused(confirm_by=confirm_by)
    (waiting,) = table.approvals.pending()
    table.approvals.collect(waiting.id)
    person = Answering(table, approve=False)
    events = await table.play(resumed(before, Answer("", True, by="client")))
    assert len(person.asks) == asks
    assert told(events) == [Denied() if asks else PUSHED]
