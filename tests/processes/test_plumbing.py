"""Descriptors are closed once: a second time they would be somebody else's."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable

import pytest
import uvloop

from woollama.processes.child import Child
from woollama.processes.plumbing import Plumbing

STEPS_TO_CONNECT = 12


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("steps", range(STEPS_TO_CONNECT))
def test_a_start_that_is_cancelled_closes_its_descriptors_and_nobody_elses(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], steps: int
) -> None:
    async def cancelled() -> set[str]:
        plumbing = Plumbing(pipes=True)
        child = Child("", ["cat"], 1.0, lambda _: None)
        begun = asyncio.create_task(child.begin(plumbing, {}, None))
        for _ in range(steps):
            await asyncio.sleep(0)
        begun.cancel()
        await asyncio.wait([begun])
        taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]  # the numbers that have become free
        plumbing.close()
        del begun, plumbing, child
        gc.collect()
        for _ in range(STEPS_TO_CONNECT):
            await asyncio.sleep(0)
        for fd in taken:
            os.close(fd)  # raises if somebody has closed it
        return set(os.listdir("/proc/self/fd"))

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        had = runner.run(cancelled())  # a loop opens what it needs itself with its first connection
        assert runner.run(cancelled()) == had
