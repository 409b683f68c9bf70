"""MCP over the pipes of a child process: one JSON object a line.

The SDK's own transport spawns by itself, which leaves behind whatever its child started, and reads lines of any length.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from mcp import MCPError
from mcp.shared.dispatcher import CallOptions
from mcp_types import CONNECTION_CLOSED, RequestId

from woollama.domain.ports import Child
from woollama.toolservers.dispatching import SESSION_CLOSED, Declare, Dispatching, Waiting, cancelled
from woollama.toolservers.losses import UNSENT
from woollama.toolservers.messages import Message, NotAMessage, encoded, message_of

CHUNK_BYTES = 1 << 18
MAX_LINE_BYTES = 64 << 20
ENDING_KNOWN_S = 0.2


@asynccontextmanager
async def over_pipes(
    child: Child,
    declare: Declare,
    *,
    lose: Callable[[str], None],
    junk: Callable[[NotAMessage], None],
    max_line_bytes: int = MAX_LINE_BYTES,
) -> AsyncIterator[Dispatching]:
    """What a session with a child goes over that was spawned with pipes; leaving stops the child.

    `lose` is told why, when nothing will come any more, and `junk` what comes that is no message.
    """
    try:
        yield _Pipes(child, declare, lose, junk, max_line_bytes)
    finally:
        with anyio.CancelScope(shield=True):
            await child.stop()


class _Pipes(Dispatching):
    def __init__(
        self,
        child: Child,
        declare: Declare,
        lose: Callable[[str], None],
        junk: Callable[[NotAMessage], None],
        max_line_bytes: int,
    ) -> None:
        super().__init__(declare)
        self._child = child
        self._lose = lose
        self._junk = junk
        self._max_line_bytes = max_line_bytes

    async def _send(self, message: Message, waiting: Waiting | None, opts: CallOptions) -> None:
        """The line is in the pipe, or in the buffer before it."""
        writer = self._child.writer
        if writer is None or writer.is_closing() or self._child.closed.is_set():
            raise MCPError(CONNECTION_CLOSED, f"its server {await self._ending('has closed its input')}", UNSENT)
        writer.write(encoded(message) + b"\n")
        try:
            await writer.drain()
        except ConnectionError as error:
            self._lose(await self._ending("closed its input"))
            raise MCPError(CONNECTION_CLOSED, SESSION_CLOSED) from error

    def _cancel(self, request_id: RequestId, why: str) -> None:
        writer = self._child.writer
        if writer is not None and not writer.is_closing():
            writer.write(encoded(cancelled(request_id, why)) + b"\n")

    async def _receive(self) -> None:
        assert self._child.reader is not None
        rest = bytearray()
        while chunk := await self._child.reader.read(CHUNK_BYTES):
            rest += chunk
            if b"\n" in chunk:
                *lines, last = bytes(rest).split(b"\n")
                rest = bytearray(last)
                for line in filter(bytes.strip, lines):
                    self._take_line(line)
            if len(rest) > self._max_line_bytes:
                self._lose(f"sent a line longer than {self._max_line_bytes} bytes")
                return
        self._lose(await self._ending("closed its output"))

    def _take_line(self, line: bytes) -> None:
        try:
            self.take(message_of(line))
        except NotAMessage as error:
            self._junk(error)

    async def _ending(self, seen: str) -> str:
        """The end of a pipe comes a moment before we know how the process ended, and that says more."""
        with anyio.move_on_after(ENDING_KNOWN_S):
            await self._child.closed.wait()
        return self._child.ending if self._child.closed.is_set() else seen
