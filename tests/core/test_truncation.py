"""A history that is too long is shortened where that is allowed, and never in the middle of a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from woollama.core.runs import Emit
from woollama.core.truncation import play_fitted, without_older_half
from woollama.domain.errors import ContextTooLong
from woollama.domain.events import Event, Rewrote, Stopped, TextDelta
from woollama.domain.messages import Item, Message, Text, ToolCall, ToolResult
from woollama.domain.tools import Returned
from woollama.domain.turns import INTERNAL, Turn


def turn() -> Turn:
    return Turn("turn_1", INTERNAL, "responses", "mock/m", HISTORY)


def said(role: str, text: str) -> Message:
    return Message(role, (Text(text),))  # type: ignore[arg-type]


SYSTEM = said("system", "be brief")
CALL, RESULT = ToolCall("c", "f", "{}"), ToolResult("c", Returned.of_text("1"))
HISTORY: tuple[Item, ...] = (
    SYSTEM,
    said("user", "a"),
    said("assistant", "b"),
    said("user", "c"),
    CALL,
    RESULT,
    said("assistant", "d"),
    said("user", "e"),
)


class Model:
    """Takes so many items and refuses more."""

    def __init__(self, room: int, *, late: bool = False) -> None:
        self.room = room
        self.late = late
        self.seen: list[tuple[Item, ...]] = []

    async def play(self, asked: Turn, emit: Emit) -> None:
        self.seen.append(asked.items)
        if self.late:
            await emit(TextDelta("half"))
        if len(asked.items) > self.room:
            raise ContextTooLong("too long")
        await emit(Stopped("end"))


async def played(model: Model, asked: Turn) -> list[Event]:
    events: list[Event] = []

    async def emit(event: Event) -> None:
        events.append(event)

    await play_fitted(model.play, asked, emit)
    return events


async def test_the_older_half_goes_until_it_fits_and_the_client_is_told() -> None:
    model = Model(room=3)
    events = await played(model, replace(turn(), items=HISTORY, may_truncate=True))
    assert model.seen[-1] == (SYSTEM, said("user", "e"))
    assert [type(event) for event in events] == [Rewrote, Stopped]


async def test_nothing_is_left_out_of_what_fits() -> None:
    model = Model(room=99)
    await played(model, replace(turn(), items=HISTORY, may_truncate=True))
    assert model.seen == [HISTORY]


@pytest.mark.parametrize("late", [False, True])
async def test_without_leave_or_after_a_beginning_it_is_refused(late: bool) -> None:
    with pytest.raises(ContextTooLong):
        await played(Model(room=3, late=late), replace(turn(), items=HISTORY, may_truncate=late))


async def test_what_can_be_shortened_no_more_is_refused() -> None:
    with pytest.raises(ContextTooLong):
        await played(Model(room=0), replace(turn(), items=HISTORY, may_truncate=True))


def test_a_cut_is_made_where_a_user_speaks() -> None:
    assert without_older_half(HISTORY[:7]) == (SYSTEM, *HISTORY[3:7])
    assert without_older_half(HISTORY[:3]) is None
