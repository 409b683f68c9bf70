"""An event stream cut into frames: at blank lines, whatever the line ends and wherever the network cut it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator
from typing import Self

from woollama.domain.errors import UpstreamBroke
from woollama.domain.frames import data_of

__all__ = ["FRAME_LIMIT_BYTES", "FrameSplitter", "Frames", "data_of"]

FRAME_LIMIT_BYTES = 32 * 2**20

_BOM = b"\xef\xbb\xbf"
# A carriage return ends a line only if no line feed follows: together they are one line end.
_LINE_END = rb"(?:\r\n|\n|\r(?!\n))"
_blank_line = re.compile(_LINE_END + _LINE_END)
_LONGEST_BLANK_LINE = len(b"\r\n\r\n")


class FrameSplitter:
    """`feed` gives the frames that are whole by now, each verbatim with its blank line; a BOM at the start is dropped.

    A frame whose blank line ends in a carriage return is held until the next byte, which may be its line feed.
    """

    def __init__(self, limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        self._held = bytearray()
        self._searched = 0
        self._begun = False
        self._limit_bytes = limit_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Raises `UpstreamBroke` when a frame grows beyond the limit."""
        if self._begun and not self._held and data.endswith(b"\n\n") and b"\r" not in data and b"\n\n\n" not in data:
            return [frame + b"\n\n" for frame in data[:-2].split(b"\n\n")]
        self._held += data
        if not self._begun and not self._begin():
            return []
        return self._cut()

    def rest(self) -> bytes:
        """What is left when the stream has ended: a last frame if its author forgot the blank line, else a stump."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _begin(self) -> bool:
        if len(self._held) < len(_BOM) and _BOM.startswith(self._held):
            return False
        self._begun = True
        if self._held.startswith(_BOM):
            del self._held[: len(_BOM)]
        return True

    def _cut(self) -> list[bytes]:
        frames = []
        held, begin = self._held, 0
        for blank in _blank_line.finditer(held, self._searched):
            if blank.end() == len(held) and held[-1] == 0x0D:
                break
            frames.append(bytes(held[begin : blank.end()]))
            begin = blank.end()
        del held[:begin]
        self._searched = max(0, len(held) - _LONGEST_BLANK_LINE)
        if len(held) > self._limit_bytes:
            raise UpstreamBroke(f"the upstream sent an event of more than {self._limit_bytes} bytes")
        return frames


class Frames:
    """Whole frames out of the chunks of a body. A last one without its blank line gets it, if it is a whole line.

    No async generator, because leaving one halfway leaves it, and what it reads from, to the garbage collector.
    """

    def __init__(self, chunks: AsyncIterator[bytes], limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        self._chunks = chunks
        self._splitter = FrameSplitter(limit_bytes)
        self._ready: deque[bytes] = deque()
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            try:
                self._ready += self._splitter.feed(await anext(self._chunks))
            except StopAsyncIteration:
                self._ended = True
                rest = self._splitter.rest().rstrip(b"\r\n")
                if rest.endswith((b"}", b"[DONE]")):
                    return rest + b"\n\n"
        return self._ready.popleft()
