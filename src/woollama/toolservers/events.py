"""Server-sent events, as the transports of MCP use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from woollama.http.frames import Frames

MAX_EVENT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """`id` and `retry_s` are what a client comes back with, and after which time, when the stream breaks."""

    name: str
    data: bytes
    id: str | None
    retry_s: float | None


class Events:
    """The events of a body. Raises what the body raises, and `UpstreamBroke` for one beyond all reason."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._frames = Frames(chunks, MAX_EVENT_BYTES)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return event_of(await anext(self._frames))


def event_of(frame: bytes) -> Event:
    name, data, last_id, retry_s = "message", [], None, None
    for line in frame.splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"data":
                data.append(value)
            case b"event":
                name = value.decode(errors="replace")
            case b"id":
                last_id = value.decode(errors="replace")
            case b"retry" if value.isdigit():
                retry_s = int(value) / 1000
    return Event(name, b"\n".join(data), last_id, retry_s)
