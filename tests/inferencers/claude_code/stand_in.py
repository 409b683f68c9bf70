"""An inferencer whose `claude` is the stand-in, and what that was given."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from woollama.inferencers.claude_code import ClaudeCodeInferencer
from woollama.processes.children import Supervisor
from woollama.processes.environment import claude_environment

PROGRAM = Path(__file__).with_name("claude.py")


def program(directory: Path) -> Path:
    path = directory / "claude"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROGRAM}" "$@"\n')
    path.chmod(0o755)
    return path


@dataclass(frozen=True)
class Given:
    """What the stand-in wrote down, process by process in one list."""

    log: Path

    @property
    def notes(self) -> list[Mapping[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @property
    def starts(self) -> list[Mapping[str, Any]]:
        return [note for note in self.notes if "flags" in note]

    def heard(self, kind: str) -> list[Mapping[str, Any]]:
        return [note["heard"] for note in self.notes if note.get("heard", {}).get("type") == kind]


@asynccontextmanager
async def claude(
    directory: Path,
    recorded: str,
    *,
    ends: str = "",
    environ: Mapping[str, str] | None = None,
    idle_timeout_s: float = 20,
) -> AsyncIterator[tuple[ClaudeCodeInferencer, Given, Supervisor]]:
    given = Given(directory / "given.ndjson")
    environ = {"WOOLLAMA_CLAUDE_BIN": str(program(directory)), "HOME": str(directory), "PATH": "/usr/bin:/bin"} | dict(
        environ or {}
    )
    async with Supervisor() as supervisor:
        inferencer = ClaudeCodeInferencer(
            "claude-code",
            supervisor,
            directory / "work",
            environ=environ,
            kept=claude_environment(environ),
            env={"STAND_IN": recorded, "STAND_IN_ENDS": ends, "STAND_IN_LOG": str(given.log)},
            first_byte_timeout_s=20,
            idle_timeout_s=idle_timeout_s,
        )
        try:
            yield inferencer, given, supervisor
        finally:
            await inferencer.aclose()
