"""What every HTTP inferencer does with the body of an answer that it does not stream: read it whole, or out, or as
the upstream's refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from woollama.domain.errors import RouterError, UpstreamBroke
from woollama.domain.turns import Target
from woollama.inferencers.http.connection import HttpAnswer
from woollama.inferencers.http.content_coding import decoded
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.http.refusals import redirected, refused

_BODY_LIMIT_BYTES = 64 * 1024 * 1024
_REFUSAL_LIMIT_BYTES = 64 * 1024
_LAST_BYTES_WAIT_S = 0.25
_SECRET_STAND_IN = b"***"


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


async def read_refusal(endpoint: Endpoint, who: Target | str, answer: HttpAnswer, key: str | None) -> RouterError:
    """The error that an answer without success is. The key of the request is taken out of what it says."""
    if 300 <= answer.status < 400:
        return redirected(endpoint.name, endpoint.base_url, answer.header(b"location"))
    body = b""
    async for chunk in decoded(answer, answer.header(b"content-encoding")):
        body += chunk
        if len(body) > _REFUSAL_LIMIT_BYTES:
            break
    if key:
        body = body.replace(key.strip().encode(), _SECRET_STAND_IN)
    return refused(who, answer.status, answer.headers, body)
