"""A bound on one event of a stream: the SDK's own reader gathers an event until its blank line, however long it grows.

Imported late, as the HTTP library is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2

from woollama.domain.errors import UpstreamBroke

_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


def bounding(limit_bytes: int) -> Callable[[httpx2.Response], Awaitable[None]]:
    """A hook for responses: reading one fails with `UpstreamBroke` where an event grows beyond the limit."""

    async def bound(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, limit_bytes)

    return bound


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit_bytes: int) -> None:
        self._inner = inner
        self._limit_bytes = limit_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held, tail = 0, b""
        async for chunk in self._inner:
            seen = tail + chunk
            end = max(seen.rfind(blank) + len(blank) if blank in seen else 0 for blank in _ENDS)
            held = len(seen) - end if end else held + len(chunk)
            if held > self._limit_bytes:
                raise UpstreamBroke(f"the upstream sent an event of more than {self._limit_bytes} bytes")
            tail = seen[-3:]
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
