"""Uploads are kept in memory while small, else in a file of our own, and can be read again and again."""

from __future__ import annotations

import os
import stat

import pytest

from woollama.domain.errors import Backpressure
from woollama.surfaces.spool import PIECE_BYTES, Pieces, Spool

SOME = bytes(range(256)) * 1024  # 256 KiB


async def whole(body: Pieces) -> bytes:
    return b"".join([chunk async for chunk in body.chunks()])


@pytest.mark.parametrize("limit", [10, 2**20], ids=["on disk", "in memory"])
async def test_what_was_written_can_be_read_again_with_another_middle(limit: int):
    async with Spool(limit) as spool:
        for begin in range(0, len(SOME), 10_000):
            await spool.write(SOME[begin : begin + 10_000])
        assert spool.on_disk is (limit < len(SOME))
        body = Pieces(spool, [(0, 1000), b"new", (2000, spool.size_bytes)])
        wanted = SOME[:1000] + b"new" + SOME[2000:]
        assert body.size_bytes == len(wanted)
        assert await whole(body) == wanted
        assert await whole(body) == wanted
        assert max([len(chunk) async for chunk in body.chunks()]) <= PIECE_BYTES


async def test_the_file_is_ours_alone_and_has_no_name():
    async with Spool(10) as spool:
        await spool.write(SOME)
        assert spool._file is not None
        seen = os.fstat(spool._file.fileno())
        assert stat.S_IMODE(seen.st_mode) == 0o600
        assert seen.st_nlink == 0
        kept = spool._file
    assert kept.closed


async def test_a_disk_that_takes_no_more_is_no_defect(monkeypatch: pytest.MonkeyPatch):
    def full(**how: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    async with Spool(10) as spool:
        with pytest.raises(Backpressure, match="No space left"):
            await spool.write(SOME)
