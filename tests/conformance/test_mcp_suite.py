"""The public conformance suite of MCP, with a server behind woollama: what it passes alone, it passes through us."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from conformance.mcp.run import INSTALLED, SUITES, node, run
from tests.surfaces.mcp_server.hosts import serving

FIXTURE = Path(__file__).parents[2] / "conformance" / "mcp" / "fixture.py"
PATIENCE_S = 20.0
WHOLE = {"2025": 44, "2025-11-25": 84, "2026-07-28": 152}
OVER_STDIO: Mapping[str, int] = {**WHOLE, "2025-11-25": 83}
"""One check less: there is no stream of events that could end in the middle of a call."""


@pytest.fixture(scope="module", autouse=True)
def suite() -> None:
    if not INSTALLED.exists() or node() is None:
        pytest.skip("the conformance suite is not installed: scripts/clients does that, and needs npm")


@asynccontextmanager
async def fixture_over_http() -> AsyncIterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(FIXTURE), "http", str(port)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await process.stdout.readline() == b"serving\n"
        yield port
    finally:
        process.kill()
        await process.communicate()


async def hold(url: str, suites: Mapping[str, int]) -> None:
    """All suites at once; each passes exactly so much, and nothing fails or vanishes."""
    scores = await asyncio.gather(*(asyncio.to_thread(run, url, suite) for suite in suites))
    for (suite, whole), score in zip(suites.items(), scores, strict=True):
        assert (score.passed, score.failed) == (whole, 0), f"{suite}: {score.failures}"


async def test_the_fixture_over_http_is_as_good_behind_woollama(tmp_path: Path) -> None:
    assert set(SUITES) == set(WHOLE)
    async with fixture_over_http() as port:
        entry = {"type": "http", "url": f"http://127.0.0.1:{port}/mcp", "prefix": "", "trusted": True}
        with serving(tmp_path, fixture=entry) as daemon:
            await hold(f"{daemon.url.replace('127.0.0.1', 'localhost')}/mcp", WHOLE)


async def test_the_fixture_over_stdio_is_as_good_behind_woollama(tmp_path: Path) -> None:
    entry: dict[str, Any] = {
        "command": sys.executable,
        "args": [str(FIXTURE), "stdio"],
        "prefix": "",
        "trusted": True,
    }
    with serving(tmp_path, fixture=entry) as daemon:
        await hold(f"{daemon.url.replace('127.0.0.1', 'localhost')}/mcp", OVER_STDIO)
