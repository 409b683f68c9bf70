"""Claude through the `claude` command line and its own login.

Every turn is answered by a process of its own, under the supervisor, without tools but those that the call offers. A
process that waits for the results of tools is parked between two rounds; it ends with the task that its turn runs in,
so nothing goes on for somebody who left. What is to be remembered is a session, which the next process resumes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

from woollama.domain.errors import NotSetUp, UpstreamUnreachable
from woollama.domain.events import Event, Rewrote, RoundBegan, Stopped
from woollama.domain.ids import new_id
from woollama.domain.ports import Spawner
from woollama.domain.turns import Call, Target
from woollama.http.frames import FRAME_LIMIT_BYTES
from woollama.inferencers.claude_code.command import (
    NOT_KEPT,
    SERVER,
    arguments,
    environment,
    is_installed,
    program_of,
)
from woollama.inferencers.claude_code.process import Process
from woollama.inferencers.claude_code.prompt import Prompt, encode
from woollama.inferencers.claude_code.session_files import SessionFiles
from woollama.inferencers.claude_code.tool_server import ToolServer
from woollama.inferencers.parked import Parked
from woollama.platform import Unsafe, private_dir

MODELS = ("sonnet", "opus", "haiku")
"""The names that it takes for the newest model of each kind. It does not tell what else an account may use."""
GRACE_S = 1.0
COMPLAINTS_KEPT = 5
LEFTOVER_S = 3600.0
"""No start takes so long: a file of that age was left behind."""


class ClaudeCodeInferencer:
    """Implements `domain.sessions.Sessions`, too. Timeouts are in seconds. `aclose` when no more is asked.

    `environ` is the daemon's, which says where the program is; `kept` what of it the program gets to see. It works in
    `directory`, which is made private, and each session in a directory of its own below.
    """

    backend = "claude-resume"
    forgets_calls = True

    def __init__(
        self,
        name: str,
        spawner: Spawner,
        directory: Path,
        *,
        environ: Mapping[str, str],
        kept: Mapping[str, str],
        env: Mapping[str, str] | None = None,
        first_byte_timeout_s: float = 120.0,
        idle_timeout_s: float = 120.0,
        frame_limit_bytes: int = FRAME_LIMIT_BYTES,
    ) -> None:
        self.name = name
        self._spawner = spawner
        self._directory = directory
        self._environ = environ
        self._kept = kept
        self._env = dict(env or {})
        self._first_byte_timeout_s = first_byte_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._frame_limit_bytes = frame_limit_bytes
        self._parked = Parked(self._end)
        self._files = SessionFiles(directory / "sessions", {**kept, **self._env})
        self._in_session: dict[str, Process] = {}
        """The process that speaks in a session. The next one must not begin before it has ended."""

    def __repr__(self) -> str:
        return f"<ClaudeCodeInferencer {self.name!r} through {program_of(self._environ)}>"

    async def list_models(self) -> Sequence[str]:
        return MODELS if is_installed(program_of(self._environ), {**self._kept, **self._env}) else ()

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        rewrites: Sequence[str] = ()
        if (taken := await self._parked.taken(call)) is not None:
            process, results = taken
            await process.give(results)
        else:
            prompt = encode(call)
            process, rewrites = await self._started(call, prompt), prompt.rewrites
        try:
            async with aclosing(self._events(process, rewrites)) as events:
                yield events
        except BaseException:
            process.calls = []
            raise
        finally:
            if process.calls:
                self._parked.park(process, process.calls)
            else:
                self._parked.end(process)

    # --- conversations

    async def open(self, target: Target, system: str) -> str:
        """`system` is not kept: each process is given the words that its call brings."""
        return self._files.make()

    async def delete(self, session: str) -> None:
        await self._quiet(session)
        await asyncio.to_thread(self._files.remove, session)

    async def _quiet(self, session: str) -> None:
        if (last := self._in_session.get(session)) is not None:
            await self._end(last)

    async def _end(self, process: Process) -> None:
        await process.stop()
        self._in_session = {name: each for name, each in self._in_session.items() if each is not process}

    async def aclose(self) -> None:
        await self._parked.aclose()

    async def _events(self, process: Process, rewrites: Sequence[str]) -> AsyncGenerator[Event]:
        """A process whose message was not heard to its end, or that ended with it, waits for nothing."""
        whole = False
        try:
            async with aclosing(process.round(self._first_byte_timeout_s, self._idle_timeout_s)) as events:
                async for event in events:
                    whole = isinstance(event, Stopped) and event.reason == "tool_calls"
                    yield event
                    if isinstance(event, RoundBegan):
                        for what in rewrites:
                            yield Rewrote(what)
        finally:
            if not whole:
                process.calls = []

    async def _started(self, call: Call, prompt: Prompt) -> Process:
        if (session := call.session) is None:
            return await self._spawned(call, prompt, self._directory, NOT_KEPT)
        await self._quiet(session)
        directory, flags = self._files.directory(session), self._files.flags(session)
        process = await self._spawned(call, prompt, directory, flags, lambda: self._files.note_begun(session))
        self._in_session[session] = process
        return process

    async def _spawned(
        self,
        call: Call,
        prompt: Prompt,
        directory: Path,
        session: Sequence[str],
        answered: Callable[[], None] | None = None,
    ) -> Process:
        offered = call.tools if call.choice.mode != "none" else ()
        complaints: deque[str] = deque(maxlen=COMPLAINTS_KEPT)
        system_file = self._system_file(prompt.system)

        def heard(line: str) -> None:
            if line.strip():
                complaints.append(line.strip())

        try:
            child = await self._spawner.spawn(
                [program_of(self._environ), *arguments(call, system_file, tools=bool(offered), session=session)],
                env=environment(call, self._kept, self._env),
                cwd=str(directory),
                grace_s=GRACE_S,
                pipes=True,
                log_line=heard,
                name=self.name,
                kind="answer",
            )
        except BaseException as error:
            system_file.unlink(missing_ok=True)
            if isinstance(error, FileNotFoundError | PermissionError):
                raise NotSetUp(
                    f"{call.target} needs the claude command line, and there is no {program_of(self._environ)}:"
                    " npm install -g @anthropic-ai/claude-code, or set WOOLLAMA_CLAUDE_BIN",
                    code="not_installed",
                ) from error
            if isinstance(error, OSError):
                raise UpstreamUnreachable(f"{call.target} cannot be started: {error}") from error
            raise
        process = Process(
            child,
            call.target,
            ToolServer(offered),
            complaints,
            limit_bytes=self._frame_limit_bytes,
            forget=lambda: system_file.unlink(missing_ok=True),
            answered=answered,
        )
        try:
            if offered:
                begin = {"subtype": "initialize", "hooks": None, "sdkMcpServers": [SERVER]}
                await process.say({"type": "control_request", "request_id": new_id("w"), "request": begin})
            await process.say(prompt.line)
        except BaseException:
            await process.stop()
            raise
        return process

    def _system_file(self, system: str) -> Path:
        try:
            directory = private_dir(self._directory)
            _sweep(directory)
            path = directory / f"{new_id('system-')}.txt"
            path.touch(mode=0o600)
            path.write_text(system, encoding="utf-8", errors="replace")
        except (Unsafe, OSError) as error:
            raise UpstreamUnreachable(f"{self.name} has no directory to work in: {error}") from error
        return path


def _sweep(directory: Path) -> None:
    """Remove what a daemon that was killed has left."""
    for file in directory.glob("system-*.txt"):
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - LEFTOVER_S:
                file.unlink()
