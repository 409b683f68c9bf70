"""Transcripts in memory: for what nobody wants on a disk, and for tests. Bounded: the oldest threads go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from woollama.domain.errors import Gone
from woollama.domain.ids import new_id
from woollama.domain.state import Raw

MOST_THREADS = 1000


class MemoryStore:
    """Implements `TranscriptStore`."""

    name = "memory"

    def __init__(self, most: int = MOST_THREADS) -> None:
        self._most = most
        self._threads: OrderedDict[str, list[Raw]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._threads)} threads>"

    def shares(self, tables: object) -> bool:
        return False

    async def create(self) -> str:
        thread = new_id("thread_")
        self._threads[thread] = []
        while len(self._threads) > self._most:
            self._threads.popitem(last=False)
        return thread

    async def read(self, thread: str, begin: int = 0, end: int | None = None) -> Sequence[Raw]:
        return self._items(thread)[begin:end]

    async def append(self, thread: str, at: int, items: Sequence[Raw]) -> None:
        self._items(thread)[at:] = items
        self._threads.move_to_end(thread)

    async def delete(self, thread: str) -> None:
        self._threads.pop(thread, None)

    def _items(self, thread: str) -> list[Raw]:
        if thread not in self._threads:
            raise Gone(f"there is no thread {thread} in memory any more")
        return self._threads[thread]
