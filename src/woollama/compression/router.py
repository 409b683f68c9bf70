"""ContentRouter: from a text to a smaller one, and why.

    text -> left alone? -> the crusher whose kind of text it is -> selective above the budget, else lossless -> checked

Every decision has a reason, and every result is checked before it is given out: a lossless one is decoded and
compared, a selective one has its original stored first, and none is larger than what it replaces, in bytes or in
tokens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from woollama.compression import marker, notation, restoring
from woollama.compression.block import Block, Crushed, Crusher, Level
from woollama.compression.diff_compressor import DiffCompressor
from woollama.compression.left_alone import Configuration, SourceCode
from woollama.compression.log_compressor import LogCompressor
from woollama.compression.originals import Originals, OriginalsFull
from woollama.compression.policy import Policy
from woollama.compression.relevance import Bm25Scorer, Scorer
from woollama.compression.search_compressor import SearchCompressor
from woollama.compression.smart_crusher import SmartCrusher
from woollama.compression.text_compressor import TextCompressor, are_instructions
from woollama.compression.tokens import ESTIMATE, Counter, counter_for

CRUSHERS: tuple[Crusher, ...] = (
    DiffCompressor(),
    SmartCrusher(),
    SourceCode(),
    SearchCompressor(),
    Configuration(),
    LogCompressor(),
    TextCompressor(),
)
"""All that there are. For each block the one with the highest priority is tried, then those below it."""

NEXT_BEST = 0.45
"""Crushers whose priority is less than this below the best are tried, too, where the best can do nothing."""
EXACTLY_COUNTED_CHARS = 2**25
"""Of longer texts that stay as they are tokens are not worth counting."""
ERRORS_GAIN = 0.6
"""Where more errors are told than can be kept in line, all is kept if that takes no more than this of the input."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """`level` is what was done: `off` where the text is as it was, `lossless` where `restore` gives it back, else the
    level under which something was left out. `refs` lead to what was left out. `counter` names how was counted."""

    text: str
    level: Level
    reason: str
    tokens_before: int
    tokens_after: int
    refs: tuple[str, ...] = ()
    crusher: str = ""
    counter: str = "estimate"
    took_s: float = 0.0

    @property
    def saved_tokens(self) -> int:
        return self.tokens_before - self.tokens_after


class ContentRouter:
    """Without `originals` nothing is ever left out."""

    def __init__(
        self,
        policy: Policy | None = None,
        originals: Originals | None = None,
        *,
        scorer: Scorer | None = None,
        crushers: Sequence[Crusher] = CRUSHERS,
    ) -> None:
        self.policy = policy or Policy()
        self.originals = originals
        self._scorer = scorer or Bm25Scorer()
        self._crushers = tuple(crushers)

    def __repr__(self) -> str:
        return f"<ContentRouter of {', '.join(crusher.name for crusher in self._crushers)}>"

    def compress(
        self,
        text: str,
        *,
        query: str = "",
        tool: str = "",
        level: Level = "auto",
        counter: Counter | None = None,
        hints: Sequence[str] = (),
    ) -> Compressed:
        """`text`, smaller where that is right. Raises nothing for any text."""
        began = time.perf_counter()
        counter = counter or counter_for(None)
        if reason := self.left_alone(text, tool, level):
            return untouched(text, reason, counter)
        level = self.policy.level_for(tool, level)
        tokens = counter(text)
        block = Block(
            text, query, tool, level, tokens, count=counter, scorer=self._scorer,
            hints=tuple(hints) if self.policy.use_feedback_hints else (),
        )  # fmt: skip
        done = self._crushed(block) if tokens >= self.policy.min_tokens else _same(block, "small")
        return replace(done, counter=counter.name, took_s=time.perf_counter() - began)

    def left_alone(self, text: str, tool: str, level: Level) -> str:
        """Why nothing is done to a text, if that is known without reading it; else nothing."""
        policy = self.policy
        level = policy.level_for(tool, level)
        if not policy.enabled:
            return "disabled"
        if level == "off":
            return "off"
        if policy.excludes(tool):
            return "excluded tool"
        if marker.read(text) is not None or restoring.is_lossless(text):
            return "compressed already"
        if len(text) > policy.max_bytes:
            return "too large"
        return ""

    def _crushed(self, block: Block) -> Compressed:
        ranked = sorted(self._ranked(block), key=lambda pair: -pair[0])
        if not ranked:
            return _same(block, "no crusher")
        crusher = ranked[0][1]
        if isinstance(crusher, SourceCode | Configuration):
            return _same(block, crusher.name)
        if are_instructions(block.text):
            return _same(block, "instructions")
        best = ranked[0][0]
        able = [crusher for priority, crusher in ranked if priority >= best - NEXT_BEST]
        budget = self.policy.budget(block.level)
        if budget is None or block.tokens <= budget.above_tokens:
            return self._lossless(block, able) or _same(block, "nothing to gain")
        if not self.policy.inject_retrieval_marker or self.originals is None:
            done = self._lossless(block, able) or _same(block, "nothing to gain")
            return replace(done, reason=f"{done.reason}, nothing may be left out")
        smallest = self._lossless(block, able) if block.tokens <= 4 * budget.above_tokens else None
        if smallest is not None and smallest.tokens_after <= budget.above_tokens:
            return smallest
        selected, crushed = self._selective(replace(block, budget_tokens=budget.of(block.tokens)), able)
        if selected is None or crushed is None:
            return smallest or self._lossless(block, able) or _same(block, "nothing to gain")
        if smallest is None and (crushed.unkept_errors or selected.tokens_after > crushed.worth_it * block.tokens):
            smallest = self._lossless(block, able)
        if smallest is not None and crushed.unkept_errors and smallest.tokens_after <= ERRORS_GAIN * block.tokens:
            return replace(smallest, reason="errors everywhere")
        if smallest is not None and selected.tokens_after > crushed.worth_it * smallest.tokens_after:
            return smallest
        if self._stored(block, selected):
            return selected
        done = smallest or self._lossless(block, able) or _same(block, "nothing to gain")
        return replace(done, reason=f"{done.reason}, the original could not be stored")

    def _ranked(self, block: Block) -> list[tuple[float, Crusher]]:
        ranked: list[tuple[float, Crusher]] = []
        for crusher in self._crushers:
            priority = crusher.priority(block)
            if priority >= 0:
                ranked.append((priority, crusher))
        return ranked

    def _lossless(self, block: Block, crushers: Sequence[Crusher]) -> Compressed | None:
        for crusher in crushers:
            try:
                crushed = crusher.crush(block)
            except notation.Unwritable:
                continue
            if crushed is None or not crushed.lossless:
                continue
            done = _smaller(block, crushed.body, "lossless", "lossless", crusher.name)
            if done is not None and _restores(done.text, block.text):
                return done
        return None

    def _selective(self, block: Block, crushers: Sequence[Crusher]) -> tuple[Compressed | None, Crushed | None]:
        """Not stored yet, and so not to be given out; and what it was made of."""
        for crusher in crushers:
            crushed = crusher.crush(block)
            if crushed is None or crushed.lossless:
                continue
            ref = marker.ref_of(block.text)
            said = marker.Marker(crushed.left_out, crushed.total, crushed.units, ref)
            text = f"{marker.write(said, crushed.kept, block.gap)}\n{crushed.body}"
            done = _smaller(block, text, block.level, "selective", crusher.name)
            if done is not None:
                return replace(done, refs=(ref,)), crushed
        return None, None

    def _stored(self, block: Block, selected: Compressed) -> bool:
        assert self.originals is not None
        try:
            self.originals.put(selected.refs[0], block.text, tool=block.tool)
        except OriginalsFull:
            return False
        return True


def untouched(text: str, reason: str, counter: Counter = ESTIMATE) -> Compressed:
    tokens = counter(text) if len(text) <= EXACTLY_COUNTED_CHARS else len(text) // 4
    return Compressed(text, "off", reason, tokens, tokens, counter=counter.name)


def _same(block: Block, reason: str) -> Compressed:
    return Compressed(block.text, "off", reason, block.tokens, block.tokens)


def _smaller(block: Block, text: str, level: Level, reason: str, crusher: str) -> Compressed | None:
    """The result, if it is smaller in tokens and no larger in bytes."""
    after = block.count(text)
    if after >= block.tokens or _size(text) > _size(block.text):
        return None
    return Compressed(text, level, reason, block.tokens, after, crusher=crusher)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _restores(text: str, original: str) -> bool:
    try:
        return restoring.restore(text) == original
    except restoring.NotOurs:
        return False
