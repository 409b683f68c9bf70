"""Which units of a text are kept: by why they matter, within a budget, and evenly where nothing matters more.

A unit is what a crusher counts: a record, a line, a match, a sentence. `Reasons` says why some of them matter, from the
most to the least important; `choose` fills the budget in that order. Errors have a budget of their own that grows with
the input: what tells of a failure is never the thing that is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

ERROR_SHARE = 0.34
"""Of the input, which errors may take even where the budget is smaller."""
ORDER = ("error", "answer", "outlier", "level change", "rare", "context", "warning", "looked up", "edge", "sample")


@dataclass(slots=True)
class Reasons:
    """For each reason the numbers of units, the most important first."""

    of: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, numbers: Iterable[int]) -> None:
        self.of.setdefault(reason, []).extend(numbers)

    def __getitem__(self, reason: str) -> Sequence[int]:
        return self.of.get(reason, ())


@dataclass(frozen=True, slots=True)
class Chosen:
    """`numbers` of the units that are kept, in order, `why` each of them is, and `unkept`: how many were not, by
    why."""

    numbers: Sequence[int]
    why: Mapping[int, str]
    unkept: Mapping[str, int]

    @property
    def counts(self) -> Mapping[str, int]:
        counts = Counter(self.why[number] for number in self.numbers)
        return {reason: counts[reason] for reason in ORDER if counts[reason]}


def cost_of(unit: str, tokens_per_char: float) -> float:
    """About how many tokens a unit takes, with its line break."""
    return len(unit) * tokens_per_char + 1.0


def choose(
    units: Sequence[str],
    reasons: Reasons,
    budget_tokens: float,
    tokens_per_char: float,
    *,
    shape: Callable[[str], str] | None = None,
) -> Chosen:
    """Keep what matters, then the first and the last units, then samples. `shape` tells alike units from others."""
    costs = [cost_of(unit, tokens_per_char) for unit in units]
    why: dict[int, str] = {}
    unkept: Counter[str] = Counter()
    left = budget_tokens
    whole = sum(costs)
    for reason in ORDER:
        numbers = [number for number in dict.fromkeys(reasons[reason]) if number not in why]
        if not numbers:
            continue
        share = max(left, ERROR_SHARE * whole) if reason == "error" else left * 0.7
        if shape is not None and sum(costs[number] for number in numbers) > share:
            numbers = _one_of_each_first(numbers, units, shape)
        for number in numbers:
            cost = costs[number]
            if cost <= share:
                why[number] = reason
                share -= cost
                left -= cost
            else:
                unkept[reason] += 1
    _sample(costs, why, max(left, 0.08 * budget_tokens))
    return Chosen(sorted(why), why, unkept)


def _one_of_each_first(numbers: Sequence[int], units: Sequence[str], shape: Callable[[str], str]) -> list[int]:
    """Exemplars of every shape before second ones, so that no kind is crowded out by another."""
    seen: Counter[str] = Counter()
    ranks: list[tuple[int, int, int]] = []
    for place, number in enumerate(numbers):
        kind = shape(units[number])
        ranks.append((seen[kind], place, number))
        seen[kind] += 1
    return [number for _, _, number in sorted(ranks)]


def _sample(costs: Sequence[float], why: dict[int, str], budget: float) -> None:
    """Both ends, then units spread evenly over the rest."""
    count = len(costs)
    for number in (0, count - 1, 1, count - 2, 2):
        if 0 <= number < count and number not in why:
            cost = costs[number]
            if cost <= budget / 3:
                why[number] = "edge"
                budget -= cost
    rest = [number for number in range(count) if number not in why]
    if not rest:
        return
    usual = sum(costs[number] for number in rest) / len(rest) + 4.0
    many = int(budget / usual)
    if many <= 0:
        return
    step = max(1.0, len(rest) / many)
    position = step / 2
    while position < len(rest) and budget > 0:
        number = rest[int(position)]
        cost = costs[number] + 4.0
        if cost <= budget:
            why[number] = "sample"
            budget -= cost
        position += step
