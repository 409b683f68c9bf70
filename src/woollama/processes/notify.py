"""A program of the owner's, run for each question that waits for a person: a notification, a dialog."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from woollama.domain.messages import Answer, Ask

_log = logging.getLogger("woollama.approvals")

MOST_RUNNING = 16
SHOWN_CHARS = 500
GRACE_S = 2.0


class Notifier:
    """Observes approvals. `command` is a program with its first arguments; a title and a text follow.

    The program is the owner's and no child of the supervisor, so it may answer: `WOOLLAMA_APPROVAL` holds the id. It is
    told to end when the question is over. `environ` is all of its environment. Nothing goes through a shell.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.command = tuple(command)
        self._environ = dict(environ)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._complained = False

    def __repr__(self) -> str:
        return f"<Notifier {self.command[:1]}, {len(self._running)} running>"

    def see(self, ask: Ask, answer: Answer | None) -> None:
        if answer is not None:
            if (running := self._running.pop(ask.id, None)) is not None:
                running.cancel()
        elif self.command and len(self._running) < MOST_RUNNING:
            self._running[ask.id] = asyncio.create_task(self._run(ask), name=f"notifying of {ask.id}")

    async def close(self) -> None:
        running, self._running = list(self._running.values()), {}
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _run(self, ask: Ask) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                *_said(ask),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**self._environ, "WOOLLAMA_APPROVAL": ask.id},
                cwd="/",
            )
        except (OSError, ValueError) as error:
            if not self._complained:
                _log.warning("[approvals] notify: %s cannot be run: %s", self.command[0], error)
            self._complained = True
            return
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(GRACE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _said(ask: Ask) -> tuple[str, str]:
    """A title and a text. Notification programs read markup, and what a model wrote must not become a link."""
    text = ask.preview if len(ask.preview) <= SHOWN_CHARS else f"{ask.preview[:SHOWN_CHARS]}…"
    return f"Yes or no: {ask.name}", text.replace("<", "‹").replace(">", "›")
