"""The daemon's side of the supervisor: starts it, spawns children through it, and starts it anew when it was killed."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from woollama.domain.ports import ProcessKind
from woollama.processes.child import Child, KeeperLost
from woollama.processes.plumbing import Plumbing

log = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("supervisor.py")
START_TIMEOUT_S = 10.0


class Supervisor:
    """Spawns processes of which nothing is left behind, however the daemon ends.

    `start` and `close` belong to the daemon's lifespan, and it may be started again after a `close`. In between, a
    supervisor process that was killed is replaced by the next `spawn`; its children have ended with it. `starts` counts
    these processes, `started_at` is in seconds of the epoch. `reduced` forgoes what only Linux has.
    """

    def __init__(self, *, reduced: bool = False) -> None:
        self._reduced = reduced
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._turn = asyncio.Lock()
        self._children: set[Child] = set()
        self._open = False
        self.starts = 0
        self.started_at = 0.0

    def __repr__(self) -> str:
        state = f"pid {self._process.pid}" if self._process else "not running"
        return f"<Supervisor {state}, {len(self.children)} children>"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def children(self) -> tuple[Child, ...]:
        """Those that run, in the order of their process ids."""
        return tuple(sorted((c for c in self._children if not c.closed.is_set()), key=lambda child: child.pid))

    async def __aenter__(self) -> Supervisor:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Starts the supervisor process. Raises `OSError` when that cannot be done."""
        self._open = True
        await self._running()

    async def close(self) -> None:
        """Stops all children at once, then the supervisor. When this returns, nothing is left."""
        self._open = False
        async with self._turn:
            while self._children:
                await asyncio.gather(*(child.stop() for child in self._children))
            await self._discard()

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None = None,
        grace_s: float = 2.0,
        pipes: bool = False,
        log_line: Callable[[str], None] | None = None,
        name: str = "",
        kind: ProcessKind = "tool_server",
    ) -> Child:
        """Runs a program with exactly the environment given, looking it up on that environment's PATH.

        With `pipes` the child has a `reader` and a `writer`, over its stdout and stdin; else its stdin is empty and
        its stdout goes where its stderr goes: line by line to `log_line`, which must not block. `grace_s` is the time
        between SIGTERM and SIGKILL. Raises `OSError` (`FileNotFoundError`, …) when the program cannot be run.
        """
        spec = {"argv": list(argv), "env": dict(env), "cwd": cwd, "grace_s": grace_s}

        async def attempt() -> Child:
            requests = await self._running()
            child = Child(name, argv, grace_s, self._children.discard, kind)
            plumbing = Plumbing(pipes=pipes)
            try:
                socket.send_fds(requests, [b"k"], plumbing.theirs)
                plumbing.close_theirs()
                await child.begin(plumbing, spec, log_line)
            except ConnectionError as error:
                raise KeeperLost(str(error)) from error
            finally:
                plumbing.close()
            self._children.add(child)
            return child

        try:
            child = await attempt()
        except KeeperLost:
            child = await attempt()
        if not self._open:
            await child.stop()
            raise ChildProcessError("the supervisor is closed")
        return child

    async def _running(self) -> socket.socket:
        """The socket of a supervisor process that is alive."""
        async with self._turn:
            if not self._open:
                raise ChildProcessError("the supervisor is closed")
            if self._requests is not None:
                # Its end of the socket closes before the process can be waited for.
                try:
                    self._requests.recv(1, socket.MSG_PEEK)
                except BlockingIOError:
                    return self._requests
                except ConnectionError:
                    pass
                log.warning("the supervisor process %s has ended: starting a new one", self.pid)
                await self._discard()
            return await self._launch()

    async def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                command = [sys.executable, "-I", "-S", "-E", str(PROGRAM), str(theirs.fileno()), str(os.getpid())]
                # Blocks for the milliseconds of a fork.
                self._process = subprocess.Popen(  # noqa: ASYNC220
                    [*command, *(["reduced"] if self._reduced else [])],
                    # What the interpreter itself may need to start; its children get their own.
                    env={name: value for name, value in os.environ.items() if name.startswith(("LD_", "DYLD_"))},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        self._requests = ours
        self.starts += 1
        self.started_at = round(time.time(), 3)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                if not await asyncio.get_running_loop().sock_recv(ours, 1):
                    raise ChildProcessError("the supervisor process ended at its start")
        except BaseException:
            self._process.kill()
            await self._discard()
            raise
        return ours

    async def _discard(self) -> None:
        """Lets go of the supervisor process and waits for its end."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None:
            process, self._process = self._process, None
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    await asyncio.to_thread(process.wait)
            except TimeoutError:
                process.kill()
                await asyncio.to_thread(process.wait)
