"""What answers cost, and that what has no price is not free."""

from __future__ import annotations

import pytest

from woollama.core.prices import Price, Prices
from woollama.domain.events import Usage, UsageMeter, UsageSeen
from woollama.domain.turns import Target

PRICES = Prices(
    {
        "openai/*": Price(1, 2),
        "openai/gpt-4o*": Price(2.5, 10, cache_read=1.25),
        "openai/gpt-4o-mini": Price(0.15, 0.6),
        "anthropic/*": Price(3, 15, cache_read=0.3, cache_write=3.75),
    }
)


@pytest.mark.parametrize(
    ("target", "usage", "cost"),
    [
        (Target("openai", "gpt-4o"), Usage(1_000_000, 100_000), 3.5),
        (Target("openai", "gpt-4o-2024"), Usage(1000, 0, cached_tokens=400), (600 * 2.5 + 400 * 1.25) / 1e6),
        (Target("openai", "gpt-4o-mini"), Usage(1000, 1000), 0.00075),
        (Target("openai", "o3"), Usage(10, 10, cached_tokens=10), 0.00003),
        (Target("anthropic", "c"), Usage(1000, 10, 300, 200), (500 * 3 + 300 * 0.3 + 200 * 3.75 + 150) / 1e6),
        (Target("ollama", "gpt-4o"), Usage(1000, 1000), None),
    ],
)
def test_the_price_that_spells_out_most_of_the_name_counts(target: Target, usage: Usage, cost: float | None) -> None:
    found = PRICES.cost_usd(target, usage)
    assert found == (None if cost is None else pytest.approx(cost))


def test_a_price_of_nothing_is_a_cost_of_nothing() -> None:
    assert Prices({"local/*": Price(0, 0)}).cost_usd(Target("local", "m"), Usage(5, 5)) == 0


def test_a_run_costs_what_its_rounds_cost_or_nobody_knows() -> None:
    meter = UsageMeter()
    assert meter.cost_usd is None
    meter.see(UsageSeen(0, Usage(1, 1), 0.25))
    meter.see(UsageSeen(0, Usage(2, 1), 0.5))  # of the same round: it replaces the first
    meter.see(UsageSeen(1, Usage(1, 1), 0.125))
    assert meter.cost_usd == 0.625
    meter.see(UsageSeen(2, Usage(1, 1)))
    assert meter.cost_usd is None
