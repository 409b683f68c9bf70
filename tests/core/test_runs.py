"""Runs: who keeps one alive, who holds it back, and how it ends."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.clock import Clock
from woollama.core.lease import Gate, LeasePolicy
from woollama.core.runs import LAG_LIMIT_EVENTS, OUTPUT_LIMIT, Emit, Runs
from woollama.domain.errors import BadRequest, InternalFault, ShuttingDown
from woollama.domain.events import Event, Failed, Rewrote, RoundBegan, Stopped, TextDelta
from woollama.domain.turns import INTERNAL, Target, Turn

BEGAN = RoundBegan(0, Target("scripted", "any"))


def a_turn(turn_id: str = "turn_1") -> Turn:
    return Turn(turn_id, INTERNAL, "chat", "any", ())


async def words(turn: Turn, emit: Emit) -> None:
    await emit(BEGAN)
    for word in ("one", "two", "three"):
        await emit(TextDelta(word))
    await emit(Stopped("end"))


class Held:
    """Plays until it is released, and remembers how it ended."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.released = asyncio.Event()
        self.cancelled = False

    async def __call__(self, turn: Turn, emit: Emit) -> None:
        await emit(BEGAN)
        self.began.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        await emit(Stopped("end"))


async def test_a_watcher_sees_every_event_and_then_the_end() -> None:
    async with Runs(words).start(a_turn()) as run:
        seen = [event async for event in run.watch()]
    assert seen == [BEGAN, TextDelta("one"), TextDelta("two"), TextDelta("three"), Stopped("end")]


async def test_a_finished_run_can_be_watched_again_from_any_event() -> None:
    async with Runs(words).start(a_turn()) as run:
        assert len([event async for event in run.watch()]) == 5
        assert [event async for event in run.watch(after=3)] == [TextDelta("three"), Stopped("end")]


async def test_a_foreground_run_is_cancelled_when_its_holder_leaves() -> None:
    play = Held()
    runs = Runs(play)
    async with runs.start(a_turn()) as run:
        await play.began.wait()
    assert play.cancelled
    assert run.ending == Stopped("cancelled")
    assert len(runs) == 0


async def test_a_second_holder_keeps_a_foreground_run_alive() -> None:
    play = Held()
    runs = Runs(play)
    async with runs.start(a_turn()) as run:
        await play.began.wait()
        second = runs.hold(run)
        await second.__aenter__()
    assert run.ending is None
    play.released.set()
    assert [event async for event in run.watch()][-1] == Stopped("end")
    await second.__aexit__(None, None, None)
    assert not play.cancelled


async def test_a_background_run_goes_on_without_watchers_and_is_found_by_its_id() -> None:
    play = Held()
    runs = Runs(play)
    async with runs.start(a_turn("turn_7"), background=True):
        pass
    run = runs.get("turn_7")
    assert run is not None
    play.released.set()
    assert [event async for event in run.watch()] == [BEGAN, Stopped("end")]


@pytest.mark.parametrize(
    ("raised", "ending"),
    [(BadRequest("no"), BadRequest), (ZeroDivisionError("a defect"), InternalFault)],
)
async def test_what_a_run_raises_is_its_terminal_event(raised: Exception, ending: type) -> None:
    async def play(turn: Turn, emit: Emit) -> None:
        raise raised

    async with Runs(play).start(a_turn()) as run:
        (event,) = [event async for event in run.watch()]
    assert isinstance(event, Failed)
    assert isinstance(event.error, ending)
    assert "a defect" not in str(event.error)[:8]


async def test_a_run_that_forgets_its_end_has_failed() -> None:
    async def play(turn: Turn, emit: Emit) -> None:
        await emit(BEGAN)

    async with Runs(play).start(a_turn()) as run:
        assert isinstance([event async for event in run.watch()][-1], Failed)


async def test_nothing_is_said_after_the_end() -> None:
    async def play(turn: Turn, emit: Emit) -> None:
        await emit(Stopped("end"))
        await emit(TextDelta("late"))

    async with Runs(play).start(a_turn()) as run:
        assert [event async for event in run.watch()] == [Stopped("end")]


async def test_a_slow_watcher_holds_the_producer_back_and_a_closed_one_does_not() -> None:
    said = 0

    async def play(turn: Turn, emit: Emit) -> None:
        nonlocal said
        for said in range(10 * LAG_LIMIT_EVENTS):  # noqa: B007
            await emit(TextDelta("x"))
        await emit(Stopped("end"))

    async with Runs(play).start(a_turn()) as run:
        slow = run.watch()
        await anext(slow)
        while said < LAG_LIMIT_EVENTS:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert said <= LAG_LIMIT_EVENTS + 1
        slow.close()
        assert [event async for event in run.watch()][-1] == Stopped("end")


async def test_an_abandoned_watch_does_not_hold_the_producer_back() -> None:
    async def play(turn: Turn, emit: Emit) -> None:
        for _ in range(3 * LAG_LIMIT_EVENTS):
            await emit(TextDelta("x"))
        await emit(Stopped("end"))

    async with Runs(play).start(a_turn()) as run:
        await anext(run.watch())
        gc.collect()
        assert [event async for event in run.watch()][-1] == Stopped("end")


async def test_closing_fails_what_runs_waits_for_it_and_takes_no_more() -> None:
    play = Held()
    runs = Runs(play)
    async with runs.start(a_turn()) as run:
        await play.began.wait()
        await runs.close()
        assert play.cancelled
        events: list[Event] = [event async for event in run.watch()]
        assert isinstance(events[-1], Failed)
        assert isinstance(events[-1].error, ShuttingDown)
    with pytest.raises(ShuttingDown):
        async with runs.start(a_turn("turn_2")):
            pass


async def test_a_run_that_is_cancelled_twice_may_still_finish_what_it_does_on_its_way_out() -> None:
    leaving, may_leave = asyncio.Event(), asyncio.Event()
    tidied = False

    async def play(turn: Turn, emit: Emit) -> None:
        nonlocal tidied
        try:
            await asyncio.Event().wait()
        finally:
            leaving.set()
            await may_leave.wait()
            tidied = True

    runs = Runs(play)
    async with runs.start(a_turn()) as run:
        await asyncio.sleep(0)
        first = asyncio.create_task(run.cancel())
        await leaving.wait()
        second = asyncio.create_task(runs.close())
        await asyncio.sleep(0)
        may_leave.set()
        await asyncio.gather(first, second)
    assert tidied
    assert run.ending == Stopped("cancelled")


async def test_an_observer_with_a_defect_harms_neither_the_run_nor_its_watchers() -> None:
    def broken(run: object, event: Event) -> None:
        raise ZeroDivisionError

    seen: list[Event] = []
    async with asyncio.timeout(60), Runs(words, [broken, lambda run, event: seen.append(event)]).start(a_turn()) as run:
        assert [event async for event in run.watch()][-1] == Stopped("end")
    assert len(seen) == 5


async def test_an_observer_sees_the_events_of_all_runs() -> None:
    seen: list[tuple[str, Event]] = []
    runs = Runs(words, [lambda run, event: seen.append((run.turn.id, event))])
    for turn_id in ("turn_1", "turn_2"):
        async with runs.start(a_turn(turn_id)) as run:
            assert [event async for event in run.watch()]
    assert [turn_id for turn_id, event in seen if isinstance(event, Stopped)] == ["turn_1", "turn_2"]


# --- limits ---


async def endless(turn: Turn, emit: Emit) -> None:
    await emit(BEGAN)
    while True:
        await emit(TextDelta("x" * 1000))


async def test_a_log_beyond_its_limit_ends_as_an_answer_that_became_too_long() -> None:
    closed = asyncio.Event()

    async def play(turn: Turn, emit: Emit) -> None:
        try:
            await endless(turn, emit)
        finally:
            closed.set()

    async with Runs(play, output_bytes=10_000).start(a_turn()) as run:
        seen = [event async for event in run.watch()]
    *said, why, ending = seen
    assert ending == Stopped("length", OUTPUT_LIMIT)
    assert why == Rewrote("cut off after 10000 bytes of output (limits.output)")
    assert 8 <= sum(isinstance(event, TextDelta) for event in said) <= 10
    assert closed.is_set()


async def test_a_task_of_the_run_that_goes_beyond_the_limit_ends_it_as_well() -> None:
    """As the tools of a round do, which run in a group of their own."""

    async def play(turn: Turn, emit: Emit) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(endless(turn, emit))

    async with Runs(play, output_bytes=10_000).start(a_turn()) as run:
        assert [event async for event in run.watch()][-1] == Stopped("length", OUTPUT_LIMIT)


async def test_turns_beyond_the_places_wait_and_are_refused_after_a_while(clock: Clock) -> None:
    held, places = Held(), Gate("woollama", LeasePolicy(0, 1, 1, 600.0, 5.0))
    runs = Runs(held, places=places)
    async with runs.start(a_turn("turn_1")) as first:
        await held.began.wait()
        async with runs.start(a_turn("turn_2")) as second:
            while not places.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0)
            clock.forward(600)
            seen = [event async for event in second.watch()]
        assert isinstance(seen[0], Failed)
        assert (seen[0].error.kind, seen[0].error.retry_after) == ("backpressure", 5.0)
        async with runs.start(a_turn("turn_3")) as third:
            held.released.set()
            assert [event async for event in third.watch()] == [BEGAN, Stopped("end")]
        assert [event async for event in first.watch()] == [BEGAN, Stopped("end")]
