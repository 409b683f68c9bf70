"""MCP over Streamable HTTP: each request is a POST, which its caller makes and whose answer its caller reads.

Whatever goes wrong with a request fails that request and not the session. Beside the requests of a session of the
handshake era there is a stream on which its server says what belongs to none of them.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.shared.dispatcher import CallOptions
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from woollama.domain.errors import RouterError
from woollama.domain.peers import Host
from woollama.http.answer_bodies import read_out, read_whole
from woollama.http.connection import HttpAnswer
from woollama.http.content_coding import decoded
from woollama.http.request import HttpRequest
from woollama.toolservers.authorised import AuthorisedWire, LoginNeeded
from woollama.toolservers.dispatching import SESSION_CLOSED, Declare, Dispatching, Waiting, cancelled
from woollama.toolservers.events import Events
from woollama.toolservers.logins import LoginFile
from woollama.toolservers.losses import BROKEN, UNSENT, WANTS_LOGIN
from woollama.toolservers.messages import Message, NotAMessage, encoded, message_of
from woollama.toolservers.spec import ServerSpec
from woollama.toolservers.wire import UNTIL_ANSWERED, UNTIL_TAKEN, Failed, Wire, status_line

log = logging.getLogger(__name__)

SESSION_HEADER = "mcp-session-id"
LAST_EVENT_HEADER = "last-event-id"
POST_HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
EVENTS = "text/event-stream"
FAREWELL_TIMEOUT_S = 3.0
HEARS_WITHIN_S = 0.5
"""From the beginning of a session; some servers send nothing of a stream before there is something on it."""
COME_BACK_AFTER_S = 1.0
"""Where a server does not say after which time."""
LONGEST_PAUSE_S = 60.0
ENDS_WITHIN_S = 0.25
"""The end of a stream comes a moment after its answer; some servers never end it."""
MOST_FAILURES = 2
"""In a row, to come back for an answer."""


@asynccontextmanager
async def over_http(
    spec: ServerSpec,
    declare: Declare,
    *,
    lose: Callable[[str], None],
    junk: Callable[[NotAMessage], None],
    sender: Callable[[], Host | None],
    in_call: Callable[[], bool],
    login: LoginFile | None = None,
) -> AsyncIterator[Dispatching]:
    """What a session with a server's address goes over. `lose` is told why, when the server cannot be reached or forgot
    us, and `junk` what comes that is no message.

    `sender` tells for which host a request is made, and `in_call` whether for anybody, in the task that makes it.
    """
    wire = wire_of(spec, login)
    posts = _Posts(wire, declare, lose, junk, sender, in_call)
    try:
        yield posts
    finally:
        with anyio.CancelScope(shield=True):
            await posts.farewell()
            await wire.aclose()


def wire_of(spec: ServerSpec, login: LoginFile | None) -> Wire:
    return Wire(spec) if login is None or spec.public_only else AuthorisedWire(spec, login)


class _Posts(Dispatching):
    def __init__(
        self,
        wire: Wire,
        declare: Declare,
        lose: Callable[[str], None],
        junk: Callable[[NotAMessage], None],
        sender: Callable[[], Host | None],
        in_call: Callable[[], bool],
    ) -> None:
        super().__init__(declare)
        self._wire = wire
        self._lose = lose
        self._junk = junk
        self._sender = sender
        self._in_call = in_call
        self._version = ""
        self._session_id = ""

    async def farewell(self) -> None:
        if self._session_id:
            with suppress(TimeoutError, Failed, RouterError):
                async with asyncio.timeout(FAREWELL_TIMEOUT_S):
                    async with self._wire.exchange(self._wire.request("DELETE", self._about_session())) as answer:
                        await read_out(answer)

    async def _receive(self) -> None:
        """What comes unasked comes on a stream that is opened later, or not at all."""
        await asyncio.Event().wait()

    async def _send(self, message: Message, waiting: Waiting | None, opts: CallOptions) -> None:
        method = message.get("method")
        if method == "initialize":
            self._version = ""  # that of a question before the handshake
        headers = {**POST_HEADERS, **self._about_session(), **opts.get("headers", {})}
        self._version = headers.get(MCP_PROTOCOL_VERSION_HEADER, "")
        patience = UNTIL_TAKEN if waiting is None else UNTIL_ANSWERED
        body, repeatable = encoded(message), method != "tools/call"
        request = self._wire.request("POST", headers, body, patience=patience, repeatable=repeatable)
        stream = _Stream()
        try:
            async with self._wire.exchange(request) as answer:
                if answer.status >= 300:
                    await self._refused(answer)
                elif waiting is None:
                    await read_out(answer)
                else:
                    if method == "initialize":
                        self._session_id = answer.header(SESSION_HEADER.encode()).decode("latin-1")
                    await self._take_answer(answer, waiting, stream)
        except (Failed, RouterError) as error:
            self._failed(error)
        if method == "notifications/initialized" and self._session_id:
            opened = asyncio.Event()
            self.later(self._hear_unasked(opened), contextvars.Context())
            with suppress(TimeoutError):  # what a first call makes a server ask may come on that stream
                await asyncio.wait_for(opened.wait(), HEARS_WITHIN_S)
        if waiting is not None and not waiting.is_answered:
            await self._come_back(stream, waiting)

    def _cancel(self, request_id: types.RequestId, why: str) -> None:
        """In the modern era it is enough to leave."""
        if self._version not in MODERN_PROTOCOL_VERSIONS:
            message = cancelled(request_id, why)
            self.later(self.notify(message["method"], message["params"]))

    def _about_session(self) -> dict[str, str]:
        said = {SESSION_HEADER: self._session_id, MCP_PROTOCOL_VERSION_HEADER: self._version}
        return {name: value for name, value in said.items() if value}

    async def _take_answer(self, answer: HttpAnswer, waiting: Waiting, stream: _Stream) -> None:
        if answer.status in (202, 204):
            raise MCPError(types.INVALID_REQUEST, f"the server will not answer that: HTTP {status_line(answer.status)}")
        kind = answer.header(b"content-type").decode("latin-1").lower()
        if kind.startswith(EVENTS):
            await self._follow(answer, waiting, stream)
            if waiting.is_answered:
                answer.ends_within_s = ENDS_WITHIN_S
            return
        if not kind.startswith("application/json"):
            raise MCPError(
                types.INVALID_REQUEST,
                f"the server answers with {kind or 'nothing'}, which is no message of the protocol",
            )
        try:
            message = message_of(await read_whole(body_of(answer), "the server"))
        except NotAMessage as error:
            raise MCPError(types.PARSE_ERROR, f"the server's answer is no message of the protocol: {error}") from error
        self.take(message, waiting)

    async def _follow(self, answer: HttpAnswer, waiting: Waiting | None, stream: _Stream) -> None:
        """Takes the messages of a stream, until its end or until `waiting` has its answer."""
        try:
            async for event in Events(body_of(answer)):
                stream.last_id = event.id or stream.last_id
                stream.pause_s = stream.pause_s if event.retry_s is None else event.retry_s
                if event.name == "message" and event.data:
                    self._take_text(event.data, waiting)
                if waiting is not None and waiting.is_answered:
                    return
        except RouterError as error:
            stream.why = f"its stream of events broke: {error.message}"

    def _take_text(self, text: bytes, waiting: Waiting | None) -> None:
        try:
            self.take(message_of(text), waiting)
        except NotAMessage as error:
            self._junk(error)

    async def _come_back(self, stream: _Stream, waiting: Waiting) -> None:
        """For the answer to a request whose stream has ended, as servers do that would be polled."""
        if (host := self._sender()) is not None and host.stream_ended is not None:
            await host.stream_ended()
        failures = 0
        while stream.last_id and failures < MOST_FAILURES:
            await asyncio.sleep(stream.pause_s)
            failures += 1
            with suppress(Failed, RouterError):
                async with self._wire.exchange(self._coming_back(stream)) as answer:
                    if is_stream(answer):
                        failures = 0
                        await self._follow(answer, waiting, stream)
            if waiting.is_answered:
                return
        raise MCPError(types.CONNECTION_CLOSED, stream.why, BROKEN)

    async def _hear_unasked(self, opened: asyncio.Event) -> None:
        """The stream of what belongs to no request, for as long as the session lasts. `opened`: or there is none."""
        stream, failures = _Stream(), 0
        while True:
            failures += 1
            try:
                async with self._wire.exchange(self._coming_back(stream)) as answer:
                    opened.set()
                    if is_stream(answer):
                        failures = 0
                        await self._follow(answer, None, stream)
                    elif answer.status < 500:
                        if forgot_session(answer.status, await read_whole(body_of(answer), "the server")):
                            self._lose("it forgot our session")
                        return None
            except LoginNeeded as error:
                if error.is_over:
                    self._lose(str(error))
                return None
            except Failed as error:
                if error.unsent:
                    return self._lose(str(error))
            except RouterError:
                pass  # it is the end of the stream, and no more
            opened.set()
            await asyncio.sleep(min(stream.pause_s * 2**failures, LONGEST_PAUSE_S))

    def _coming_back(self, stream: _Stream) -> HttpRequest:
        last = {LAST_EVENT_HEADER: stream.last_id} if stream.last_id else {}
        return self._wire.request("GET", {"accept": EVENTS, **last, **self._about_session()})

    def _end(self) -> None:
        self._wire.abort()  # whoever reads an answer of it reads no further

    def _failed(self, error: Failed | RouterError) -> NoReturn:
        if self._closed:
            raise MCPError(types.CONNECTION_CLOSED, SESSION_CLOSED) from error
        if isinstance(error, LoginNeeded) and not error.is_over and self._in_call():
            raise MCPError(types.CONNECTION_CLOSED, refusal(error), WANTS_LOGIN) from error
        unsent = isinstance(error, Failed) and error.unsent
        if unsent:
            self._lose(str(error))
        raise MCPError(types.CONNECTION_CLOSED, str(error), UNSENT if unsent else BROKEN) from error

    async def _refused(self, answer: HttpAnswer) -> NoReturn:
        if answer.status < 400:
            where = answer.header(b"location").decode("latin-1") or "elsewhere"
            raise MCPError(types.INVALID_REQUEST, f"the server redirects to {where}: write that address")
        body = await read_whole(body_of(answer), "the server")
        if self._session_id and forgot_session(answer.status, body):
            self._lose("it forgot our session")
            raise MCPError(types.CONNECTION_CLOSED, "the server forgot our session", UNSENT)
        with suppress(NotAMessage):
            if (error := message_of(body).get("error")) is not None:
                raise MCPError(error["code"], error["message"], error.get("data"))
        raise MCPError(types.CONNECTION_CLOSED, refused_as(answer.status))


@dataclass(slots=True)
class _Stream:
    """How far a stream of events came, and after which time one may come back for the rest."""

    last_id: str = ""
    pause_s: float = COME_BACK_AFTER_S
    why: str = "its stream of events ended without an answer"


def body_of(answer: HttpAnswer) -> AsyncIterator[bytes]:
    return decoded(answer, answer.header(b"content-encoding"))


def is_stream(answer: HttpAnswer) -> bool:
    return answer.status == 200 and answer.header(b"content-type").lower().startswith(EVENTS.encode())


def refusal(error: LoginNeeded) -> str:
    """What is said of a call that alone lacks a login, or more of it, while others go on; and once to the owner."""
    if error.is_news:
        log.warning("%s: %s", error.server, error)
    return f"not done: server {error.server!r} needs its owner's login for that ({error})"


def refused_as(status: int) -> str:
    return f"HTTP {status_line(status)}{' (it needs a login)' if status in (401, 403) else ''}"


def forgot_session(status: int, body: bytes) -> bool:
    """404 by the specification; many servers say 400 and "No valid session ID"."""
    return status == 404 or (status == 400 and b"session" in body.lower())
