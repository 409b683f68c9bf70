"""What streams of events have said, for hosts that lose one and come back for the rest (handshake era, HTTP)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse

MOST_EVENTS = 256
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """A message on a stream, and what a host names to hear what came after it. One without a message is that alone."""

    message: JSONRPCMessage | None
    id: str | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the request that the stream is for is over with it."""
        return isinstance(self.message, JSONRPCResponse | JSONRPCError)


class Replay:
    """The last events of one session. The newest is kept whatever its size."""

    def __init__(self) -> None:
        self._events: OrderedDict[str, tuple[str, JSONRPCMessage | None, int]] = OrderedDict()
        self._numbers = count(1)
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Replay {len(self._events)} events, about {self._bytes} bytes>"

    def note(self, stream: str, message: JSONRPCMessage | None) -> Event:
        event, size = str(next(self._numbers)), _size(vars(message)) if message is not None else 0
        self._events[event] = (stream, message, size)
        self._bytes += size
        while len(self._events) > 1 and (len(self._events) > MOST_EVENTS or self._bytes > MOST_BYTES):
            self._bytes -= self._events.popitem(last=False)[1][2]
        return Event(message, event)

    def after(self, event: str) -> tuple[str, Sequence[Event]] | None:
        """Which stream an event was on, and what has been said there since. None for one that is not known any more."""
        if event not in self._events:
            return None
        wanted = self._events[event][0]
        return wanted, [
            Event(message, number)
            for number, (stream, message, _) in self._events.items()
            if stream == wanted and int(number) > int(event) and message is not None
        ]


def _size(value: Any) -> int:
    """About what it takes, without writing it down."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + _size(each) for name, each in value.items())
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 8
