"""A history that is too long for its model, shortened at its beginning until it fits, where the request allows that.

Only a model's own refusal tells that it is too long, so nothing is left out that would have fitted. What is said first
(the system's words) and last (the turn at hand) stays; a call is never parted from its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from woollama.core.runs import Emit, Play
from woollama.domain.errors import ContextTooLong
from woollama.domain.events import Event, Rewrote
from woollama.domain.messages import Item, Message
from woollama.domain.turns import Turn


async def play_fitted(play: Play, turn: Turn, emit: Emit) -> None:
    """Play a turn, and again without the older half of its history as often as its model refuses it as too long."""
    begun = False

    async def noting(event: Event) -> None:
        nonlocal begun
        begun = begun or not isinstance(event, Rewrote)
        await emit(event)

    while True:
        try:
            await play(turn, noting)
            return
        except ContextTooLong:
            shorter = without_older_half(turn.items)
            if begun or not turn.may_truncate or shorter is None:
                raise
            left_out = len(turn.items) - len(shorter)
            await emit(Rewrote(f"truncation: the {left_out} oldest items were left out, the context is too long"))
            turn = replace(turn, items=shorter)


def without_older_half(items: Sequence[Item]) -> tuple[Item, ...] | None:
    """Cut where a user speaks; None where nothing can be left out."""
    first = next((at for at, item in enumerate(items) if not _instructs(item)), len(items))
    speaks = [at for at, item in enumerate(items) if at > first and isinstance(item, Message) and item.role == "user"]
    if not speaks:
        return None
    middle = first + (len(items) - first) // 2
    cut = next((at for at in speaks if at >= middle), speaks[-1])
    return (*items[:first], *items[cut:])


def _instructs(item: Item) -> bool:
    return isinstance(item, Message) and item.role in ("system", "developer")
