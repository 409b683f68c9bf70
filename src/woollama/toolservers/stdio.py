"""MCP over the pipes of a child process: one JSON object a line.

The SDK's own transport spawns by itself, which leaves behind whatever its child started, and reads lines of any length.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import CONNECTION_CLOSED, JSONRPCRequest, jsonrpc_message_adapter

from woollama.domain.ports import Child
from woollama.toolservers.losses import UNSENT

Inbound = SessionMessage | Exception

CHUNK_BYTES = 1 << 18
MAX_LINE_BYTES = 64 << 20
WAITING_MESSAGES = 16
ENDING_KNOWN_S = 0.2
SHOWN_CHARS = 200


class NotAMessage(Exception):
    """A line that is no JSON-RPC message: something printed to stdout. The session goes on without it."""

    def __init__(self, line: bytes) -> None:
        super().__init__(repr(line[:SHOWN_CHARS].decode(errors="replace")))


class Outbox:
    """Where the session sends. The line is in the pipe, or in the buffer before it, when `send` returns."""

    def __init__(self, child: Child, lose: Callable[[str], None]) -> None:
        self._child = child
        self._lose = lose

    async def send(self, item: SessionMessage, /) -> None:
        writer = self._child.writer
        if writer is None or writer.is_closing() or self._child.closed.is_set():
            if isinstance(item.message, JSONRPCRequest):
                ending = await _ending(self._child, "has closed its input")
                raise MCPError(CONNECTION_CLOSED, f"its server {ending}", UNSENT)
            raise anyio.ClosedResourceError
        writer.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
        try:
            await writer.drain()
        except ConnectionError as error:
            self._lose(await _ending(self._child, "closed its input"))
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """The pipe closes with the child."""

    async def __aenter__(self) -> Outbox:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


@asynccontextmanager
async def stdio_streams(
    child: Child, lose: Callable[[str], None], max_line_bytes: int = MAX_LINE_BYTES
) -> AsyncIterator[tuple[MemoryObjectReceiveStream[Inbound], Outbox]]:
    """The streams of a child that was spawned with pipes, as `Client(server=…)` takes them; leaving stops the child.

    `lose` is told why, when nothing will come any more.
    """
    inbox, messages = anyio.create_memory_object_stream[Inbound](WAITING_MESSAGES)
    reading = asyncio.create_task(_read(child, inbox, lose, max_line_bytes))
    try:
        yield messages, Outbox(child, lose)
    finally:
        with anyio.CancelScope(shield=True):
            reading.cancel()
            await child.stop()
            await asyncio.wait({reading})
        messages.close()


async def _read(
    child: Child, inbox: MemoryObjectSendStream[Inbound], lose: Callable[[str], None], max_line_bytes: int
) -> None:
    assert child.reader is not None
    async with inbox:
        rest = bytearray()
        while chunk := await child.reader.read(CHUNK_BYTES):
            rest += chunk
            if b"\n" in chunk:
                *lines, last = bytes(rest).split(b"\n")
                rest = bytearray(last)
                for line in filter(bytes.strip, lines):
                    await inbox.send(message_of(line))
            if len(rest) > max_line_bytes:
                lose(f"sent a line longer than {max_line_bytes} bytes")
                return
        lose(await _ending(child, "closed its output"))


async def _ending(child: Child, seen: str) -> str:
    """The end of a pipe comes a moment before we know how the process ended, and that says more."""
    with anyio.move_on_after(ENDING_KNOWN_S):
        await child.closed.wait()
    return child.ending if child.closed.is_set() else seen


def message_of(line: bytes) -> Inbound:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        pass
    try:
        # Half an emoji (a lone surrogate) or bytes that are no UTF-8 would cost the whole answer; they are replaced.
        sound = json.dumps(json.loads(line.decode(errors="replace")), ensure_ascii=False)
        return SessionMessage(jsonrpc_message_adapter.validate_json(sound.encode(errors="replace"), by_name=False))
    except (ValueError, RecursionError):
        return NotAMessage(line)
