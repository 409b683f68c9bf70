"""The session of one host of the handshake era: the SDK's server on streams of our own.

The SDK's own transport makes a stream of events of every answer, with half a dozen tasks for each. Here the result of a
tool that comes soon, and before anything else is said, is plain JSON, as the protocol leaves it to the server. A stream
begins with the first thing that is said before it, or after a moment: then a host can come back for the result.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import mcp_types as types
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.runner import ServerRunner, aclose_shielded
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.shared.transport_context import TransportContext
from mcp_types.version import is_version_at_least

from woollama.surfaces.bodies import Headers
from woollama.surfaces.mcp_server.answering import Answering
from woollama.surfaces.mcp_server.replay import Replay
from woollama.surfaces.mcp_server.streams import Stream

log = logging.getLogger("woollama.mcp")

IDLE_S = 1800.0
FAREWELL_S = 5.0
"""How long the last answers may take, of requests that are cancelled because their session ends."""
FEED = "feed"
"""The name of the stream of what belongs to no request."""
FIRST_RESUMABLE = "2025-11-25"
"""Older hosts cannot read an event without a message."""


def stream_of(request: types.RequestId | None) -> str:
    """The name of the stream in answer to a request. Its id may be any text, and `1` is not `"1"`."""
    return json.dumps(request)


class Inbox:
    """What a host sends that is no request, with the context that each message was sent in."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[contextvars.Context, SessionMessage] | None] = asyncio.Queue()
        self.last_context: contextvars.Context | None = None

    def put(self, item: SessionMessage) -> None:
        self._queue.put_nowait((contextvars.copy_context(), item))

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def receive(self) -> SessionMessage | Exception:
        return await self.__anext__()

    async def aclose(self) -> None:
        """It ends with the session."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        if (came := await self._queue.get()) is None:
            raise StopAsyncIteration
        self.last_context, item = came
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Session:
    """One host's. It is the stream that the SDK writes to, and sorts what it says by what that is in answer to."""

    def __init__(self, sdk: Server[Any]) -> None:
        self.id = secrets.token_hex(16)
        self.inbox = Inbox()
        self._replay = Replay()
        self._streams: dict[str, Stream] = {}
        self._in_flight = 0
        self._over = False
        self._idle: asyncio.TimerHandle | None = None
        self._dispatcher: JSONRPCDispatcher[TransportContext] = JSONRPCDispatcher(self.inbox, self)
        self._runner = ServerRunner(sdk, Connection.for_loop(self._dispatcher, session_id=self.id), {})
        self._answering: dict[types.RequestId, Answering] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._served = asyncio.create_task(self._serve(), context=contextvars.Context())

    def __repr__(self) -> str:
        return f"<Session {self.id[:6]} {self._in_flight} in flight, {len(self._streams)} streams>"

    @property
    def headers(self) -> Headers:
        return [(b"mcp-session-id", self.id.encode())]

    def when_over(self, tell: Callable[[], None]) -> None:
        self._served.add_done_callback(lambda _: tell())

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """A session in which nothing is asked and no stream is open for a long time ends."""
        if self._idle is not None:
            self._idle.cancel()
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight and not self._over:
                self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.inbox.end)

    def answer(self, message: types.JSONRPCRequest, metadata: ServerMessageMetadata) -> None:
        """Begins to; the answer is said on the stream of its name."""
        if self._over:
            return
        key = coerce_request_id(message.id)
        answering = self._answering[key] = Answering(message, metadata, self._dispatcher, self.send)

        def answered(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if self._answering.get(key) is answering:
                del self._answering[key]

        task = answering.begin(self._runner.on_request)
        self._tasks.add(task)
        task.add_done_callback(answered)

    def cancel(self, request: types.RequestId | None) -> None:
        if request is not None and (answering := self._answering.get(coerce_request_id(request))) is not None:
            answering.cancel()

    @contextmanager
    def open(self, name: str, version: str) -> Iterator[Stream]:
        """A stream for what is said under that name."""
        with self._opened(Stream(name, self._replay, resumable=is_version_at_least(version, FIRST_RESUMABLE))) as new:
            yield new

    @contextmanager
    def reopen(self, last_event: str, version: str) -> Iterator[Stream | None]:
        """A stream for what was said after that event, and will be. None where that is not known any more."""
        if (found := self._replay.after(last_event)) is None:
            yield None
            return
        name, events = found
        resumable = is_version_at_least(version, FIRST_RESUMABLE)
        with self._opened(Stream(name, self._replay, resumable=resumable, begun=True)) as stream:
            stream.repeat(events)
            stream.mark()
            yield stream

    @contextmanager
    def _opened(self, stream: Stream) -> Iterator[Stream]:
        if (before := self._streams.get(stream.name)) is not None:
            before.close()
        self._streams[stream.name] = stream
        if self._over:
            stream.close()
        try:
            yield stream
        finally:
            self._forget(stream)

    def has_feed(self) -> bool:
        return FEED in self._streams

    def let_poll(self, name: str) -> Callable[[], Awaitable[None]]:
        """Ends that stream, if it is open, for its host to come back to it later."""

        async def close() -> None:
            if (stream := self._streams.get(name)) is not None:
                stream.begin()
                self._forget(stream)

        return close

    def _forget(self, stream: Stream) -> None:
        stream.close()
        if self._streams.get(stream.name) is stream:
            del self._streams[stream.name]

    def end_feed(self) -> None:
        if (feed := self._streams.get(FEED)) is not None:
            feed.close()

    async def end(self) -> None:
        self.inbox.end()
        await asyncio.wait({self._served})

    async def send(self, item: SessionMessage, /) -> None:
        message, metadata, name = item.message, item.metadata, FEED
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            name = stream_of(message.id)
        elif isinstance(metadata, ServerMessageMetadata) and metadata.related_request_id is not None:
            name = stream_of(metadata.related_request_id)
        if (stream := self._streams.get(name)) is not None:
            await stream.say(message)
        else:
            self._replay.note(name, message)

    async def aclose(self) -> None:
        """The SDK has no more to say. What is not answered by now is over."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FAREWELL_S)
        for stream in tuple(self._streams.values()):
            stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _serve(self) -> None:
        try:
            await self._dispatcher.run(self._runner.on_request, self._runner.on_notify)
        except Exception:
            log.exception("the session of a host broke")
        finally:
            await aclose_shielded(self._runner.connection)
            if self._idle is not None:
                self._idle.cancel()
