"""A process under the supervisor, as the daemon sees it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from woollama.domain.ports import ProcessKind
from woollama.processes.plumbing import PipeEnd, Plumbing

log = logging.getLogger(__name__)

EXEC_TIMEOUT_S = 30.0
FAREWELL_S = 1.0
"""How long a child that reads its stdin may take to leave by itself once that is closed."""
LAST_WORDS_S = 0.2
"""How long the output of a child is read after its death, when a process that it left keeps the pipe open."""
SWEEP_S = 5.0
READER_LIMIT_BYTES = 1 << 20
LOG_LINE_BYTES = 8192


class KeeperLost(ChildProcessError):
    """The keeper or the supervisor ended before the program was running."""


class Child:
    """`closed` is set as soon as the process has ended, whoever ended it; `exit_code` is negative for a signal.

    `silent` is set when all that it printed has been heard. `started_at` is in seconds of the epoch. `reader` and
    `writer` are its stdout and stdin, where it was spawned with pipes.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        grace_s: float,
        on_end: Callable[[Child], None],
        kind: ProcessKind = "tool_server",
    ) -> None:
        self.name = name
        self.kind: ProcessKind = kind
        self.started_at = time.time()
        self.argv = tuple(argv)
        self.pid = 0
        self.exit_code: int | None = None
        self.closed = asyncio.Event()
        self.silent = asyncio.Event()
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self._grace_s = grace_s
        self._on_end = on_end
        self._gone = asyncio.Event()
        self._control: asyncio.StreamWriter | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._stdout: asyncio.ReadTransport | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Task[None] | None = None
        self._ended = False

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if not self.closed.is_set() else self.ending
        return f"<Child {self.name or self.argv[0]!r} {state}>"

    @property
    def ending(self) -> str:
        """How it ended, for a person: `exited with code 3`, `was killed by signal 9`."""
        match self.exit_code:
            case None:
                return "was lost with its keeper" if self.closed.is_set() else "is running"
            case code if code < 0:
                return f"was killed by signal {-code}"
            case code:
                return f"exited with code {code}"

    async def begin(self, plumbing: Plumbing, spec: Mapping[str, Any], log_line: Callable[[str], None] | None) -> None:
        """Tells the keeper what to run and waits until it runs. Raises `OSError` when it cannot."""
        try:
            events, stderr = await self._connect(plumbing)
            assert self._control is not None
            self._control.write(json.dumps(spec).encode() + b"\n")
            await self._control.drain()
            async with asyncio.timeout(EXEC_TIMEOUT_S):
                first = await events.readline()
            self._started(json.loads(first) if first else None)
        except ConnectionError as error:
            self._end()
            raise KeeperLost(str(error)) from error
        except BaseException:
            self._end()
            raise
        self._keep(self._follow(events))
        self._keep(self._listen(stderr, log_line or _nobody))

    async def stop(self) -> None:
        """Ends it and everything that it started: stdin closed, SIGTERM, SIGKILL. Returns when nothing is left."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _connect(self, plumbing: Plumbing) -> tuple[asyncio.StreamReader, asyncio.StreamReader]:
        """Streams of the control socket and of stderr, and those of stdin and stdout where there are pipes."""
        loop = asyncio.get_running_loop()
        events, self._control = await plumbing.connect_control()
        self._transports.append(self._control.transport)

        async def read(pipe: PipeEnd) -> tuple[asyncio.ReadTransport, asyncio.StreamReader]:
            reader = asyncio.StreamReader(limit=READER_LIMIT_BYTES)
            transport, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), pipe.taken_by(loop)
            )
            self._transports.append(transport)
            return transport, reader

        _, errors = await read(plumbing.stderr)
        if plumbing.stdout is not None:
            self._stdout, self.reader = await read(plumbing.stdout)
        if plumbing.stdin is not None:
            # The only public protocol that lets a StreamWriter drain; its reader sees nothing.
            protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
            self._stdin, _ = await loop.connect_write_pipe(lambda: protocol, plumbing.stdin.taken_by(loop))
            self.writer = asyncio.StreamWriter(self._stdin, protocol, None, loop)
        return events, errors

    def _started(self, event: Mapping[str, Any] | None) -> None:
        match event:
            case {"event": "started", "pid": int(pid)}:
                self.pid = pid
            case {"event": "failed", "step": "command", "errno": int(errno)}:
                raise OSError(errno, os.strerror(errno), self.argv[0])
            case {"event": "failed", "step": step, "errno": int(errno), "error": error}:
                raise OSError(errno, f"{step}: {error}")
            case _:
                raise KeeperLost("the keeper ended before the program was running")

    async def _follow(self, events: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            async for line in events:
                event = json.loads(line)
                if event["event"] == "exited":
                    self.exit_code = event["code"]
                    self.closed.set()
                    # A process that it left may hold the pipe open for as long as the sweep takes.
                    loop.call_later(LAST_WORDS_S, self._close_reader)
        self.closed.set()
        self._gone.set()
        loop.call_later(LAST_WORDS_S, self._end)

    async def _listen(self, stderr: asyncio.StreamReader, log_line: Callable[[str], None]) -> None:
        await _pass_lines(stderr, log_line)
        self.silent.set()

    async def _stop(self) -> None:
        if self._ended or self._control is None:
            return
        if self.writer is not None and not self.closed.is_set():
            self._close_writer()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(FAREWELL_S, self._grace_s)):
                    await self.closed.wait()
        with suppress(ConnectionError, RuntimeError):
            self._control.write(b"stop\n")
        try:
            async with asyncio.timeout(self._grace_s + SWEEP_S):
                await self._gone.wait()
        except TimeoutError:
            log.error("%r cannot be killed", self)
        self._end()

    def _close_writer(self) -> None:
        if self._stdin is None or self._stdin.is_closing():
            return
        if self._stdin.get_write_buffer_size():  # it does not read: a close would wait until it does
            self._stdin.abort()
        else:
            self._stdin.close()

    def _close_reader(self) -> None:
        """Its consumer sees the end of the stream."""
        if self._stdout is not None:
            self._stdout.close()

    def _end(self) -> None:
        """Gives back everything of ours. The keeper sees the end of its control socket, if it is still there."""
        if self._ended:
            return
        self._ended = True
        self.closed.set()
        self.silent.set()
        self._gone.set()
        self._close_writer()
        for transport in self._transports:
            transport.close()
        for task in self._tasks:
            task.cancel()
        self._on_end(self)

    def _keep(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _pass_lines(stream: asyncio.StreamReader, log_line: Callable[[str], None]) -> None:
    """Line by line; a line that is too long comes in pieces."""
    rest = b""
    while chunk := await stream.read(LOG_LINE_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) >= LOG_LINE_BYTES:
            lines.append(rest)
            rest = b""
        for line in lines:
            log_line(line.decode(errors="replace").rstrip("\r"))
    if rest:
        log_line(rest.decode(errors="replace"))


def _nobody(line: str) -> None:
    """Its output is read, because a full pipe would stop it, and dropped."""
