"""Lines come out whole, wherever the network cut them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from woollama.domain.errors import UpstreamBroke
from woollama.http.lines import Lines


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def lines(*parts: bytes, limit_bytes: int = 100) -> list[bytes]:
    return [line async for line in Lines(chunks(*parts), limit_bytes)]


BODY = b'{"a": 1}\n\r\n{"b": "\xc3\xa9"}\r\n\n{"c": 3}'
WHOLE = [b'{"a": 1}', b'{"b": "\xc3\xa9"}', b'{"c": 3}']


@pytest.mark.parametrize("size", range(1, len(BODY) + 1))
async def test_every_cut_gives_the_same_lines(size: int):
    assert await lines(*(BODY[at : at + size] for at in range(0, len(BODY), size))) == WHOLE


async def test_a_last_line_needs_no_end_and_an_empty_body_has_no_line():
    assert await lines(b"one\ntwo") == [b"one", b"two"]
    assert await lines(b"one\n") == [b"one"]
    assert await lines() == []


async def test_lines_come_before_the_body_has_ended():
    async def body() -> AsyncIterator[bytes]:
        yield b"one\ntw"
        raise AssertionError("nobody asked for more")

    assert await anext(Lines(body())) == b"one"


async def test_a_line_without_an_end_is_not_held_for_ever():
    with pytest.raises(UpstreamBroke, match="line of more than 5 bytes"):
        await lines(b"abc", b"def", limit_bytes=5)
    assert await lines(b"abcde\n" * 3, limit_bytes=5) == [b"abcde"] * 3
