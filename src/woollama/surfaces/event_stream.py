"""A streaming response: when its status line goes out, and what is sent while nothing happens.

The status line waits for the upstream's, so that a refusal is a real HTTP error. But a client that hears nothing for
ten seconds may give up, so then 200 goes out with a heartbeat, and a later refusal is an error frame. Everything is
written in whole frames: a heartbeat inside one would break the client's parser.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Send

from woollama.surfaces.bodies import Headers

COMMIT_AFTER_S = 10.0
_ALWAYS: Headers = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class EventStream:
    """Unless `commits_early`, silence before the first `begin` or `write` stays silence."""

    def __init__(
        self,
        send: Send,
        *,
        heartbeat: bytes,
        heartbeat_s: float,
        commit_after_s: float = COMMIT_AFTER_S,
        commits_early: bool = True,
        content_type: bytes = b"text/event-stream; charset=utf-8",
    ) -> None:
        self._send = send
        self._heartbeat = heartbeat
        self._heartbeat_s = heartbeat_s
        self._commit_after_s = commit_after_s
        self._commits_early = commits_early
        self._content_type = content_type
        self._writing = asyncio.Lock()
        self._wrote_at = 0.0
        self.begun = False

    async def __aenter__(self) -> Self:
        self._wrote_at = asyncio.get_running_loop().time()
        self._pulse = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._pulse.cancel()

    async def begin(self, headers: Headers = ()) -> None:
        """Send the status line with `headers`, unless waiting has sent it already."""
        async with self._writing:
            await self._begin(headers)

    async def stand_aside(self) -> bool:
        """Leave the answer to somebody else, unless waiting has begun it already; whether it is left."""
        async with self._writing:
            if not self.begun:
                self._pulse.cancel()
            return not self.begun

    async def write(self, frames: bytes) -> None:
        """Send whole frames; the status line too if it is still out."""
        if not frames:
            return
        async with self._writing:
            await self._begin(())
            await self._body(frames)

    async def end(self) -> None:
        async with self._writing:
            await self._begin(())
            self._pulse.cancel()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, headers: Headers) -> None:
        if self.begun:
            return
        self.begun = True
        own = [(b"content-type", self._content_type), *_ALWAYS]
        await self._send({"type": "http.response.start", "status": 200, "headers": [*own, *headers]})

    async def _body(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._wrote_at = asyncio.get_running_loop().time()

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self.begun and not self._commits_early:
                await asyncio.sleep(self._heartbeat_s)
                continue
            silence_s = self._heartbeat_s if self.begun else self._commit_after_s
            wait_s = self._wrote_at + silence_s - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            if self._writing.locked():  # the client reads slowly: it knows that we are here
                await asyncio.sleep(self._heartbeat_s)
                continue
            async with self._writing:
                await self._begin(())
                await self._body(self._heartbeat)
