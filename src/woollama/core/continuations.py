"""What happened inside a turn that ended with calls for the client, kept until their results come back.

A turn may run our tools and the client's. The client sees only its own calls, and returns only their results; without
the rounds between, the model would be asked to go on from a past that it does not know. So all that the turn produced
is kept under the id of each call for the client, and put back where that call returns in a later history. In memory,
bounded, for a day; when it is gone the history is used as it was sent.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from woollama.domain.messages import Item, Message, ToolCall, ToolResult


@dataclass(frozen=True, slots=True)
class _Kept:
    items: tuple[Item, ...]
    at: float


class Continuations:
    def __init__(
        self, *, most: int = 1024, keep_s: float = 24 * 3600, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._keep_s = keep_s
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Continuations {len(self._kept)} kept>"

    def keep(self, call_ids: Sequence[str], items: Sequence[Item]) -> None:
        """Remember `items`, all that a turn produced, under each call in it that the client runs."""
        kept = _Kept(tuple(items), self._clock())
        for call_id in call_ids:
            self._kept[call_id] = kept
            self._kept.move_to_end(call_id)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def splice(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """`items` with every assistant's block that we know the whole of in its whole form."""
        spliced: list[Item] = []
        block: list[Item] = []
        for item in items:
            if _is_of_assistant(item):
                block.append(item)
                continue
            spliced += self._whole(block)
            block = []
            spliced.append(item)
        return (*spliced, *self._whole(block))

    def _whole(self, block: Sequence[Item]) -> Sequence[Item]:
        for item in block:
            if isinstance(item, ToolCall) and (kept := self._kept.get(item.id)):
                if self._clock() - kept.at <= self._keep_s:
                    return kept.items
                del self._kept[item.id]
        return block


def _is_of_assistant(item: Item) -> bool:
    return not isinstance(item, ToolResult) and not (isinstance(item, Message) and item.role != "assistant")
