"""What a crusher gets and gives: the one protocol, and the words for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from woollama.compression import marker
from woollama.compression.relevance import Bm25Scorer, Scorer
from woollama.compression.tokens import ESTIMATE, CountTokens

T = TypeVar("T")
Level = Literal["off", "lossless", "auto", "aggressive"]
LEVELS: tuple[Level, ...] = ("off", "lossless", "auto", "aggressive")


@dataclass(frozen=True, slots=True)
class Block:
    """One text to be made smaller. `budget_tokens` is None where nothing may be left out.

    `tokens` is what the text is now, `level` what was asked for. `hints` are words that earlier conversations looked
    up after they had been left out.
    """

    text: str
    query: str = ""
    tool: str = ""
    level: Level = "auto"
    tokens: int = 0
    budget_tokens: float | None = None
    count: CountTokens = ESTIMATE
    scorer: Scorer = field(default_factory=Bm25Scorer)
    hints: Sequence[str] = ()
    seen: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was found out about the text while it was asked whose kind it is, so that it is not found out twice."""

    @property
    def tokens_per_char(self) -> float:
        return self.tokens / max(1, len(self.text))

    @property
    def gap(self) -> str:
        """What stands before the number of units that are missing in a place."""
        return self.once("gap", marker.gap_for)

    def once(self, name: str, find: Callable[[str], T]) -> T:
        """`find(text)`, found once."""
        if name not in self.seen:
            self.seen[name] = find(self.text)
        found: T = self.seen[name]
        return found


@dataclass(frozen=True, slots=True)
class Crushed:
    """What became of a block. Where units were left out, `body` still wants its marker; else it is the whole result.

    `worth_it` is the share of the lossless result that it may come to; what is easily had elsewhere is left out for
    less.
    """

    body: str
    left_out: int = 0
    total: int = 0
    units: str = "rows"
    kept: Mapping[str, int] = field(default_factory=dict)
    unkept_errors: int = 0
    worth_it: float = 0.75

    @property
    def lossless(self) -> bool:
        return self.left_out == 0


class Crusher(Protocol):
    """`priority` says how well a block is its kind of text: below 0 not at all, at most 1. `crush` makes it smaller, or
    gives None where it cannot. A crusher is a pure function of the block and knows of no other."""

    name: str

    def priority(self, block: Block) -> float: ...

    def crush(self, block: Block) -> Crushed | None: ...
