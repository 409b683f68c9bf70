"""Whose call a server's question belongs to, and what its clock does meanwhile."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import anyio
import pytest
from mcp_types import ElicitRequestFormParams

from tests.toolservers.fleets import PATIENCE_S, Person
from woollama.domain.messages import Answer, Ask
from woollama.domain.ports import ToolContext
from woollama.domain.turns import INTERNAL
from woollama.toolservers.calls import CallsInFlight

QUESTION = ElicitRequestFormParams(message="?", requested_schema={"type": "object", "properties": {}})
NO_CONTEXT: Any = None


def asked_by(person: Person) -> ToolContext:
    return ToolContext(INTERNAL, asker=person)


async def test_without_a_context_the_only_call_in_flight_is_asked() -> None:
    calls, person = CallsInFlight("git"), Person()
    with calls.one("push", {}, asked_by(person), PATIENCE_S):
        assert (await calls.elicit(NO_CONTEXT, QUESTION)).action == "accept"
    assert [ask.tool for ask in person.asked] == ["push"]
    assert (await calls.elicit(NO_CONTEXT, QUESTION)).action == "decline"


async def test_a_question_that_could_be_of_two_calls_is_put_to_nobody() -> None:
    calls, first, second = CallsInFlight("git"), Person(), Person()
    both_in_flight, done = asyncio.Barrier(3), asyncio.Event()

    async def one(person: Person) -> None:
        with calls.one("push", {}, asked_by(person), PATIENCE_S):
            await both_in_flight.wait()
            await done.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(one(first))
        group.create_task(one(second))
        await both_in_flight.wait()
        assert (await calls.elicit(NO_CONTEXT, QUESTION)).action == "decline"
        done.set()
    assert first.asked == second.asked == []


async def test_a_question_in_the_context_of_its_call_reaches_that_calls_person() -> None:
    calls, first, second = CallsInFlight("git"), Person("first"), Person("second")
    both_in_flight = asyncio.Barrier(2)

    async def one(person: Person) -> dict[str, Any] | None:
        with calls.one("push", {}, asked_by(person), PATIENCE_S):
            await both_in_flight.wait()
            result = await asyncio.create_task(calls.elicit(NO_CONTEXT, QUESTION))
            return result.content

    answers = await asyncio.gather(one(first), one(second))
    assert answers == [{"answer": "first"}, {"answer": "second"}]


async def test_the_clock_of_a_call_stands_still_while_a_person_is_asked() -> None:
    calls = CallsInFlight("git")
    with calls.one("push", {}, ToolContext(INTERNAL), PATIENCE_S) as call:

        class Thinker:
            async def ask(self, ask: Ask) -> Answer:
                assert call.limit.deadline == math.inf
                return Answer(ask.id, True)

        call.context = ToolContext(INTERNAL, asker=Thinker())
        with call.limit:
            before = call.limit.deadline
            assert (await calls.elicit(NO_CONTEXT, QUESTION)).action == "accept"
            assert before <= call.limit.deadline <= anyio.current_time() + PATIENCE_S


async def test_an_asker_that_breaks_cancels_the_question_only(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        async def ask(self, ask: Ask) -> Answer:
            raise RuntimeError("no console")

    calls = CallsInFlight("git")
    with calls.one("push", {}, ToolContext(INTERNAL, asker=Broken()), PATIENCE_S):
        assert (await calls.elicit(NO_CONTEXT, QUESTION)).action == "cancel"
    assert "no console" in caplog.text


async def test_what_a_person_leaves_out_of_a_form_is_its_default() -> None:
    fields = {"answer": {"type": "string"}, "age": {"type": "integer", "default": 30}, "note": {"type": "string"}}
    form = ElicitRequestFormParams(message="?", requested_schema={"type": "object", "properties": fields})
    calls = CallsInFlight("git")
    with calls.one("push", {}, asked_by(Person("blue")), PATIENCE_S):
        assert (await calls.elicit(NO_CONTEXT, form)).content == {"answer": "blue", "age": 30}
    with calls.one("push", {}, asked_by(Person(None)), PATIENCE_S):
        assert (await calls.elicit(NO_CONTEXT, form)).content is None
