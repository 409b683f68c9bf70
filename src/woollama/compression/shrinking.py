"""Compression as the daemon uses it: off the event loop, learning, and on the books.

What is small is done at once, what is larger on one thread, and what is large in a process of its own: a thread would
take the interpreter from everybody else for as long as a large text takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from woollama.compression import marker
from woollama.compression.apart import Apart, Lost, Unavailable
from woollama.compression.given_up import GivenUp
from woollama.compression.ledger import Ledger
from woollama.compression.originals import SqlOriginals
from woollama.compression.policy import Policy
from woollama.compression.relevance import Bm25Scorer, Scorer
from woollama.compression.retrieval import part_of
from woollama.compression.router import Compressed, ContentRouter, untouched
from woollama.compression.toin import Toin
from woollama.compression.tokens import ESTIMATE
from woollama.domain.ports import ShrinkLevel, Shrunk

T = TypeVar("T")
INLINE_CHARS = 4000
"""What is shorter takes less time than handing it to a thread."""
TINY_CHARS = 800
"""The same where an original may have to be stored, because nobody waits for a disk."""
APART_CHARS = 32_000
"""What is longer holds the interpreter for longer than a small request should wait."""
_PARTS = ("query", "lines", "rows", "path", "max_tokens")


class Shrinking:
    """The store, what was learned and the books outlive a reload; `reconfigure` changes the policy alone."""

    def __init__(
        self,
        policy: Policy,
        directory: Path | None = None,
        *,
        max_bytes: int,
        max_age_s: float,
        scorer: Scorer | None = None,
        apart: Apart | None = None,
    ) -> None:
        """Without `apart`, or with a scorer of the user's own, nothing leaves this process."""
        path = None if directory is None else directory / "originals.db"
        self.originals = SqlOriginals(path, max_bytes=max_bytes, max_age_s=max_age_s)
        self.learned = Toin(None if directory is None else directory / "looked-up.db")
        self.ledger = Ledger(None if directory is None else directory / "compression-books.db")
        self._apart = apart if directory is not None else None
        self._given_up = None if directory is None else GivenUp(directory / "given-up.db")
        self._store = path
        self._thread = ThreadPoolExecutor(1, "compression")
        self._writing = False
        self.reconfigure(policy, max_bytes=max_bytes, max_age_s=max_age_s, scorer=scorer)

    def __repr__(self) -> str:
        return f"<Shrinking {self.originals!r}>"

    def reconfigure(self, policy: Policy, *, max_bytes: int, max_age_s: float, scorer: Scorer | None = None) -> None:
        self._bounds: dict[str, Any] = {"max_bytes": max_bytes, "max_age_s": max_age_s}
        self.originals.bound(max_bytes=max_bytes, max_age_s=max_age_s)
        self._goes_apart = scorer is None or isinstance(scorer, Bm25Scorer)
        self._router = ContentRouter(policy, self.originals, scorer=scorer)

    @property
    def leaves_out(self) -> bool:
        policy = self._router.policy
        return policy.enabled and policy.inject_retrieval_marker

    def hints(self, tool: str) -> Sequence[str]:
        return self.learned.hints(tool) if self._router.policy.use_feedback_hints else ()

    async def shrink(
        self, text: str, *, level: ShrinkLevel, query: str, tool: str, recipe: str = "", hints: Sequence[str] = ()
    ) -> Shrunk:
        done = await self.compress(text, level=level, query=query, tool=tool, recipe=recipe, hints=hints)
        return Shrunk(done.text, done.reason, done.refs)

    async def compress(
        self, text: str, *, level: ShrinkLevel, query: str, tool: str, recipe: str = "", hints: Sequence[str] = ()
    ) -> Compressed:
        """As `shrink`, with all that is known of the result."""
        switched_off = level in ("auto", "aggressive") and not self.ledger.is_worthwhile(recipe, tool)
        done = await self._made(text, "lossless" if switched_off else level, query=query, tool=tool, hints=hints)
        if switched_off:
            done = replace(done, reason=f"{done.reason}, leaving out did not pay")
        self._book(
            self.ledger.compressed,
            recipe,
            tool,
            before=done.tokens_before,
            after=done.tokens_after,
            reason=done.reason,
            left_out=bool(done.refs),
            took_s=done.took_s,
        )
        return done

    async def retrieve(self, wish: Mapping[str, Any], *, recipe: str = "") -> str:
        ref = str(wish.get("ref"))
        wanted: dict[str, Any] = {name: wish[name] for name in _PARTS if wish.get(name) is not None}

        def work() -> str:
            found = self.originals.find(ref) if marker.REF.fullmatch(ref) else None
            if found is None:
                raise LookupError(f"nothing is stored under {ref!r} any more: call the tool that it came from again")
            text, tool = found
            part = part_of(text, **wanted)
            self._book(self.ledger.retrieved, recipe, tool, ESTIMATE(part))
            for name in ("query", "path"):
                if name in wanted:
                    self.learned.learn(tool, str(wanted[name]))
            if not wanted.get("query") and ("rows" in wanted or "lines" in wanted) and len(part) < INLINE_CHARS:
                self.learned.learn(tool, part)
            return part

        return await self._on_thread(work)

    def ref_in(self, text: str) -> str | None:
        found = marker.read(text)
        return found.ref if found else None

    def statistics(self) -> dict[str, Any]:
        return {
            **self.ledger.as_json(),
            "learning_broken": self.learned.broken,
            "books_broken": self.ledger.broken,
        }

    def missed(self, model: str, lost_bytes: int) -> None:
        """A prompt to a model no longer began as the one before it."""
        self._book(self.ledger.missed, model.removeprefix("woollama/"), lost_bytes)

    async def close(self) -> None:
        if self._apart is not None:
            await self._apart.close()
        self._thread.shutdown(wait=True, cancel_futures=True)
        for store in (self.originals, self.learned, self.ledger, self._given_up):
            if store is not None:
                store.close()

    async def _made(self, text: str, level: ShrinkLevel, **about: Any) -> Compressed:
        router = self._router

        def work() -> Compressed:
            return router.compress(text, level=level, **about)

        stores = router.policy.level_for(about["tool"], level) != "lossless"
        if len(text) <= (TINY_CHARS if stores else INLINE_CHARS) or router.left_alone(text, about["tool"], level):
            return work()
        if len(text) > APART_CHARS and self._apart is not None and self._store is not None and self._goes_apart:
            with suppress(Unavailable):
                return await self._made_apart(self._apart, self._store, text, level, about)
        return await self._on_thread(work)

    async def _made_apart(
        self, apart: Apart, store: Path, text: str, level: ShrinkLevel, about: dict[str, Any]
    ) -> Compressed:
        given_up, router = self._given_up, self._router
        assert given_up is not None
        reason = await self._on_thread(lambda: given_up.reason_for(text, level))
        if reason is None:
            try:
                return await apart.compress(
                    text, policy=router.policy, store=store, level=level, **self._bounds, **about
                )
            except Lost as lost:
                reason = code = str(lost)
                await self._on_thread(lambda: given_up.add(text, level, code))
        return untouched(text, reason)

    def _book(self, enter: Callable[..., None], *entry: Any, **more: Any) -> None:
        """Entered at once and written soon: one writing takes along whatever was entered until it begins."""
        enter(*entry, **more)
        if not self._writing:
            self._writing = True  # before the thread can have done it: it would be taken for waiting for ever
            with suppress(RuntimeError):  # closed: whatever is entered now, nobody reads it
                self._thread.submit(self._write)

    def _write(self) -> None:
        self._writing = False
        self.ledger.save()

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
