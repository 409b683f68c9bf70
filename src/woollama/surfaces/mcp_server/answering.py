"""One request of a host of the handshake era over HTTP, answered in a task of its own.

The SDK's dispatcher takes a queue, a task group and a scope for each request, and cancels it again at every wait. It is
left the notifications and what the host says in answer to us.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any

import anyio
import mcp_types as types
from mcp.server.streamable_http import REQUEST_CANCELLED
from mcp.shared.dispatcher import CallOptions, OnRequest
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import (
    JSONRPCDispatcher,
    handler_exception_to_error_data,
    progress_token_from_params,
)
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.shared.transport_context import TransportContext

log = logging.getLogger("woollama.mcp")

CANCELLED = types.ErrorData(code=REQUEST_CANCELLED, message="Request cancelled")
"""In this era the stream of a request that the host has cancelled ends with an answer all the same."""
CLOSED = types.ErrorData(code=types.CONNECTION_CLOSED, message="Connection closed")


class Answering:
    """`dispatcher` asks the host what is to be asked, and `send` takes the answer.

    Implements `mcp.shared.dispatcher.DispatchContext`.
    """

    transport = TransportContext(kind="streamable-http", can_send_request=True)

    def __init__(
        self,
        message: types.JSONRPCRequest,
        metadata: ServerMessageMetadata,
        dispatcher: JSONRPCDispatcher[TransportContext],
        send: Callable[[SessionMessage], Awaitable[None]],
    ) -> None:
        self.request_id = message.id
        self.message_metadata = metadata
        self.can_send_request = True
        self._message = message
        self._dispatcher = dispatcher
        self._send = send
        self._task: asyncio.Task[None] | None = None
        self._is_cancelled = False

    def __repr__(self) -> str:
        return f"<Answering {self._message.method} {self.request_id!r}>"

    def begin(self, on_request: OnRequest) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._answer(on_request))
        return self._task

    def cancel(self) -> None:
        """The host wants no answer any more."""
        self._is_cancelled = True
        self.cancel_requested.set()
        if self._task is not None:  # once it has begun: a task that is cancelled before that does nothing at all
            asyncio.get_running_loop().call_soon(self._task.cancel)

    @cached_property
    def cancel_requested(self) -> anyio.Event:
        return anyio.Event()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        if not self.can_send_request:
            raise NoBackChannelError(method)
        # As the SDK's own context does it; it has no public word for whose stream a question belongs on.
        return await self._dispatcher.send_raw_request(method, params, opts, _related_request_id=self.request_id)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        if self.can_send_request:
            await self._dispatcher.notify(method, params, opts, _related_request_id=self.request_id)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if (token := progress_token_from_params(self._message.params)) is not None:
            said = {"progressToken": token, "progress": progress, "total": total, "message": message}
            await self.notify("notifications/progress", {name: each for name, each in said.items() if each is not None})

    async def _answer(self, on_request: OnRequest) -> None:
        answer: types.JSONRPCResponse | types.JSONRPCError
        try:
            outcome = await self._outcome(on_request)
        except asyncio.CancelledError:
            outcome = CLOSED
        self.can_send_request = False
        if self._is_cancelled:
            outcome = CANCELLED
        if isinstance(outcome, types.ErrorData):
            answer = types.JSONRPCError(jsonrpc="2.0", id=self.request_id, error=outcome)
        else:
            answer = types.JSONRPCResponse(jsonrpc="2.0", id=self.request_id, result=outcome)
        await self._send(SessionMessage(answer))

    async def _outcome(self, on_request: OnRequest) -> dict[str, Any] | types.ErrorData:
        try:
            return await on_request(self, self._message.method, self._message.params)
        except Exception as error:
            if (known := handler_exception_to_error_data(error)) is not None:
                return known
            log.exception("%s failed", self._message.method)
            return types.ErrorData(code=0, message=str(error))
