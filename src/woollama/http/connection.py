"""One HTTP/1.1 connection to an upstream, and the answer that is arriving on it.

A connection carries one exchange after the other. Bytes go from the socket through httptools into the answer's buffer;
whoever reads the answer is woken once per network read. When the reader is slow the socket is not read either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

import httptools

from woollama.domain.errors import RouterError, UpstreamBroke, UpstreamTimeout, UpstreamUnreachable
from woollama.domain.ports import ReplayableBody
from woollama.http.request import HttpRequest, Origin

_HIGH_WATER_BYTES = 256 * 1024
_LOW_WATER_BYTES = 64 * 1024
_HEAD_LIMIT_BYTES = 256 * 1024
_ONE_WRITE_BYTES = 64 * 1024


class Stale(Exception):
    """A connection from the pool ended before any of the answer came: it was closed while it was idle."""


class HttpAnswer:
    """A status line, headers (names in lower case) and, by iteration, a body while it arrives. For one reader.

    `ends_within_s`: who leaves it before its end has read all that matters, and the end is waited for so long, without
    anybody, so that its connection can carry another.
    """

    __slots__ = (
        *("_buffered", "_connection", "_error", "_parts", "_waiter"),
        *("complete", "ends_within_s", "headers", "status"),
    )

    def __init__(self, connection: HttpConnection) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.ends_within_s = 0.0
        self._connection = connection
        self._parts: deque[bytes] = deque()
        self._buffered = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "complete" if self.complete else "arriving"
        return f"<HttpAnswer {self.status or 'no status yet'}, {state}, {self._buffered} bytes unread>"

    def header(self, name: bytes) -> bytes:
        """The first header of that name, or nothing."""
        return next((value for key, value in self.headers if key == name), b"")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """What has arrived of the body by now. Raises `UpstreamBroke` or `UpstreamTimeout` after the last of it."""
        while not self._parts:
            if self._error:
                raise self._error
            if self.complete:
                raise StopAsyncIteration
            await self._wait()
        chunk = self._parts.popleft()
        self._buffered -= len(chunk)
        if self._buffered < _LOW_WATER_BYTES:
            self._connection.go_on_reading()
        return chunk

    async def head_arrived(self) -> None:
        while not self.status:
            if self._error:
                raise self._error
            await self._wait()

    @property
    def unread_bytes(self) -> int:
        return self._buffered

    def add(self, chunk: bytes) -> None:
        self._parts.append(chunk)
        self._buffered += len(chunk)

    def fail(self, error: Exception) -> None:
        if not self.complete:
            self._error = self._error or error
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class HttpConnection(asyncio.Protocol):
    """`gone` is called once, when the connection has ended."""

    def __init__(self, origin: Origin, gone: Callable[[HttpConnection], None]) -> None:
        self.origin = origin
        self.peer = origin.peer
        self.idle_since = 0.0
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._answer: HttpAnswer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._exchanges = 0
        self._tell_end: Callable[[HttpConnection], None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def __repr__(self) -> str:
        return f"<HttpConnection to {self.peer}, {self._answer or 'idle'}>"

    async def exchange(self, head: bytes, request: HttpRequest) -> HttpAnswer:
        """Send a request, whose encoded `head` is given, and wait for the answer's head."""
        answer = self._answer = HttpAnswer(self)
        self._parser = httptools.HttpResponseParser(self)
        self._patience = request.patience
        self._repeatable = request.repeatable
        self._answer_has_body = request.answer_has_body
        self._exchanges += 1
        self._heard = False
        self._reusable = False
        self._until_close = True
        self._head_bytes = 0
        self._body_parts: list[bytes] = []
        self._unsent_bytes = 0
        self._active_at = self._loop.time()
        self._watch(request.patience.first_byte_s, first=True)
        self._sent = True
        body = request.body
        if not isinstance(body, bytes):
            self._transport.write(head)
            await self._send_pieces(body, answer)
        elif len(body) < _ONE_WRITE_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        await answer.head_arrived()
        return answer

    async def _send_pieces(self, body: ReplayableBody, answer: HttpAnswer) -> None:
        """Write no faster than the upstream reads, and no more of it once it has answered or gone."""
        self._sent = False
        async for chunk in body.chunks():
            if answer.status or self._transport.is_closing():
                return
            self._transport.write(chunk)
            self._active_at = self._loop.time()
            await self._may_write.wait()
        self._sent = True

    def ends_soon(self, tell: Callable[[HttpConnection], None]) -> bool:
        """Whether the end of an answer that nobody reads any more is waited for; `tell` is called when it has come."""
        answer = self._answer
        if answer is None or answer.complete or not answer.ends_within_s or self._transport.is_closing():
            return False
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(answer.ends_within_s, self.abort)
        self._tell_end = tell
        return True

    def release(self) -> bool:
        """The exchange is over. True if the connection can carry another; else it is closed now."""
        answer, self._answer = self._answer, None
        if self._timer:
            self._timer.cancel()
        clean = (
            answer is not None
            and answer.complete
            and self._reusable
            and self._sent
            and not self._transport.is_closing()
        )
        if clean and not self._transport.get_write_buffer_size():
            self.go_on_reading()
            self.idle_since = self._loop.time()
            return True
        self.abort()
        return False

    def abort(self) -> None:
        self._transport.abort()

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def go_on_reading(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._active_at = self._loop.time()
            self._transport.resume_reading()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.abort()  # an upstream has nothing to say unasked
            return
        self._heard = True
        self._active_at = self._loop.time()
        if not answer.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not answer.complete:
                self._fail(f"{self.peer} does not speak proper HTTP: {error}")
            self._reusable = False
        if self._head_bytes > _HEAD_LIMIT_BYTES and not answer.status:
            self._fail(f"{self.peer} sent more than {_HEAD_LIMIT_BYTES} bytes of headers")
        if self._body_parts:
            answer.add(self._body_parts[0] if len(self._body_parts) == 1 else b"".join(self._body_parts))
            self._body_parts = []
            if answer.unread_bytes > _HIGH_WATER_BYTES and not self._paused and not self._transport.is_closing():
                self._paused = True
                self._transport.pause_reading()
        answer.wake()
        if self._tell_end is not None and answer.complete:
            tell, self._tell_end = self._tell_end, None
            tell(self)

    def connection_lost(self, error: Exception | None) -> None:
        answer = self._answer
        self._tell_end = None
        self._may_write.set()
        if self._timer:
            self._timer.cancel()
        if answer is not None and not answer.complete:
            if answer.status and self._until_close and error is None:
                answer.complete = True
                answer.wake()
            elif not self._heard and self._exchanges > 1 and self._repeatable:
                answer.fail(Stale())
            elif not answer.status:
                self._fail(f"{self.peer} closed the connection without an answer")
            else:
                self._fail(f"{self.peer} broke off in the middle of its answer")
        self._gone(self)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # Called by the parser.

    def on_message_begin(self) -> None:
        if self._answer is not None and self._answer.complete:
            self._reusable = False  # more than was asked for
        self._header_list: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is None or self._answer.status:
            return  # a trailer
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._until_close = False
        self._header_list.append((name, value))

    def on_headers_complete(self) -> None:
        answer = self._answer
        status = self._parser.get_status_code()
        if answer is None or answer.status or 100 <= status < 200:
            return  # an interim answer: the true one follows
        answer.headers = self._header_list
        answer.status = status
        self._may_write.set()
        answer.complete = not self._answer_has_body

    def on_body(self, data: bytes) -> None:
        if self._answer is None or self._answer.complete:
            return
        if self._watching_first_byte:
            self._watch(self._patience.idle_s, first=False)
        self._body_parts.append(data)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is None or not answer.status:
            self._until_close = True
            return
        if not answer.complete:
            answer.complete = True
            self._reusable = bool(self._parser.should_keep_alive())

    # Silence.

    def _watch(self, limit_s: float | None, *, first: bool) -> None:
        if self._timer:
            self._timer.cancel()
        self._watching_first_byte = first
        self._timer = None if limit_s is None else self._loop.call_later(limit_s, self._silent, limit_s)

    def _silent(self, limit_s: float) -> None:
        """The limit has passed since the last look; give up if nothing moved in all of it."""
        answer = self._answer
        if answer is None or answer.complete:
            return
        unsent = self._transport.get_write_buffer_size()
        if self._paused or answer.unread_bytes or unsent < self._unsent_bytes:
            self._active_at = (
                self._loop.time()
            )  # it is not the upstream that we wait for, or it still takes the request
        self._unsent_bytes = unsent
        remaining_s = self._active_at + limit_s - self._loop.time()
        if remaining_s > 0.001:
            self._timer = self._loop.call_later(remaining_s, self._silent, limit_s)
            return
        answer.fail(UpstreamTimeout(f"{self.peer} sent nothing for {limit_s:g} s"))
        self.abort()

    def _fail(self, message: str) -> None:
        assert self._answer is not None
        error: RouterError = UpstreamBroke(message) if self._answer.status else UpstreamUnreachable(message)
        self._answer.fail(error)
        self.abort()
