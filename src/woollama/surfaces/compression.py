"""`GET /w1/compression`: what compression saved, and what voided a provider's cache. Numbers and names, no texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.surfaces.bodies import send_json


class Compression:
    """`statistics` and `misses` give the bodies."""

    def __init__(self, statistics: Callable[[], dict[str, Any]], misses: Callable[[], dict[str, Any]]) -> None:
        self._statistics = statistics
        self._misses = misses

    async def stats(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, self._statistics())

    async def why_miss(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, self._misses())
