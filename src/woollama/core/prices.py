"""What an answer cost, where its model has a price. One without has no cost, which is not a cost of nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from woollama.domain.events import Usage
from woollama.domain.turns import Target

_PER = 1_000_000
_DIGITS = 9
_WILD = "*?["


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. Without a price of its own a cached token costs what any other does."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    def cost_usd(self, usage: Usage) -> float:
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        plain = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
        cost = plain * self.input + usage.cached_tokens * read + usage.cache_write_tokens * write
        return round((cost + usage.output_tokens * self.output) / _PER, _DIGITS)


class Prices:
    """Prices by globs over `inferencer/model`; of several that fit the one that says most of the name counts."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._globs = sorted(prices.items(), key=lambda each: _spelt_out(each[0]), reverse=True)

    def __repr__(self) -> str:
        return f"<Prices {', '.join(glob for glob, _ in self._globs) or 'none'}>"

    def cost_usd(self, target: Target, usage: Usage) -> float | None:
        name = str(target)
        price = next((price for glob, price in self._globs if fnmatchcase(name, glob)), None)
        return None if price is None else price.cost_usd(usage)


NO_PRICES = Prices({})


def _spelt_out(glob: str) -> int:
    return sum(letter not in _WILD for letter in glob)
