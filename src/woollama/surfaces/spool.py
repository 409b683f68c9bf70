"""Uploads: kept whole so that they can be sent again, in memory while they are small and on disk when they are not."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

from woollama.domain.errors import Backpressure

IN_MEMORY_BYTES = 2**20
PIECE_BYTES = 64 * 2**10


class Spool:
    """`async with Spool() as spool:`. The file has no name, or one that is gone at once, and only we can open it."""

    def __init__(self, in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self._limit_bytes = in_memory_bytes
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self.size_bytes = 0

    def __repr__(self) -> str:
        return f"<Spool of {self.size_bytes} bytes {'on disk' if self.on_disk else 'in memory'}>"

    @property
    def on_disk(self) -> bool:
        return self._file is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    async def write(self, chunk: bytes) -> None:
        """Raises `Backpressure` when the disk takes no more."""
        self.size_bytes += len(chunk)
        if self._file is None:
            self._memory += chunk
            if self.size_bytes <= self._limit_bytes:
                return
            chunk = bytes(self._memory)
            self._memory.clear()
        try:
            await asyncio.to_thread(self._write, chunk)
        except OSError as error:
            raise Backpressure(f"the upload cannot be kept: {error.strerror or error}") from error

    async def read(self, begin: int, end: int) -> bytes:
        if self._file is None:
            return bytes(self._memory[begin:end])
        return await asyncio.to_thread(os.pread, self._file.fileno(), end - begin, begin)

    def _write(self, chunk: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0, prefix="woollama-")  # noqa: SIM115  (closed on the way out)
        left = memoryview(chunk)
        while left:
            left = left[self._file.write(left) :]


class Pieces:
    """A body out of stretches of a spool (`(begin, end)`) and bytes of our own. Implements `ReplayableBody`."""

    def __init__(self, spool: Spool, parts: Sequence[bytes | tuple[int, int]]) -> None:
        self._spool = spool
        self._parts = parts

    def __repr__(self) -> str:
        return f"<Pieces of {self._spool!r}, {self.size_bytes} bytes>"

    @property
    def size_bytes(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in self._parts)

    def chunks(self) -> PieceReader:
        return PieceReader(self._spool, self._parts)


class PieceReader:
    def __init__(self, spool: Spool, parts: Sequence[bytes | tuple[int, int]]) -> None:
        self._spool = spool
        self._left = deque(parts)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while self._left:
            part = self._left.popleft()
            if isinstance(part, bytes):
                return part
            begin, end = part
            if end - begin > PIECE_BYTES:
                self._left.appendleft((begin + PIECE_BYTES, end))
            if begin < end:
                return await self._spool.read(begin, min(end, begin + PIECE_BYTES))
        raise StopAsyncIteration
