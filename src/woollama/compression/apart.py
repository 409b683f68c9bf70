"""Large texts in a process of their own: neither the event loop nor the interpreter's lock waits for them.

The process is started when the first large text comes, takes one text after the other, and ends when none has come for
a while. What a text does to it (a crash, all its memory, no end) costs that text alone its compression.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from woollama.compression.block import Level
from woollama.compression.policy import Policy
from woollama.compression.router import Compressed
from woollama.compression.worker import READY
from woollama.domain.ports import Child, Spawner

T = TypeVar("T")
log = logging.getLogger(__name__)

PROGRAM = (sys.executable, "-P", "-m", "woollama.compression.worker")
START_S = 30.0
IDLE_S = 60.0
RETRY_AFTER_S = 300.0


def limit_s(size_bytes: int) -> float:
    """How long a text may take before its process is killed: many times what any is known to take."""
    return 10.0 + 10.0 * size_bytes / 2**20


class Unavailable(Exception):
    """There is no process and none can be started. That is no fault of the text."""


class Lost(Exception):
    """The process ended over this text or was killed for taking too long; `str(error)` is the reason code."""


class Apart:
    """`environment` is all that the process knows of ours. `program` must speak as `worker` does."""

    def __init__(
        self,
        spawner: Spawner,
        environment: Mapping[str, str],
        *,
        program: Sequence[str] = PROGRAM,
        limit_s: Callable[[int], float] = limit_s,
        idle_s: float = IDLE_S,
    ) -> None:
        self._spawner = spawner
        self._environment = environment
        self._program = program
        self._limit_s = limit_s
        self._idle_s = idle_s
        self._turn = asyncio.Lock()
        self._child: Child | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._closed = False
        self._not_before = 0.0
        self.starts = 0

    def __repr__(self) -> str:
        return f"<Apart {'pid ' + str(self._child.pid) if self._child else 'not running'}, started {self.starts} times>"

    async def compress(
        self,
        text: str,
        *,
        policy: Policy,
        store: Path,
        max_bytes: int,
        max_age_s: float,
        query: str = "",
        tool: str = "",
        level: Level = "auto",
        hints: Sequence[str] = (),
    ) -> Compressed:
        """As `ContentRouter.compress`, with originals in `store`. Raises `Unavailable` and `Lost`."""
        body = text.encode("utf-8", "surrogatepass")
        asked = {"query": query, "tool": tool, "level": level, "hints": list(hints), "policy": asdict(policy)}
        kept = {"path": str(store), "max_bytes": max_bytes, "max_age_s": max_age_s, "bytes": len(body)}
        told, made = await self._shielded(json.dumps({**asked, **kept}).encode() + b"\n" + body)
        same, _ = told.pop("same"), told.pop("bytes")
        told["refs"] = tuple(told["refs"])
        return Compressed(text if same else made.decode("utf-8", "surrogatepass"), **told)

    async def close(self) -> None:
        """Ends the process; when this returns nothing of it is left."""
        self._closed = True
        if self._resting is not None:
            self._resting.cancel()
        if self._child is not None:
            await self._child.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _shielded(self, request: bytes) -> tuple[dict[str, Any], bytes]:
        """The answer. If its asker leaves meanwhile, it is read all the same, because the next one stands behind it."""
        return await asyncio.shield(self._keep(self._exchange(request)))

    async def _exchange(self, request: bytes) -> tuple[dict[str, Any], bytes]:
        async with self._turn:
            child = await self._running()
            assert child.reader is not None
            assert child.writer is not None
            try:
                async with asyncio.timeout(self._limit_s(len(request))):
                    child.writer.write(request)
                    await child.writer.drain()
                    told = json.loads(await child.reader.readline())
                    made = await child.reader.readexactly(told["bytes"])
            except TimeoutError:
                await self._ended(child)
                raise Lost("took too long") from None
            except (OSError, ValueError, asyncio.IncompleteReadError):
                await self._ended(child)
                if self._closed:
                    raise Unavailable("closed") from None
                log.warning("the process that compresses large results %s; that result stays as it was", child.ending)
                raise Lost("the worker failed") from None
            except BaseException:
                await self._ended(child)
                raise
            self._rest_later()
            return told, made

    async def _running(self) -> Child:
        loop = asyncio.get_running_loop()
        if self._resting is not None:
            self._resting.cancel()
        if self._child is not None and not self._child.closed.is_set():
            return self._child
        if self._closed or loop.time() < self._not_before:
            raise Unavailable("not now")
        try:
            self._child = await self._started()
        except OSError as problem:
            self._not_before = loop.time() + RETRY_AFTER_S
            if not self._closed:
                log.warning("large results are compressed in the daemon itself: no process for them (%s)", problem)
            raise Unavailable(str(problem)) from problem
        self.starts += 1
        return self._child

    async def _started(self) -> Child:
        """Raises `OSError` (`TimeoutError` among them) where it does not come as far as to say that it is ready."""
        child = await self._spawner.spawn(
            self._program,
            env=self._environment,
            grace_s=0.5,
            pipes=True,
            log_line=lambda line: log.debug("compression: %s", line),
            name="compression",
            kind="worker",
        )
        assert child.reader is not None
        try:
            async with asyncio.timeout(START_S):
                said = await child.reader.readline()
        except BaseException:
            await child.stop()
            raise
        if said != READY:
            await child.stop()
            raise ChildProcessError(f"it {child.ending}")
        return child

    async def _ended(self, child: Child) -> None:
        self._child = None
        await child.stop()

    def _rest_later(self) -> None:
        self._resting = asyncio.get_running_loop().call_later(self._idle_s, lambda: self._keep(self._rest()))

    async def _rest(self) -> None:
        async with self._turn:
            if self._child is not None:
                await self._ended(self._child)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
