"""What happened inside a turn that ended with calls for the client, kept until their results come back.

A turn may run our tools and the client's. The client sees only its own calls, and returns only their results; without
the rounds between, the model would be asked to go on from a past that it does not know. So all that the turn produced
is kept under the id of each call for the client, and put back where that call returns in a later history. In memory,
bounded, for a day; when it is gone the history is used as it was sent.

An id alone does not say which call is meant: there are upstreams that number their calls from 0 in every answer. Put
back is only what the same caller got for the same words of its user, around the very same call.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from woollama.domain.messages import Item, Message, Reasoning, ToolCall, ToolResult
from woollama.domain.tools import Returned
from woollama.domain.wire_json import loads

MOST_BYTES = 256 * 2**20
_Key = tuple[str, str]
"""The caller's name and the call's id."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """`asked` stands for what the user had said last; `size_bytes` is about what `items` take in memory."""

    asked: int
    call: ToolCall
    items: tuple[Item, ...]
    at: float
    size_bytes: int


class Continuations:
    """The latest `most` calls, as far as all of it is no more than `most_bytes`."""

    def __init__(
        self,
        *,
        most: int = 1024,
        most_bytes: int = MOST_BYTES,
        keep_s: float = 24 * 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._keep_s = keep_s
        self._clock = clock
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Continuations {len(self._kept)} kept>"

    def keep(self, caller: str, history: Sequence[Item], items: Sequence[Item]) -> None:
        """Remember `items`, all that a turn produced after `history`, under each call in it that the client runs."""
        asked, now, size_bytes = _asked(history), self._clock(), sum(map(_size_bytes, items))
        for call in items:
            if isinstance(call, ToolCall) and call.runs == "client":
                self._drop((caller, call.id))
                self._kept[caller, call.id] = _Kept(asked, call, tuple(items), now, size_bytes)
                self._bytes += size_bytes
        while self._kept and self._has_too_much(now):
            self._drop(next(iter(self._kept)))

    def splice(self, caller: str, items: Sequence[Item]) -> tuple[Item, ...]:
        """`items` with every assistant's block that we know the whole of in its whole form.

        A history in which our own calls stand, of a dialect that shows them or out of a store, is whole as it is.
        """
        spliced: list[Item] = []
        block: list[Item] = []
        is_whole = False
        for item in items:
            is_whole = is_whole or (isinstance(item, ToolCall) and item.runs == "server")
            if _is_of_assistant(item):
                block.append(item)
                continue
            spliced += block if is_whole else self._whole(caller, spliced, block)
            block = []
            spliced.append(item)
            is_whole = is_whole and not (isinstance(item, Message) and item.role == "user")
        return (*spliced, *(block if is_whole else self._whole(caller, spliced, block)))

    def _whole(self, caller: str, before: Sequence[Item], block: Sequence[Item]) -> Sequence[Item]:
        for call in block:
            if not isinstance(call, ToolCall) or (kept := self._kept.get((caller, call.id))) is None:
                continue
            if self._clock() - kept.at > self._keep_s:
                self._drop((caller, call.id))
            elif _same(kept.call, call) and kept.asked == _asked(before):
                return kept.items
        return block

    def _has_too_much(self, now: float) -> bool:
        """The oldest comes first."""
        oldest = next(iter(self._kept.values()))
        return len(self._kept) > self._most or self._bytes > self._most_bytes or now - oldest.at > self._keep_s

    def _drop(self, key: _Key) -> None:
        if (kept := self._kept.pop(key, None)) is not None:
            self._bytes -= kept.size_bytes


def _size_bytes(item: Item) -> int:
    """Of what can be large: texts, arguments and results."""
    match item:
        case ToolResult(outcome=Returned() as outcome):
            return outcome.size_bytes
        case ToolCall():
            return len(item.arguments)
        case Message():
            return len(item.text)
        case Reasoning():
            return len(item.text) + (len(item.sealed.data) if item.sealed else 0)
        case _:
            return 0


def _is_of_assistant(item: Item) -> bool:
    return not isinstance(item, ToolResult) and not (isinstance(item, Message) and item.role != "assistant")


def _asked(history: Sequence[Item]) -> int:
    said = (item.text for item in reversed(history) if isinstance(item, Message) and item.role == "user")
    return hash(next(said, ""))


def _same(one: ToolCall, other: ToolCall) -> bool:
    """Clients may write the arguments anew."""
    return one.name == other.name and (one.arguments == other.arguments or _read(one) == _read(other))


def _read(call: ToolCall) -> object:
    try:
        return loads(call.arguments.encode())
    except ValueError:
        return call.arguments
