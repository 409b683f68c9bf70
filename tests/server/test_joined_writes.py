"""What is written at once goes out at once."""

from __future__ import annotations

import asyncio
from typing import cast

from woollama.server.joined_writes import MOST_HELD_BYTES, JoinedWrites


class Wire:
    """A transport that remembers what it was given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append(b"(closed)")

    def is_closing(self) -> bool:
        return False


def joined() -> tuple[Wire, JoinedWrites]:
    wire = Wire()
    return wire, JoinedWrites(cast(asyncio.Transport, wire), asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_is_one_write_at_its_end() -> None:
    wire, transport = joined()
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.sent == []
    await asyncio.sleep(0)
    assert wire.sent == [b"head body"]
    transport.write(b"next")
    await asyncio.sleep(0)
    assert wire.sent == [b"head body", b"next"]


async def test_who_knows_that_it_is_complete_need_not_wait() -> None:
    wire, transport = joined()
    transport.write(b"head ")
    transport.write(b"body")
    transport.flush()
    await asyncio.sleep(0)
    assert wire.sent == [b"head body"]


async def test_nothing_is_lost_at_the_end() -> None:
    wire, transport = joined()
    transport.write(b"last words")
    transport.close()
    await asyncio.sleep(0)
    assert wire.sent == [b"last words", b"(closed)"]


async def test_a_writer_that_never_waits_is_not_held_in_memory() -> None:
    wire, transport = joined()
    transport.write(b"x" * MOST_HELD_BYTES)
    transport.write(b"y")
    assert [len(each) for each in wire.sent] == [MOST_HELD_BYTES + 1]


async def test_all_else_is_the_transports_own() -> None:
    _, transport = joined()
    assert not transport.is_closing()
