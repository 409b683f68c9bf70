"""Noticing that the client has left.

ASGI tells of a departure only to those who ask. Inside the block the handler's task is cancelled when the client goes,
so everything that it holds (a run, an upstream connection) is released by the ordinary way out.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive


class Departure:
    """`async with Departure(receive):` ends early and quietly when the client leaves; `gone` tells that it did.

    Nobody looks for the first `unwatched_s`: to look takes a task, and what is over by then does without.
    """

    def __init__(self, receive: Receive, *, unwatched_s: float = 0.0) -> None:
        self._receive = receive
        self._unwatched_s = unwatched_s
        self._watcher: asyncio.Task[None] | None = None
        self._moment: asyncio.TimerHandle | None = None
        self.gone = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        if self._unwatched_s:
            self._moment = asyncio.get_running_loop().call_later(self._unwatched_s, self._begin)
        else:
            self._begin()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> bool:
        if self._watcher is not None:
            self._watcher.cancel()
        elif self._moment is not None:
            self._moment.cancel()
        return self.gone and kind is asyncio.CancelledError and self._task.uncancel() == 0

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._task.cancel()
