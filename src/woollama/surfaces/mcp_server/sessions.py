"""Hosts of the handshake era over Streamable HTTP: all their sessions, and what comes in and goes out for each."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import mcp_types as types
from mcp.server import Server
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types.version import is_version_at_least
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from woollama.domain.errors import ShuttingDown
from woollama.surfaces.bodies import Headers, read_body
from woollama.surfaces.mcp_server.session import FEED, FIRST_RESUMABLE, Session, stream_of
from woollama.surfaces.mcp_server.streams import send_events

SOON_S = 0.25
"""What has no answer by then is answered by a stream of events."""
PLAIN = "tools/call"
"""What hosts ask for often. All else is answered by a stream of events, as they have always been."""
MOST_SESSIONS = 10_000


class Sessions:
    """All hosts'. `close` ends them."""

    def __init__(self, sdk: Server[Any]) -> None:
        self._sdk = sdk
        self._sessions: dict[str, Session] = {}
        self._feeds_are_over = False

    def __repr__(self) -> str:
        return f"<Sessions {len(self._sessions)}>"

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        known = request.headers.get("mcp-session-id")
        session = self._sessions.get(known) if known is not None else None
        if known is not None and session is None:
            await _refuse(send, 404, "Session not found")
            return
        match scope["method"]:
            case "POST":
                await self._take(session, request, receive, send)
            case _ if session is None:
                await _refuse(send, 400, "Bad Request: Missing session ID")
            case "GET":
                await self._feed(session, request, receive, send)
            case _:
                await self._ended(session)
                await _send(send, 200, b"", session.headers)

    def end_feeds(self) -> None:
        self._feeds_are_over = True
        for session in self._sessions.values():
            session.end_feed()

    async def close(self) -> None:
        sessions = tuple(self._sessions.values())
        self._sessions.clear()
        await asyncio.gather(*(session.end() for session in sessions))

    async def _take(self, session: Session | None, request: Request, receive: Receive, send: Send) -> None:
        """One message of a host."""
        if not all(check_accept_headers(request)):
            what = "Not Acceptable: Client must accept both application/json and text/event-stream"
            await _refuse(send, 406, what)
            return
        try:
            message = types.jsonrpc_message_adapter.validate_json(await read_body(receive), by_name=False)
        except ValidationError as error:
            is_json = all(each["type"] != "json_invalid" for each in error.errors(include_input=False))
            what = "this is no message of JSON-RPC" if is_json else "Parse error"
            await _refuse(send, 400, what, types.INVALID_REQUEST if is_json else types.PARSE_ERROR)
            return
        begins = isinstance(message, types.JSONRPCRequest) and message.method == "initialize"
        if session is None:
            if not begins:
                await _refuse(send, 400, "Bad Request: Missing session ID")
                return
            if len(self._sessions) >= MOST_SESSIONS:
                await _refuse(send, 503, "Too many open sessions", types.INTERNAL_ERROR)
                return
            session = self._new()
        with session.in_use():
            if not isinstance(message, types.JSONRPCRequest):
                if isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled":
                    session.cancel(cancelled_request_id_from_params(message.params))
                session.inbox.put(SessionMessage(message, ServerMessageMetadata(request_context=request)))
                await _send(send, 202, b"", session.headers)
                return
            version = _version(request)
            if begins:
                version = str((message.params or {}).get("protocolVersion", version))
            await _answer(session, message, version, request, receive, send)

    def _new(self) -> Session:
        session = Session(self._sdk)
        self._sessions[session.id] = session
        session.when_over(partial(self._forget, session.id))
        return session

    def _forget(self, session: str) -> None:
        self._sessions.pop(session, None)

    async def _ended(self, session: Session) -> None:
        self._forget(session.id)
        await session.end()

    async def _feed(self, session: Session, request: Request, receive: Receive, send: Send) -> None:
        """What belongs to no request, which never ends by itself; or the rest of a stream that was lost."""
        if not check_accept_headers(request)[1]:
            await _refuse(send, 406, "Not Acceptable: Client must accept text/event-stream")
            return
        if self._feeds_are_over:
            raise ShuttingDown("woollama is shutting down")
        last_event, version = request.headers.get("last-event-id"), _version(request)
        if last_event is None and session.has_feed():
            await _refuse(send, 409, "Conflict: Only one SSE stream is allowed per session")
            return
        opened = session.open(FEED, version) if last_event is None else session.reopen(last_event, version)
        with session.in_use(), opened as stream:
            if stream is None:
                await _send(send, 200, b"", [(b"content-type", b"text/event-stream"), *session.headers])
            else:
                await send_events(stream, receive, send, session.headers)


async def _answer(
    session: Session, message: types.JSONRPCRequest, version: str, request: Request, receive: Receive, send: Send
) -> None:
    name = stream_of(message.id)
    polls = is_version_at_least(version, FIRST_RESUMABLE)
    metadata = ServerMessageMetadata(
        request_context=request,
        close_sse_stream=session.let_poll(name) if polls else None,
        close_standalone_sse_stream=session.let_poll(FEED) if polls else None,
    )
    with session.open(name, version) as stream:
        session.answer(message, metadata)
        if message.method != PLAIN:
            stream.begin()
        moment = asyncio.get_running_loop().call_later(SOON_S, stream.begin)
        try:
            await stream.settled()
        finally:
            moment.cancel()
        if stream.begun:
            await send_events(stream, receive, send, session.headers)
        elif (event := stream.take()) is not None and event.message is not None:
            body = event.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
            await _send(send, 200, body, session.headers)
        else:
            await _refuse(send, 404, "Session terminated")


def _version(request: Request) -> str:
    return request.headers.get("mcp-protocol-version", types.DEFAULT_NEGOTIATED_VERSION)


async def _refuse(send: Send, status: int, message: str, code: int = types.INVALID_REQUEST) -> None:
    error = types.JSONRPCError(jsonrpc="2.0", id=None, error=types.ErrorData(code=code, message=message))
    await _send(send, status, error.model_dump_json(by_alias=True, exclude_unset=True).encode())


async def _send(send: Send, status: int, body: bytes, headers: Headers = ()) -> None:
    about = [(b"content-type", b"application/json")] if body else []
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*about, *length, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
