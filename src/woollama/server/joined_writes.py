"""A transport that sends what belongs together at once."""

from __future__ import annotations

import asyncio
from typing import Any

MOST_HELD_BYTES = 64 * 2**10


class JoinedWrites:
    """What is written in one turn of the event loop goes out as one, at the end of it or with `flush`.

    uvicorn writes the head and the body of an answer one after the other, and each would be a system call, a packet,
    and a client that wakes up. Everything else is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0

    def __repr__(self) -> str:
        return f"<JoinedWrites {self._held_bytes} bytes for {self._transport!r}>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > MOST_HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._held:
            held = b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
            self._transport.write(held)

    def close(self) -> None:
        self.flush()
        self._transport.close()
