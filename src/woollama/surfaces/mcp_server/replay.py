"""What streams of events have said, for hosts that lose one and come back for the rest (handshake era, HTTP)."""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import Any

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import JSONRPCMessage

MOST_EVENTS = 256
MOST_BYTES = 4 << 20
RETRY_MS = 500
"""After how long a host comes back to a stream that was closed to be polled."""


class Replay(EventStore):
    """The last events of one session. The newest is kept whatever its size."""

    def __init__(self) -> None:
        self._events: OrderedDict[str, tuple[str, JSONRPCMessage | None, int]] = OrderedDict()
        self._numbers = count(1)
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Replay {len(self._events)} events, about {self._bytes} bytes>"

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        event, size = str(next(self._numbers)), _size(vars(message)) if message is not None else 0
        self._events[event] = (stream_id, message, size)
        self._bytes += size
        while len(self._events) > 1 and (len(self._events) > MOST_EVENTS or self._bytes > MOST_BYTES):
            self._bytes -= self._events.popitem(last=False)[1][2]
        return event

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if last_event_id not in self._events:
            return None
        wanted = self._events[last_event_id][0]
        for event, (stream_id, message, _) in tuple(self._events.items()):
            if stream_id == wanted and int(event) > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, event))
        return wanted


class ReplayingManager(StreamableHTTPSessionManager):
    """Gives each session a memory of its own: streams are named by request ids, which are alike in all sessions."""

    @property
    def event_store(self) -> EventStore | None:
        return Replay()

    @event_store.setter
    def event_store(self, store: EventStore | None) -> None:
        """The SDK's constructor sets what it was given, which is none."""


def _size(value: Any) -> int:
    """About what it takes, without writing it down."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + _size(each) for name, each in value.items())
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 8
