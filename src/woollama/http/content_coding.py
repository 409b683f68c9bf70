"""Bodies that an upstream compressed although it was asked not to."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from woollama.domain.errors import UpstreamBroke

_STEP_BYTES = 256 * 1024
_AUTO_WINDOW = 32 + zlib.MAX_WBITS
"""zlib's own word for "gzip or zlib, see for yourself"."""


def decoded(chunks: AsyncIterator[bytes], coding: bytes) -> AsyncIterator[bytes]:
    """`chunks` as they are where `coding` names none. Raises `UpstreamBroke` for one that we cannot undo."""
    match coding.strip().lower():
        case b"" | b"identity":
            return chunks
        case b"gzip" | b"x-gzip" | b"deflate":
            return _inflated(chunks)
        case other:
            raise UpstreamBroke(f"the upstream compressed its answer as {other.decode('latin-1')!r}, unasked")


async def _inflated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    inflate = zlib.decompressobj(_AUTO_WINDOW)
    begun = False
    async for chunk in chunks:
        try:
            piece = inflate.decompress(chunk, _STEP_BYTES)
        except zlib.error:
            if begun:
                raise UpstreamBroke("the upstream's compressed answer is damaged") from None
            inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # "deflate" without zlib's header, as some send it
            piece = _first_raw(inflate, chunk)
        begun = True
        while piece:
            yield piece
            piece = inflate.decompress(inflate.unconsumed_tail, _STEP_BYTES)
    if begun and not inflate.eof:
        raise UpstreamBroke("the upstream's compressed answer is cut short")


def _first_raw(inflate: zlib._Decompress, chunk: bytes) -> bytes:
    try:
        return inflate.decompress(chunk, _STEP_BYTES)
    except zlib.error:
        raise UpstreamBroke("the upstream's compressed answer is damaged") from None
