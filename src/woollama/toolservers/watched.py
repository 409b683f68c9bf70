"""The resources of one server that somebody wants to hear about, over all of its lives, and who hears of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress

from woollama.domain.peers import ListKind

FOLLOWED_WITHIN_S = 2.0

Tell = Callable[[str, str], Awaitable[None]]


class Watched:
    """`changed` is set when there are others; whoever waits takes the event first and looks at `uris` then."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._followed: dict[str, asyncio.Event] = {}
        self.changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Watched {sorted(self._counts)}>"

    @property
    def uris(self) -> frozenset[str]:
        return frozenset(self._counts)

    @asynccontextmanager
    async def one(self, uri: str) -> AsyncIterator[None]:
        """In this block updates are told; it begins when the server has been asked for them, or after a while."""
        self._counts[uri] += 1
        if self._counts[uri] == 1:
            self._followed[uri] = asyncio.Event()
            self._change()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(FOLLOWED_WITHIN_S):
                    await self._followed[uri].wait()
            yield
        finally:
            self._counts[uri] -= 1
            if not self._counts[uri]:
                del self._counts[uri], self._followed[uri]
                self._change()

    def follow(self, uri: str) -> None:
        """The server has been asked."""
        if uri in self._followed:
            self._followed[uri].set()

    def follow_anew(self) -> None:
        """Another life of the server knows nothing of it."""
        for followed in self._followed.values():
            followed.clear()

    def _change(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Updates:
    """Passes on what servers say of themselves: a resource that has changed, or lists that have."""

    def __init__(self) -> None:
        self.listeners: list[Tell] = []
        self.hears_changes: list[Callable[[Collection[ListKind], bool], None]] = []

    async def tell(self, server: str, uri: str) -> None:
        for listener in self.listeners:
            await listener(server, uri)

    def said(self, kinds: Collection[ListKind], *, federated: bool) -> None:
        for hear in self.hears_changes:
            hear(kinds, federated)
