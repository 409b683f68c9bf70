"""A daemon in front of an upstream that converses, and the environments that `scripts/clients` makes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conformance.case import HERE, environment
from tests.conversing import converse
from tests.daemon import daemon
from tests.upstream import ScriptedUpstream

ROOT = Path(__file__).parents[2]
SCRIPTS = HERE / "clients"
ENVIRONMENTS = ROOT / ".clients"
PATIENCE_S = 180.0


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Finished:
    code: int
    out: str


@dataclass(frozen=True)
class Stage:
    url: str
    environ: Mapping[str, str] = field(default_factory=dict)

    async def run(self, *argv: str, cwd: Path = SCRIPTS, **environ: str) -> Finished:
        """Run a client program to its end; all that it says is its output."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env={**kept, "NO_COLOR": "1", **environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                out, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            out, _ = await process.communicate()
            pytest.fail(f"{argv} did not end:\n{out.decode()[-3000:]}")
        return Finished(process.returncode or 0, out.decode())

    async def passes(self, *argv: str) -> None:
        """Run a script of checks: each must have passed, and there must have been some."""
        finished = await self.run(*argv, self.url)
        lines = finished.out.splitlines()
        assert finished.code == 0, finished.out
        assert any(line.startswith("ok ") for line in lines), finished.out


@pytest.fixture(scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with ScriptedUpstream() as upstream:
        upstream.always(converse)
        environ = {**os.environ, **environment(upstream.origin)}
        async with daemon(HERE / "config", environ) as running:
            yield Stage(running.url)


def python_of(environment: str) -> str:
    """The interpreter of an environment of client programs; skips where `scripts/clients` has not been run."""
    interpreter = ENVIRONMENTS / environment / "bin" / "python"
    if not interpreter.exists():
        pytest.skip(f"the clients of {environment!r} are not installed: run scripts/clients")
    return str(interpreter)


OURS = sys.executable
