"""A body of lines (NDJSON) cut at its line ends, wherever the network cut it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Self

from woollama.domain.errors import UpstreamBroke
from woollama.http.frames import FRAME_LIMIT_BYTES


class Lines:
    """The lines of a body without their ends; empty ones are passed over. What follows the last line end is a line too.

    No async generator, because leaving one halfway leaves it, and what it reads from, to the garbage collector.
    """

    def __init__(self, chunks: AsyncIterator[bytes], limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        self._chunks = chunks
        self._limit_bytes = limit_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._ready: deque[bytes] = deque()
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Raises `UpstreamBroke` when a line grows beyond the limit."""
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            try:
                self._take(await anext(self._chunks))
            except StopAsyncIteration:
                self._ended = True
                self._take(b"\n")
        return self._ready.popleft()

    def _take(self, chunk: bytes) -> None:
        first, *others = chunk.split(b"\n")
        self._held.append(first)
        self._held_bytes += len(first)
        if others:
            *whole, rest = (b"".join(self._held), *others)
            self._ready += (line for each in whole if (line := each.strip()))
            self._held, self._held_bytes = [rest], len(rest)
        if self._held_bytes > self._limit_bytes:
            raise UpstreamBroke(f"the upstream sent a line of more than {self._limit_bytes} bytes")


class WholeLines(Lines):
    """The same lines, each with its end."""

    async def __anext__(self) -> bytes:
        return await super().__anext__() + b"\n"
