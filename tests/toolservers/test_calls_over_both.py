"""What holds for a tool server over a pipe, over HTTP and over its older form with events, in both eras."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from tests.toolservers.fleets import PATIENCE_S, HttpServer, Person, call, fleet_of, over_stdio, said, until
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Example, Invalid, Returned, TimedOut
from woollama.domain.turns import INTERNAL
from woollama.toolservers.fleet import Fleet

Era = Literal["handshake", "modern"]
BIG = 3 << 20


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


WAYS: list[tuple[Literal["stdio", "http", "sse"], Era]] = [
    ("stdio", "handshake"),
    ("stdio", "modern"),
    ("http", "handshake"),
    ("http", "modern"),
    ("sse", "handshake"),
]


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    """One for all tests of this file: what they leave at the server has names of their own."""
    transport, era = request.param
    if transport == "stdio":
        async with fleet_of(over_stdio(era=era)) as running:
            yield running
        return
    server = HttpServer(transport)
    await server.start()
    try:
        async with fleet_of(server.spec(era=era)) as running:
            yield running
    finally:
        await server.close()


async def test_every_page_of_tools_is_listed_as_the_server_wrote_it(fleet: Fleet) -> None:
    assert [tool.name for tool in fleet.tools()][:15][-1] == "fail"
    echo = fleet.resolve("all__echo")
    assert echo
    assert echo.tool
    assert echo.tool.read_only
    assert echo.tool.raw["_meta"] == {"from": "test"}
    assert echo.examples == (Example({"text": "hi"}), Example({"text": "ho"}, "Say ho"))


async def test_a_call_gives_back_everything_that_the_tool_returned(fleet: Fleet) -> None:
    outcome = await call(fleet, "all.echo", text="grüß 🐑")
    assert isinstance(outcome, Returned)
    assert outcome.content == ({"type": "text", "text": "grüß 🐑"},)
    assert outcome.structured == {"echo": "grüß 🐑"}
    failed = await call(fleet, "all.fail")
    assert failed.for_model() == "Error: it did not work"


async def test_a_result_of_three_mebibytes_arrives(fleet: Fleet) -> None:
    assert len(await said(fleet, "all__big", size=BIG)) == BIG
    assert len(await said(fleet, "all__echo", text="y" * BIG)) == BIG


async def test_a_slow_call_blocks_no_other(fleet: Fleet) -> None:
    slow = [asyncio.create_task(said(fleet, "all__wait", key=f"slow {n}")) for n in range(20)]
    assert await said(fleet, "all__echo", text="quick") == "quick"
    assert not any(task.done() for task in slow)
    for n in range(20):
        await said(fleet, "all__release", key=f"slow {n}")
    assert await asyncio.wait_for(asyncio.gather(*slow), PATIENCE_S) == ["released"] * 20


async def test_a_call_out_of_time_is_cancelled_at_the_server(fleet: Fleet) -> None:
    for timeout_s in (0.05, 0.5, 5.0, 20.0):  # a call may be over before it has begun there
        key = f"late after {timeout_s} s"
        outcome = await call(fleet, "all__wait", ToolContext(INTERNAL, timeout_s=timeout_s), key=key)
        assert isinstance(outcome, TimedOut)
        assert 0 <= outcome.after_s <= timeout_s
        if f"waiting {key}" in await said(fleet, "all__trace"):
            break

    async def cancelled() -> bool:
        return f"cancelled {key}" in await said(fleet, "all__trace")

    await until(cancelled)


async def test_a_caller_that_leaves_cancels_its_call_at_the_server_and_no_other(fleet: Fleet) -> None:
    leaving = asyncio.create_task(said(fleet, "all__wait", key="left"))
    staying = asyncio.create_task(said(fleet, "all__wait", key="stays"))

    async def both_run() -> bool:
        trace = await said(fleet, "all__trace")
        return "waiting left" in trace and "waiting stays" in trace

    await until(both_run)
    leaving.cancel()

    async def cancelled() -> bool:
        return "cancelled left" in await said(fleet, "all__trace")

    await until(cancelled)
    await said(fleet, "all__release", key="stays")
    assert await asyncio.wait_for(staying, PATIENCE_S) == "released"
    assert leaving.cancelled()


async def test_progress_is_passed_on_in_order(fleet: Fleet) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))

    assert await said(fleet, "all__count", ToolContext(INTERNAL, progress), n=3) == "counted to 3"

    async def all_told() -> bool:
        return len(told) >= 3

    await until(all_told)
    assert told == [(1, 3, "at 1"), (2, 3, "at 2"), (3, 3, "at 3")]


async def test_a_question_of_a_tool_reaches_the_person_of_that_call(fleet: Fleet) -> None:
    person = Person("blue")
    context = ToolContext(INTERNAL, asker=person, call_id="call_1")
    assert await said(fleet, "all__ask", context, question="Which colour?") == "accept: blue"
    (ask,) = person.asked
    assert (ask.server, ask.tool, ask.call_id, ask.preview) == ("all", "ask", "call_1", "all: Which colour?")
    assert ask.arguments == '{"question": "Which colour?"}'
    assert ask.question
    assert ask.question["requestedSchema"]["properties"] == {"answer": {"type": "string"}}


async def test_a_question_is_declined_by_a_no_and_where_there_is_nobody(fleet: Fleet) -> None:
    no = ToolContext(INTERNAL, asker=Person(None))
    assert await said(fleet, "all__ask", no, question="Really?") == "decline: None"
    assert await said(fleet, "all__ask", question="Anybody?") == "decline: None"


async def test_an_argument_that_must_be_a_header_too_gets_there(fleet: Fleet) -> None:
    assert await said(fleet, "all__regional", region="eu west") == "in eu west"


async def test_changed_tools_are_listed_anew(fleet: Fleet) -> None:
    assert fleet.resolve("all__grown") is None
    await said(fleet, "all__grow")

    async def grown() -> bool:
        return fleet.resolve("all__grown") is not None

    await until(grown)


async def test_arguments_that_no_wire_can_carry_do_not_end_the_session(fleet: Fleet) -> None:
    assert await said(fleet, "all__echo", text="half \ud83d an emoji") == "half ? an emoji"
    assert isinstance(await call(fleet, "all__echo", text=float("inf")), Invalid)
    assert await said(fleet, "all__echo", text="well") == "well"
