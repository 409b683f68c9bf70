"""An embedded model in a process of its own: started by the first who needs it, stopped when nobody has for a while."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from woollama.domain.errors import RouterError, UpstreamBroke, UpstreamTimeout, UpstreamUnreachable
from woollama.domain.ports import Child, Inferencer, Spawner
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.http.request import Patience
from woollama.inferencers.http.transport import HttpClient
from woollama.inferencers.openai.inferencer import OpenAIInferencer

log = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("local_model.py")
STILL_LOADING_S = 5.0
ENDED_WITHIN_S = 0.5
_ERROR_MARK = " E "
"""How llama.cpp marks an error in its log: `0.00.004.445 E where: what`."""


class ModelProcess:
    """`async with process.in_use() as inferencer` gives an inferencer over the running model.

    Whoever comes while it starts waits for the same start; one that died is started anew by the next.
    """

    def __init__(
        self,
        target: str,
        path: Path,
        spawner: Spawner,
        client: HttpClient,
        *,
        environ: Mapping[str, str],
        context_tokens: int,
        patience: Patience,
        start_timeout_s: float,
        idle_s: float,
    ) -> None:
        self.path = path
        self._target = target
        self._spawner = spawner
        self._client = client
        self._environ = environ
        self._context_tokens = context_tokens
        self._patience = patience
        self._start_timeout_s = start_timeout_s
        self._idle_s = idle_s
        self._child: Child | None = None
        self._inferencer: Inferencer | None = None
        self._starting: asyncio.Task[Inferencer] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._users = 0

    def __repr__(self) -> str:
        state = "starting" if self._starting else f"pid {self.pid}, {self._users} users" if self.pid else "not running"
        return f"<ModelProcess {self._target} {state}>"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and not self._child.closed.is_set() else None

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[Inferencer]:
        self._users += 1
        self._cancel_timer()
        try:
            inferencer = await self._running()
            child = self._child
            try:
                yield inferencer
            except (UpstreamBroke, UpstreamUnreachable) as error:
                if child is None or not await _has_ended(child):
                    raise
                raise UpstreamBroke(f"{self._target} went away in the middle: its process {child.ending}") from error
        finally:
            self._users -= 1
            self._watch_idleness()

    async def close(self) -> None:
        self._cancel_timer()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        self._let_go()
        if self._stopping:
            await asyncio.wait(self._stopping)

    async def _running(self) -> Inferencer:
        if self._inferencer is not None and self.pid:
            return self._inferencer
        if self._starting is None:
            if self._child is not None:
                log.warning("%s %s; starting it again", self._target, self._child.ending)
            self._starting = asyncio.create_task(self._start(), name=f"start {self._target}")
            self._starting.add_done_callback(self._started)
        # One who leaves must not end the start for those who stay.
        return await asyncio.shield(self._starting)

    def _started(self, start: asyncio.Task[Inferencer]) -> None:
        self._starting = None
        self._watch_idleness()
        if not start.cancelled():
            start.exception()  # seen, also when everybody who waited has left

    async def _start(self) -> Inferencer:
        began = time.monotonic()
        log.info("%s: loading %s (%d MB)", self._target, self.path, self.path.stat().st_size // 1_000_000)
        errors: list[str] = []
        self._let_go()
        child = self._child = await self._spawn(errors)
        try:
            key = secrets.token_urlsafe(32)
            url = await self._loaded(child, key, errors)
        except BaseException:
            self._let_go()
            raise
        log.info("%s: ready after %.1f s, pid %d", self._target, time.monotonic() - began, child.pid)
        endpoint = Endpoint(self._target.partition("/")[0], f"{url}/v1", lambda: key, patience=self._patience)
        self._inferencer = OpenAIInferencer(endpoint, self._client)
        return self._inferencer

    async def _spawn(self, errors: list[str]) -> Child:
        def log_line(line: str) -> None:
            log.debug("%s: %s", self._target, line)
            if not self._inferencer and _ERROR_MARK in line:
                errors.append(line.partition(_ERROR_MARK)[2].strip())

        # -P: the directory of this file must not come before the standard library.
        argv = [sys.executable, "-P", str(PROGRAM)]
        try:
            return await self._spawner.spawn(
                argv, env=self._environ, pipes=True, log_line=log_line, name=self._target, grace_s=1.0
            )
        except OSError as error:
            raise UpstreamUnreachable(f"{self._target} cannot be started: {error}") from error

    async def _loaded(self, child: Child, key: str, errors: list[str]) -> str:
        """The URL at which it serves, once it does."""
        assert child.reader is not None
        assert child.writer is not None
        alias = self._target.partition("/")[2]
        wanted = {"path": str(self.path), "alias": alias, "key": key, "context_tokens": self._context_tokens}
        told = asyncio.create_task(self._tell_that_it_loads())
        try:
            async with asyncio.timeout(self._start_timeout_s):
                child.writer.write(json.dumps(wanted).encode() + b"\n")
                await child.writer.drain()
                line = await child.reader.readline()
                if not line:
                    await child.closed.wait()
        except TimeoutError:
            raise UpstreamTimeout(f"{self._target} was not loaded within {self._start_timeout_s:g} s") from None
        except ConnectionError:
            line = b""
        finally:
            told.cancel()
        answer: Mapping[str, Any] = json.loads(line) if line else {"failed": child.ending, "installed": True}
        if "url" in answer:
            return str(answer["url"])
        if not answer["installed"]:
            raise RouterError(
                f"{self._target} needs llama.cpp ({answer['failed']}): pip install 'woollama[local]'",
                code="not_installed",
            )
        why = errors[0] if errors else answer["failed"]
        raise RouterError(f"{self._target} cannot be loaded from {self.path}: {why}", code="not_loaded")

    async def _tell_that_it_loads(self) -> None:
        while True:
            await asyncio.sleep(STILL_LOADING_S)
            log.info("%s: still loading", self._target)

    def _watch_idleness(self) -> None:
        self._cancel_timer()
        if not self._users and self._starting is None and self._child is not None:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._stop_idle)

    def _stop_idle(self) -> None:
        log.info("%s: stopped after %g s without use", self._target, self._idle_s)
        self._let_go()

    def _cancel_timer(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _let_go(self) -> None:
        child, self._child, self._inferencer = self._child, None, None
        if child is not None:
            stop = asyncio.create_task(child.stop())
            self._stopping.add(stop)
            stop.add_done_callback(self._stopping.discard)


async def _has_ended(child: Child) -> bool:
    """A connection that breaks is heard of a moment before the end of the process behind it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDED_WITHIN_S):
            await child.closed.wait()
    return child.closed.is_set()
