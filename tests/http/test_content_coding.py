"""Compressed answers that nobody asked for are read all the same, or refused by name."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from woollama.domain.errors import UpstreamBroke
from woollama.http.content_coding import decoded


async def pieces_of(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def raw_deflate(data: bytes) -> bytes:
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compress.compress(data) + compress.flush()


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        (b"gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", raw_deflate),
        (b"", bytes),
        (b"Identity", bytes),
    ],
)
async def test_answers_compressed_unasked_are_read(coding: bytes, compress: Any):
    plain = b"data: hello\n\n" * 100_000
    got = [piece async for piece in decoded(pieces_of(compress(plain), 1000), coding)]
    assert b"".join(got) == plain
    assert max(map(len, got)) <= 256 * 1024


@pytest.mark.parametrize("coding", [b"br", b"zstd, gzip"])
def test_a_coding_that_nobody_asked_for_and_we_cannot_undo_is_named(coding: bytes):
    with pytest.raises(UpstreamBroke, match=coding.decode()):
        decoded(pieces_of(b"", 1), coding)


@pytest.mark.parametrize(
    "data",
    [b"not compressed at all", gzip.compress(b"x" * 9999)[:-9], gzip.compress(b"x")[:12] + b"\xff" * 30],
    ids=["never was", "cut", "garbled"],  # its bytes hold the time of day
)
async def test_damaged_compression_is_an_error(data: bytes):
    with pytest.raises(UpstreamBroke, match="compressed"):
        [piece async for piece in decoded(pieces_of(data, 7), b"gzip")]
