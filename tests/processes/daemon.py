"""A daemon to kill: spawns every form of nasty process, tells their pids and the supervisor's, then sits there.

With the argument `copied` a fork of it stays behind, which holds every descriptor of the daemon open.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from tests.processes.nasty import FORMS
from tests.processes.watching import Lines, spawn_nasty
from woollama.processes.children import Supervisor


async def main() -> None:
    async with Supervisor() as supervisor:
        lines = Lines()
        for form in FORMS:
            await spawn_nasty(supervisor, form, lines)
        for pid in await lines.pids(sum(FORMS.values())):
            sys.stdout.write(f"pid {pid}\n")
        sys.stdout.write(f"supervisor {supervisor.pid}\n")
        if "copied" in sys.argv:
            if (copy := os.fork()) == 0:
                while True:
                    signal.pause()
            sys.stdout.write(f"copy {copy}\n")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
