"""MCP over HTTP with server-sent events: the transport of 2024, which many servers still have as their only one.

The server answers everything on one stream of events; its first event says where requests are posted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urljoin, urlsplit

import anyio
from mcp import MCPError
from mcp.shared.dispatcher import CallOptions
from mcp_types import CONNECTION_CLOSED, RequestId

from woollama.domain.errors import RouterError
from woollama.http.answer_bodies import read_whole
from woollama.http.connection import HttpAnswer
from woollama.http.request import split_url
from woollama.toolservers.authorised import LoginNeeded
from woollama.toolservers.dispatching import SESSION_CLOSED, Declare, Dispatching, Waiting, cancelled
from woollama.toolservers.events import Events
from woollama.toolservers.logins import LoginFile
from woollama.toolservers.losses import BROKEN, UNSENT, WANTS_LOGIN
from woollama.toolservers.messages import Message, NotAMessage, encoded, message_of
from woollama.toolservers.spec import ServerSpec
from woollama.toolservers.streamable_http import (
    EVENTS,
    body_of,
    forgot_session,
    is_stream,
    refusal,
    refused_as,
    wire_of,
)
from woollama.toolservers.wire import UNTIL_TAKEN, Failed, Wire


class Refused(Exception):
    """There is no such server at the address."""


@asynccontextmanager
async def over_sse(
    spec: ServerSpec,
    declare: Declare,
    *,
    lose: Callable[[str], None],
    junk: Callable[[NotAMessage], None],
    in_call: Callable[[], bool],
    login: LoginFile | None = None,
) -> AsyncIterator[Dispatching]:
    """What a session with a server's address goes over. `lose` is told why, when nothing will come any more, and `junk`
    what comes that is no message.

    `in_call` tells whether a request is made for anybody, in the task that makes it.

    Raises `Refused` where nobody answers, or not as such a server does.
    """
    wire = wire_of(spec, login)
    try:
        async with wire.exchange(wire.request("GET", {"accept": EVENTS})) as answer:
            _require_stream(answer)
            events = Events(body_of(answer))
            target = await _target(events, wire, spec.url or "")
            yield _Sse(wire, events, target, declare, lose, junk, in_call)
    except Failed as error:
        if isinstance(error, LoginNeeded):
            lose(str(error))
        raise Refused(str(error)) from error
    finally:
        with anyio.CancelScope(shield=True):
            await wire.aclose()


class _Sse(Dispatching):
    def __init__(
        self,
        wire: Wire,
        events: Events,
        target: str,
        declare: Declare,
        lose: Callable[[str], None],
        junk: Callable[[NotAMessage], None],
        in_call: Callable[[], bool],
    ) -> None:
        super().__init__(declare)
        self._wire = wire
        self._events = events
        self._target = target
        self._lose = lose
        self._junk = junk
        self._in_call = in_call

    async def _send(self, message: Message, waiting: Waiting | None, opts: CallOptions) -> None:
        """Each message is a POST of its own."""
        request = self._wire.request(
            "POST",
            {"content-type": "application/json"},
            encoded(message),
            patience=UNTIL_TAKEN,
            target=self._target,
            repeatable=message.get("method") != "tools/call",
        )
        try:
            async with self._wire.exchange(request) as answer:
                status, body = answer.status, await read_whole(body_of(answer), "the server")
        except (Failed, RouterError) as error:
            if self._closed:
                raise MCPError(CONNECTION_CLOSED, SESSION_CLOSED) from error
            if isinstance(error, LoginNeeded) and not error.is_over and self._in_call():
                raise MCPError(CONNECTION_CLOSED, refusal(error), WANTS_LOGIN) from error
            self._lose(str(error))
            unsent = isinstance(error, Failed) and error.unsent
            raise MCPError(CONNECTION_CLOSED, str(error), UNSENT if unsent else BROKEN) from error
        if forgot_session(status, body):
            self._lose("it forgot our session")
            raise MCPError(CONNECTION_CLOSED, "the server forgot our session", UNSENT)
        if status >= 300:
            raise MCPError(CONNECTION_CLOSED, refused_as(status))

    def _cancel(self, request_id: RequestId, why: str) -> None:
        message = cancelled(request_id, why)
        self.later(self.notify(message["method"], message["params"]))

    async def _receive(self) -> None:
        why = "its stream of events ended"
        try:
            async for event in self._events:
                if event.name == "message" and event.data:
                    try:
                        self.take(message_of(event.data))
                    except NotAMessage as error:
                        self._junk(error)
        except RouterError as error:
            why = f"its stream of events broke: {error.message}"
        self._lose(why)


def _require_stream(answer: HttpAnswer) -> None:
    if 300 <= answer.status < 400:
        where = answer.header(b"location").decode("latin-1") or "elsewhere"
        raise Refused(f"it redirects to {where}: write that address")
    if answer.status >= 400:
        raise Refused(refused_as(answer.status))
    if not is_stream(answer):
        raise Refused("it answers with no stream of events, so it is no SSE server")


async def _target(events: Events, wire: Wire, url: str) -> str:
    """Where requests go. Elsewhere than where the stream comes from, our headers would be carried to strangers."""
    try:
        async for event in events:
            if event.name == "endpoint":
                address = urljoin(url, event.data.decode(errors="replace"))
                origin, target = split_url(address)
                if origin != wire.origin:
                    raise Refused(f"it wants requests sent to another server, {urlsplit(address).hostname}")
                return target
    except (RouterError, ValueError) as error:
        raise Refused(f"its stream did not say where requests go: {error}") from error
    raise Refused("its stream ended before it said where requests go")
