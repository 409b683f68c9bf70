"""What tests of processes share: who has settled, who is dead, and a bound on every wait."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from woollama.processes.child import Child
from woollama.processes.children import Supervisor
from woollama.processes.environment import private_environment

NASTY = Path(__file__).with_name("nasty.py")
PATIENCE_S = 60.0
ENVIRONMENT = private_environment(os.environ)


class Deaths:
    """Watches processes by pidfd, so that a pid that is used again is no mistake."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._alive = {pid: os.pidfd_open(pid) for pid in pids}

    async def all(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            for pid, fd in self._alive.items():
                died = asyncio.Event()
                loop.add_reader(fd, died.set)
                try:
                    await died.wait()
                except TimeoutError:
                    raise AssertionError(f"{pid} is alive") from None
                finally:
                    loop.remove_reader(fd)
                    os.close(fd)


class Lines:
    """The lines that a child logs, to be waited for."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.seen.append(line)
        self._more.set()

    async def until(self, enough: Callable[[list[str]], bool]) -> list[str]:
        async with asyncio.timeout(PATIENCE_S):
            while not enough(self.seen):
                self._more.clear()
                await self._more.wait()
        return self.seen

    async def pids(self, count: int) -> list[int]:
        await self.until(lambda lines: len(settled(lines)) >= count)
        return settled(self.seen)


def settled(lines: Iterable[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines if line.startswith("pid ")]


async def spawn_nasty(supervisor: Supervisor, form: str, lines: Lines, grace_s: float = 0.1) -> Child:
    argv = [sys.executable, "-IS", str(NASTY), form]
    return await supervisor.spawn(argv, env=ENVIRONMENT, grace_s=grace_s, log_line=lines, name=form)
