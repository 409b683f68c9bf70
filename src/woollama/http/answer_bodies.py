"""What is done with the body of an answer that is not streamed: read it whole, or out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from woollama.domain.errors import RouterError, UpstreamBroke
from woollama.domain.turns import Target
from woollama.http.connection import HttpAnswer

_BODY_LIMIT_BYTES = 64 * 1024 * 1024
_LAST_BYTES_WAIT_S = 0.25


async def read_whole(chunks: AsyncIterator[bytes], who: Target | str) -> bytes:
    """Raises `UpstreamBroke` for a body beyond all reason."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > _BODY_LIMIT_BYTES:
            raise UpstreamBroke(f"{who} sent more than {_BODY_LIMIT_BYTES} bytes")
    return bytes(body)


async def read_out(answer: HttpAnswer) -> None:
    """The answer is complete; what little may follow is read so that the connection can be used again."""
    try:
        async with asyncio.timeout(_LAST_BYTES_WAIT_S):
            async for _ in answer:
                pass
    except (TimeoutError, RouterError):
        pass
