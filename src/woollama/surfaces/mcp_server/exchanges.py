"""Hosts of the stateless era over Streamable HTTP: each request is a whole exchange of its own.

What the SDK does with a request is done here with the SDK's own parts, in the task that serves it: its transport needs
two tasks and a channel for every call. Whatever is not one plain request (a mistake, a notification, a stream of
changes) is given to that transport as it came.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Mapping
from functools import cached_property
from typing import Any, Self

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.runner import serve_one
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    InboundLadderRejection,
    InboundModernRoute,
    classify_inbound_request,
    find_duplicated_routing_header,
    validate_mcp_param_headers,
)
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data, progress_token_from_params
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from woollama.domain.wire_json import dumps
from woollama.surfaces.bodies import read_body, send_json
from woollama.surfaces.departure import Departure
from woollama.surfaces.mcp_server.streams import EVENT_STREAM, HEARTBEAT, HEARTBEAT_S

UNWATCHED_S = 0.05
"""Most calls are over by then; only after it is a host that leaves noticed."""
log = logging.getLogger("woollama.mcp")


class Exchanges:
    """`others` is the SDK's transport."""

    def __init__(self, sdk: Server[Any], others: ASGIApp) -> None:
        self._sdk = sdk
        self._others = others

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await self._others(scope, receive, send)
            return
        request, body = Request(scope), await read_body(receive)
        if (asked := self._plain(request, body)) is None:
            await self._others(scope, _again(body, receive), send)
            return
        message, route = asked
        connection = Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)
        with Reply(request, message, send) as reply:
            async with Departure(receive, unwatched_s=UNWATCHED_S):
                method, params = message.method, message.params
                work = serve_one(self._sdk, reply, method, params, connection=connection, lifespan_state={})
                await reply.end(await _outcome(method, work))

    def _plain(self, request: Request, body: bytes) -> tuple[types.JSONRPCRequest, InboundModernRoute] | None:
        """A request that nothing is wrong with, and where its envelope says that it belongs."""
        try:
            read = json.loads(body)
            message = types.JSONRPCRequest.model_validate(read)
        except (ValueError, RecursionError):
            return None
        if message.method == "subscriptions/listen" or not all(check_accept_headers(request)):
            return None
        if find_duplicated_routing_header(request.headers.items()) is not None:
            return None
        route = classify_inbound_request(read, headers=dict(request.headers))
        if isinstance(route, InboundLadderRejection) or not self._repeats_headers(request, message):
            return None
        return message, route

    def _repeats_headers(self, request: Request, message: types.JSONRPCRequest) -> bool:
        """Whether the arguments that a tool wants as headers, too, are there as such."""
        params = message.params or {}
        name, arguments, schema_of = params.get("name"), params.get("arguments"), self._sdk.get_tool_input_schema
        if message.method != "tools/call" or not isinstance(name, str) or schema_of is None:
            return True
        if not isinstance(arguments, Mapping | None) or (schema := schema_of(name)) is None:
            return True
        return validate_mcp_param_headers(schema, arguments or {}, request.headers) is None


class Reply:
    """The answer to one request, and what the SDK knows of it: plain JSON, or events once anything is said before it.

    Implements `mcp.shared.dispatcher.DispatchContext`.
    """

    can_send_request = False

    def __init__(self, request: Request, message: types.JSONRPCRequest, send: Send) -> None:
        self.transport = TransportContext(kind="streamable-http", can_send_request=False, headers=request.headers)
        self.request_id = message.id
        self.message_metadata = ServerMessageMetadata(request_context=request)
        self._progress_token = progress_token_from_params(message.params)
        self._send = send
        self._in_turn = asyncio.Lock()
        self._begun = self._over = False
        self._heart: asyncio.Task[None] | None = None
        self._silence = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._begin_to_beat)

    def __repr__(self) -> str:
        return f"<Reply {self.request_id!r} {'of events' if self._begun else 'not begun'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._silence.cancel()
        if self._heart is not None:
            self._heart.cancel()

    @cached_property
    def cancel_requested(self) -> anyio.Event:
        """Never set: a host of this era cancels by leaving."""
        return anyio.Event()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        said = {"jsonrpc": "2.0", "method": method, **({"params": dict(params)} if params is not None else {})}
        await self._write(_frame(said))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self._progress_token is not None:
            said = {"progressToken": self._progress_token, "progress": progress, "total": total, "message": message}
            await self.notify("notifications/progress", {name: each for name, each in said.items() if each is not None})

    async def end(self, outcome: Mapping[str, Any] | types.ErrorData) -> None:
        status = 200
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": self.request_id}
        if isinstance(outcome, types.ErrorData):
            status = ERROR_CODE_HTTP_STATUS.get(outcome.code, 200)
            answer["error"] = outcome.model_dump(by_alias=True, mode="json", exclude_none=True)
        else:
            answer["result"] = outcome
        async with self._in_turn:
            self._over = True
            if self._begun:
                await self._send({"type": "http.response.body", "body": _frame(answer), "more_body": False})
            else:
                await send_json(self._send, status, answer)

    async def _write(self, frame: bytes) -> None:
        async with self._in_turn:
            if self._over:
                return  # said too late
            if not self._begun:
                self._begun = True
                await self._send({"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM]})
            await self._send({"type": "http.response.body", "body": frame, "more_body": True})

    def _begin_to_beat(self) -> None:
        self._heart = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await self._write(HEARTBEAT)
            await asyncio.sleep(HEARTBEAT_S)


async def _outcome(method: str, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any] | types.ErrorData:
    try:
        return await work
    except Exception as error:
        if (known := handler_exception_to_error_data(error)) is not None:
            return known
        log.exception("%s failed", method)
        return types.ErrorData(code=types.INTERNAL_ERROR, message="Internal server error")


def _frame(message: Mapping[str, Any]) -> bytes:
    return b"event: message\r\ndata: " + dumps(message) + b"\r\n\r\n"


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that has been read already."""
    unread = [body]

    async def received() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return received
