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
    """`async with Departure(receive):` ends early and quietly when the client leaves; `gone` tells that it did."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.gone = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> bool:
        self._watcher.cancel()
        return self.gone and kind is asyncio.CancelledError and self._task.uncancel() == 0

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._task.cancel()
