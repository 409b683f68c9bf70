"""How long a server is left alone between two of its lives."""

from __future__ import annotations

import asyncio

import anyio

from woollama.toolservers.logins import LoginFile

STEADY_S = 5.0
"""A life of at least this long counts as health: its end is followed by a restart at once."""
FIRST_S = 0.5
LONGEST_S = 60.0
SHORTEST_S = 0.2
"""A call on a server that is down ends the pause before the next attempt, once it has been this long."""
LOGIN_LOOK_S = 1.0


class Pauses:
    """None after a long life, ever longer ones when lives are short or do not begin; `knock` ends one early."""

    def __init__(self) -> None:
        self.failures = 0
        self._knocked = asyncio.Event()
        self._login: LoginFile | None = None

    def __repr__(self) -> str:
        return f"<Pauses after {self.failures} failures>"

    def after(self, *, was_ready: bool, lived_s: float) -> float:
        """How long the pause is after a life that has ended."""
        if was_ready and lived_s >= STEADY_S:
            self.failures = 0
        in_a_row = self.failures if was_ready else self.failures + 1
        self.failures += 1
        return min(LONGEST_S, FIRST_S * 2.0 ** (in_a_row - 1)) if in_a_row > 0 else 0.0

    def knock(self) -> bool:
        """Whether that makes sense: where a login is waited for, only once there is another one."""
        if self._login is not None and not self._login.renewed:
            return False
        self._knocked.set()
        return True

    async def rest(self, pause_s: float) -> None:
        self._knocked.clear()
        await asyncio.sleep(SHORTEST_S)
        with anyio.move_on_after(pause_s - SHORTEST_S):
            await self._knocked.wait()

    async def until_logged_in(self, login: LoginFile) -> None:
        """Somebody else does that, with `woollama login`. Whoever knocks has it looked at once."""
        self._login = login
        try:
            while not login.renewed:
                self._knocked.clear()
                with anyio.move_on_after(LOGIN_LOOK_S):
                    await self._knocked.wait()
        finally:
            self._login = None
        self.failures = 0
