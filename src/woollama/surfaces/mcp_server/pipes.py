"""Pipes: the stdio transport over the unix socket, for `woollama mcp`.

`GET /mcp/pipe` is one connection of a host, for as long as it is open: a first line `{"pipe": ID}`, then every message
to the host as a line. `POST /mcp/pipe/ID` brings one message from it. So `woollama mcp` need not know MCP, and whoever
of the two ends first, the other notices at once.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server import Server
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from woollama.domain.errors import BadRequest, Forbidden, Gone
from woollama.surfaces.bodies import read_body
from woollama.surfaces.departure import Departure

WAITING_MESSAGES = 16
Incoming = MemoryObjectSendStream[SessionMessage | Exception]


class Pipes:
    """`over` is set when pipes are to end."""

    def __init__(self, server: Server[Any], over: asyncio.Event) -> None:
        self._server = server
        self._over = over
        self._pipes: dict[str, tuple[Incoming, Request]] = {}

    def __repr__(self) -> str:
        return f"<Pipes {len(self._pipes)} open>"

    async def open(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["state"]["caller"].via != "unix":
            raise Forbidden("pipes are for the unix socket; over TCP there is /mcp")
        pipe = secrets.token_urlsafe(16)
        incoming, read = anyio.create_memory_object_stream[SessionMessage | Exception](WAITING_MESSAGES)
        write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        self._pipes[pipe] = (incoming, Request(scope))
        headers = [(b"content-type", b"application/x-ndjson")]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await _send_line(send, json.dumps({"pipe": pipe}))
            async with Departure(receive):
                await self._serve(read, write, outgoing, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            del self._pipes[pipe]
            for stream in (incoming, read, write, outgoing):
                stream.close()

    async def take(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes one message; answered when it is on its way, not when it has been answered."""
        raw = await read_body(receive)
        incoming, opened = self._pipes.get(scope["path_params"]["pipe"], (None, None))
        if incoming is None:
            raise Gone("this pipe is closed")
        try:
            message = types.jsonrpc_message_adapter.validate_json(raw, by_name=False)
        except ValidationError:
            raise BadRequest("this is no message of JSON-RPC") from None
        await incoming.send(SessionMessage(message, ServerMessageMetadata(request_context=opened)))
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _serve(
        self,
        read: MemoryObjectReceiveStream[SessionMessage | Exception],
        write: MemoryObjectSendStream[SessionMessage],
        outgoing: MemoryObjectReceiveStream[SessionMessage],
        send: Send,
    ) -> None:
        options = self._server.create_initialization_options()
        tasks = [
            asyncio.create_task(self._server.run(read, write, options)),
            asyncio.create_task(_write_lines(outgoing, send)),
            asyncio.create_task(self._over.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _write_lines(outgoing: MemoryObjectReceiveStream[SessionMessage], send: Send) -> None:
    async for each in outgoing:
        await _send_line(send, each.message.model_dump_json(by_alias=True, exclude_unset=True))


async def _send_line(send: Send, line: str) -> None:
    await send({"type": "http.response.body", "body": line.encode() + b"\n", "more_body": True})
