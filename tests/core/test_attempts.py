"""Candidates in order: what is retried, what falls back, what is final."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from woollama.core.attempts import Attempts, Try
from woollama.core.lease import FAILURES_BEFORE_COOLDOWN, LeasePolicy
from woollama.domain.errors import BadRequest, RouterError, UpstreamBroke, UpstreamRefused, UpstreamUnreachable
from woollama.domain.turns import Target

A, B = Target("a", "m"), Target("b", "m")


class Script:
    """Attempts whose outcomes are written down: an error to raise, or an answer."""

    def __init__(self, *outcomes: RouterError | str, retries: int = 0) -> None:
        self.outcomes = list(outcomes)
        self.tried: list[Target] = []
        self.lasts: list[bool] = []
        self.slept: list[float] = []

        async def sleep(pause_s: float) -> None:
            self.slept.append(pause_s)

        policy = LeasePolicy(retries=retries)
        self.attempts = Attempts({"a": policy, "b": policy}, clock=lambda: 0.0, sleep=sleep)

    @asynccontextmanager
    async def attempt(self, trial: Try) -> AsyncIterator[str]:
        self.tried.append(trial.target)
        self.lasts.append(trial.last)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, RouterError):
            raise outcome
        yield outcome

    async def run(self, targets: Sequence[Target]) -> tuple[Try, str]:
        async with self.attempts.first_to_answer(targets, "me", self.attempt) as found:
            return found


async def test_the_first_answer_is_taken() -> None:
    script = Script("hello")
    trial, answer = await script.run([A, B])
    assert (trial.target, trial.number, answer) == (A, 1, "hello")
    assert script.slept == []


async def test_a_failure_is_retried_and_then_falls_back() -> None:
    script = Script(UpstreamUnreachable("1"), UpstreamUnreachable("2"), "hello", retries=1)
    trial, _ = await script.run([A, B])
    assert script.tried == [A, A, B]
    assert script.lasts == [False, False, False]
    assert trial.number == 3


async def test_the_last_try_knows_that_it_is_the_last_and_its_error_is_raised() -> None:
    script = Script(UpstreamUnreachable("1"), UpstreamBroke("2"), UpstreamRefused("3", status=503), retries=0)
    with pytest.raises(UpstreamBroke, match="2"):
        await script.run([A, B])
    assert script.lasts == [False, True]


@pytest.mark.parametrize("error", [BadRequest("no"), UpstreamRefused("no", status=404)])
async def test_what_another_try_cannot_mend_is_final(error: RouterError) -> None:
    script = Script(error, "never", retries=2)
    with pytest.raises(type(error)):
        await script.run([A, B])
    assert script.tried == [A]


async def test_retry_after_is_obeyed_when_short_and_handed_on_when_long() -> None:
    short = Script(UpstreamRefused("busy", status=429, headers={"retry-after": "3"}), "hello", retries=1)
    await short.run([A])
    assert short.slept == [3]
    long = Script(UpstreamRefused("busy", status=429, headers={"retry-after": "60"}), "never", retries=1)
    with pytest.raises(UpstreamRefused) as raised:
        await long.run([A])
    assert (raised.value.retry_after, long.slept) == (60, [])


async def test_a_long_retry_after_leaves_the_target_for_the_next() -> None:
    script = Script(UpstreamRefused("busy", status=429, headers={"retry-after": "60"}), "hello", retries=2)
    trial, _ = await script.run([A, B])
    assert (script.tried, trial.target) == ([A, B], B)


async def test_once_begun_a_failure_is_the_requests_failure() -> None:
    script = Script("half", "never", retries=2)
    with pytest.raises(UpstreamBroke, match="in mid-word"):
        async with script.attempts.first_to_answer([A, B], "me", script.attempt):
            raise UpstreamBroke("in mid-word")
    assert script.tried == [A]


async def test_a_cooling_target_is_tried_last_and_the_only_one_is_always_tried() -> None:
    script = Script(*(UpstreamUnreachable("down") for _ in range(FAILURES_BEFORE_COOLDOWN)), "from b", "from a")
    for _ in range(FAILURES_BEFORE_COOLDOWN):
        with pytest.raises(UpstreamUnreachable):
            await script.run([A])
    assert (await script.run([A, B]))[0].target == B
    assert (await script.run([A]))[0].target == A
