"""What a host of the handshake era hears over HTTP in answer to one request, or unasked on its feed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from mcp_types import JSONRPCMessage, JSONRPCResponse
from starlette.types import Receive, Send

from woollama.surfaces.bodies import Headers
from woollama.surfaces.mcp_server.replay import Event, Replay

RETRY_MS = 500
"""After how long a host comes back to a stream that was closed to be polled."""
MOST_WAITING = 16
HEARTBEAT_S = 15.0
HEARTBEAT = b": heartbeat\r\n\r\n"
EVENT_STREAM: Headers = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class Stream:
    """The messages for one HTTP response, in their order.

    Until it has `begun` to be a stream of events nothing but a result has come, which can then be sent as plain JSON.
    An error is always an event: the SDK's client breaks over a plain one that comes when it has closed its session.
    Whoever speaks faster than the host reads is held back. `resumable` are those that a host can come back to.
    """

    def __init__(self, name: str, replay: Replay, *, resumable: bool, begun: bool = False) -> None:
        self.name = name
        self.begun = begun
        self._replay = replay
        self._resumable = resumable
        self._waiting: deque[Event] = deque()
        self._over = False
        self._came = asyncio.Event()
        self._taken = asyncio.Event()

    def __repr__(self) -> str:
        kind = "over" if self._over else "of events" if self.begun else "not begun"
        return f"<Stream {self.name!r} {kind}, {len(self._waiting)} waiting>"

    async def say(self, message: JSONRPCMessage) -> None:
        event = Event(message)
        if self.begun or not isinstance(message, JSONRPCResponse):
            self.begin()
            event = self._replay.note(self.name, message)
        self._waiting.append(event)
        self._came.set()
        while len(self._waiting) > MOST_WAITING and not self._over:
            self._taken.clear()
            await self._taken.wait()

    def begin(self) -> None:
        """From now on it is a stream of events, and its first one is where a host can come back to."""
        if not self.begun:
            self.begun = True
            self.mark()

    def mark(self) -> None:
        if self._resumable:
            self._waiting.append(self._replay.note(self.name, None))
        self._came.set()

    def repeat(self, events: Sequence[Event]) -> None:
        """What was said on a stream that this one takes the place of."""
        self._waiting.extend(events)

    def close(self) -> None:
        """Nothing more is said on it: the host is gone, or is to come back for the rest."""
        self._over = True
        self._came.set()
        self._taken.set()

    async def settled(self) -> None:
        """Until there is an answer, or it has begun to be a stream of events, or is over."""
        while not (self._waiting or self.begun or self._over):
            self._came.clear()
            await self._came.wait()

    def take(self) -> Event | None:
        self._taken.set()
        return self._waiting.popleft() if self._waiting else None

    async def next(self) -> Event | None:
        """None when no more will come."""
        while not self._waiting and not self._over:
            self._came.clear()
            await self._came.wait()
        return self.take()


async def send_events(stream: Stream, receive: Receive, send: Send, headers: Headers) -> None:
    """Everything that comes, until the answer has, or the stream is closed, or the host leaves."""
    await send({"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM, *headers]})
    leaving = asyncio.create_task(_close_when_left(stream, receive))
    try:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    event = await stream.next()
            except TimeoutError:
                await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
                continue
            if event is None:
                break
            await send({"type": "http.response.body", "body": _frame(event), "more_body": True})
            if event.is_answer:
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        leaving.cancel()


async def _close_when_left(stream: Stream, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.close()


def _frame(event: Event) -> bytes:
    named = f"id: {event.id}\r\n" if event.id is not None else ""
    if event.message is None:
        return f"{named}retry: {RETRY_MS}\r\ndata: \r\n\r\n".encode()
    data = event.message.model_dump_json(by_alias=True, exclude_unset=True)
    return f"{named}event: message\r\ndata: {data}\r\n\r\n".encode()
