"""One `claude` process and what it says, line by line, as the events of rounds.

It runs its own loop: after a message that calls tools it waits for their results on its pipes and goes on with the
next message. Each message is one round here, and between two rounds the process is parked.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from woollama.domain.errors import RouterError, UpstreamBroke, UpstreamTimeout
from woollama.domain.events import CallOpened, Event, RoundBegan, Stopped
from woollama.domain.messages import Json, ToolResult
from woollama.domain.ports import Child
from woollama.domain.turns import Target
from woollama.http.lines import Lines
from woollama.inferencers.anthropic.decode import MessagesStreamDecoder
from woollama.inferencers.claude_code.command import TOOL_PREFIX
from woollama.inferencers.claude_code.errors import error_of
from woollama.inferencers.claude_code.tool_server import ToolServer

_CHUNK_BYTES = 1 << 16
_LAST_WORDS_S = 2.0
_WRITING_S = 10.0


class Process:
    """`forget` is called once it has said its first words: what it was started with is read by then.

    With `answered` it speaks in a session, which outlasts it: that is called as soon as its model begins to answer.
    """

    def __init__(
        self,
        child: Child,
        target: Target,
        tools: ToolServer,
        complaints: Sequence[str],
        *,
        limit_bytes: int,
        forget: Callable[[], None],
        answered: Callable[[], None] | None = None,
    ) -> None:
        assert child.reader is not None
        self._child = child
        self._target = target
        self._tools = tools
        self._complaints = complaints
        self._lines = Lines(_Chunks(child.reader), limit_bytes)
        self._forget = forget
        self._answered = answered
        self.calls: list[str] = []
        """What it waits for, while it is parked."""

    def __repr__(self) -> str:
        return f"<Process {self._child.pid} for {self._target}, {len(self.calls)} calls open>"

    async def say(self, line: Mapping[str, Json]) -> None:
        assert self._child.writer is not None
        with suppress(ConnectionError, RuntimeError):  # it has ended, and reading says why
            self._child.writer.write(json.dumps(line).encode() + b"\n")
            await self._child.writer.drain()

    async def give(self, results: Sequence[ToolResult]) -> None:
        self.calls = []
        for line in self._tools.give(results):
            await self.say(line)

    async def round(self, first_s: float, idle_s: float) -> AsyncGenerator[Event]:
        """The events of its next message, ending with `Stopped`. Raises `RouterError`.

        In a session the round begins as soon as it has been told something, so that nobody tells it again.
        """
        decoder = MessagesStreamDecoder(self._target)
        began = spoke = False
        failed_with: str | None = None
        while True:
            line = await self._next(idle_s if spoke else first_s)
            match line.get("type"):
                case "stream_event" if line.get("parent_tool_use_id") is None:
                    for event in decoder.feed(line["event"]):
                        if isinstance(event, RoundBegan):
                            spoke = True
                            if self._answered is not None:
                                self._answered()
                            if began:
                                continue
                        if isinstance(event, Stopped) and event.reason != "tool_calls" and self._answered is not None:
                            await self._written()
                        yield self._ours(event)
                        if isinstance(event, Stopped):
                            return
                case "system" if line.get("subtype") == "init" and self._answered is not None:
                    began = True
                    yield RoundBegan(0, self._target, line.get("session_id"), line.get("model"))
                case "control_request":
                    for answer in self._tools.answers(line):
                        await self.say(answer)
                case "assistant":
                    failed_with = line.get("error") or failed_with
                case "result" if line.get("is_error"):
                    raise error_of(str(self._target), line, failed_with)
                case "result":
                    raise UpstreamBroke(f"{self._target} ended without an answer of its model: {line.get('result')}")
                case _:
                    pass

    async def _written(self) -> None:
        """Wait until it has written down what it said, and has ended; for a while."""
        assert self._child.writer is not None
        self._child.writer.close()
        with suppress(TimeoutError, StopAsyncIteration, RouterError):
            async with asyncio.timeout(_WRITING_S):
                while not _goes_on(await anext(self._lines)):
                    pass

    async def stop(self) -> None:
        """One that waits for results takes the end of its stdin for failures, of which it would tell its model."""
        self._forget()
        if self.calls and not self._child.closed.is_set():
            with suppress(ProcessLookupError, TimeoutError):
                os.kill(self._child.pid, signal.SIGTERM)
                async with asyncio.timeout(_LAST_WORDS_S):
                    await self._child.closed.wait()
        await self._child.stop()

    def _ours(self, event: Event) -> Event:
        if isinstance(event, CallOpened):
            self.calls.append(event.id)
            return replace(event, name=event.name.removeprefix(TOOL_PREFIX))
        return event

    async def _next(self, patience_s: float) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(patience_s):
                raw = await anext(self._lines)
        except TimeoutError:
            raise UpstreamTimeout(f"{self._target} said nothing for {patience_s:g} s") from None
        except StopAsyncIteration:
            raise await self._ending() from None
        self._forget()
        try:
            line = json.loads(raw)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise UpstreamBroke(f"{self._target} said what nobody can read: {raw[:200].decode(errors='replace')}")
        return line

    async def _ending(self) -> RouterError:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._child.closed.wait()
                await self._child.silent.wait()
        why = f": {self._complaints[-1]}" if self._complaints else ""
        return UpstreamBroke(f"{self._target}: claude {self._child.ending} without an answer{why}")


def _goes_on(raw: bytes) -> bool:
    """Whether it has begun another message, though nobody will hear it."""
    return b'"message_start"' in raw


class _Chunks:
    """What a process prints, as it comes. No generator: nothing is to be closed here but the process itself."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if chunk := await self._reader.read(_CHUNK_BYTES):
            return chunk
        raise StopAsyncIteration
