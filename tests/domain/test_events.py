from __future__ import annotations

from woollama.domain.events import Usage, UsageMeter, UsageSeen


def test_a_later_count_of_the_same_round_replaces_the_earlier() -> None:
    meter = UsageMeter()
    meter.see(UsageSeen(0, Usage(input_tokens=25, output_tokens=1)))
    meter.see(UsageSeen(0, Usage(input_tokens=25, output_tokens=15)))
    assert meter.total == Usage(input_tokens=25, output_tokens=15)
    assert meter.total.total_tokens == 40


def test_rounds_are_summed_member_by_member() -> None:
    meter = UsageMeter()
    meter.see(UsageSeen(0, Usage(100, 10, cached_tokens=60, cache_write_tokens=5, reasoning_tokens=4)))
    meter.see(UsageSeen(1, Usage(150, 20, cached_tokens=100, cache_write_tokens=0, reasoning_tokens=6)))
    assert meter.total == Usage(250, 30, cached_tokens=160, cache_write_tokens=5, reasoning_tokens=10)


def test_the_last_round_stands_alone_with_the_upstreams_own_object() -> None:
    meter = UsageMeter()
    meter.see(UsageSeen(1, Usage(150, 20, native={"input_tokens": 150, "service_tier": "priority"})))
    meter.see(UsageSeen(0, Usage(100, 10)))
    assert (meter.last_round.input_tokens, meter.last_round.output_tokens) == (150, 20)
    assert meter.last_round.native == {"input_tokens": 150, "service_tier": "priority"}


def test_a_sum_is_nobodys_own_object() -> None:
    meter = UsageMeter()
    meter.see(UsageSeen(0, Usage(1, 1, native={"cost": 0.2})))
    meter.see(UsageSeen(1, Usage(1, 1, native={"cost": 0.3})))
    assert meter.total.native is None


def test_nothing_seen_is_told_from_nothing_used() -> None:
    meter = UsageMeter()
    assert not meter.seen
    assert meter.total == meter.last_round == Usage()
    meter.see(UsageSeen(0, Usage()))
    assert meter.seen
