"""The clock of the test's own event loop, which a test can put forward: its timers are then due as if time had passed.

What may take a minute is so tested in no time at all, and whoever is late by seconds is late by nothing that counts.
"""

from __future__ import annotations

import asyncio


class Clock:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._real = loop.time
        self._ahead_s = 0.0

    def __call__(self) -> float:
        return self._real() + self._ahead_s

    def forward(self, seconds: float) -> None:
        """Timers that are due by then run in the next turn of the loop."""
        self._ahead_s += seconds
