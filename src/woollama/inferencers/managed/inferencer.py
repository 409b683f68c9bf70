"""An inferencer whose upstream is a process of ours: it runs while it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from woollama.domain.errors import UpstreamUnreachable
from woollama.domain.events import Event
from woollama.domain.ports import Inferencer
from woollama.domain.turns import Call
from woollama.inferencers.managed.model_process import ModelProcess, Served


class ManagedInferencer:
    """Implements `domain.ports.Inferencer`. `at` makes the inferencer that speaks to the process where it serves."""

    def __init__(self, name: str, process: ModelProcess, at: Callable[[Served], Inferencer]) -> None:
        self.name = name
        self._process = process
        self._at = at
        self._made: tuple[Served, Inferencer] | None = None

    def __repr__(self) -> str:
        return f"<ManagedInferencer {self.name!r} {self._process!r}>"

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        async with self._process.in_use() as served, self._of(served).answer(call) as events:
            yield events

    async def list_models(self) -> Sequence[str]:
        """Asks a process that runs; nothing is started for a list."""
        served = self._process.served
        if served is None:
            raise UpstreamUnreachable(f"{self.name} does not run now, and is not started for a list of its models")
        return await self._of(served).list_models()

    def _of(self, served: Served) -> Inferencer:
        if self._made is None or self._made[0] != served:
            self._made = (served, self._at(served))
        return self._made[1]
