"""Compression as the daemon uses it: off the event loop, learning, and on the books.

Everything runs on one thread: what is large must not hold up small requests, and several large blocks at once would
only take the interpreter from each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from woollama.compression import marker
from woollama.compression.ledger import Ledger
from woollama.compression.originals import SqlOriginals
from woollama.compression.policy import Policy
from woollama.compression.relevance import Scorer
from woollama.compression.retrieval import part_of
from woollama.compression.router import Compressed, ContentRouter
from woollama.compression.toin import Toin
from woollama.compression.tokens import ESTIMATE
from woollama.domain.ports import ShrinkLevel, Shrunk

T = TypeVar("T")
INLINE_CHARS = 4000
"""What is shorter takes less time than handing it to a thread."""
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
    ) -> None:
        path = None if directory is None else directory / "originals.db"
        self.originals = SqlOriginals(path, max_bytes=max_bytes, max_age_s=max_age_s)
        self.learned = Toin(None if directory is None else directory / "looked-up.db")
        self.ledger = Ledger()
        self._router = ContentRouter(policy, self.originals, scorer=scorer)
        self._thread = ThreadPoolExecutor(1, "compression")

    def __repr__(self) -> str:
        return f"<Shrinking {self.originals!r}>"

    def reconfigure(self, policy: Policy, *, max_bytes: int, max_age_s: float, scorer: Scorer | None = None) -> None:
        self.originals.bound(max_bytes=max_bytes, max_age_s=max_age_s)
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
        router, wanted = self._router, ("lossless" if switched_off else level)

        def work() -> Compressed:
            return router.compress(text, query=query, tool=tool, level=wanted, hints=hints)

        done = await self._apart(work, len(text))
        if switched_off:
            done = replace(done, reason=f"{done.reason}, leaving out did not pay")
        self.ledger.compressed(
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
            self.ledger.retrieved(recipe, tool, ESTIMATE(part))
            for name in ("query", "path"):
                if name in wanted:
                    self.learned.learn(tool, str(wanted[name]))
            if not wanted.get("query") and ("rows" in wanted or "lines" in wanted) and len(part) < INLINE_CHARS:
                self.learned.learn(tool, part)
            return part

        return await self._apart(work, INLINE_CHARS + 1)

    def ref_in(self, text: str) -> str | None:
        found = marker.read(text)
        return found.ref if found else None

    def statistics(self) -> dict[str, Any]:
        return {**self.ledger.as_json(), "learning_broken": self.learned.broken}

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self.originals.close()
        self.learned.close()

    async def _apart(self, work: Callable[[], T], size_chars: int) -> T:
        if size_chars <= INLINE_CHARS:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
