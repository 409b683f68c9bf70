"""The benches run: what they measure is told, and no time is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.postgres import programs

ROOT = Path(__file__).parents[1]


def test_the_gateways_are_measured_side_by_side() -> None:
    environ = {key: value for key, value in os.environ.items() if key != "LITELLM"}
    finished = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    for line in ("64 connections", "50 streams at once", "memory of all its processes"):
        assert line in finished.stdout
    rows = [row for row in finished.stdout.splitlines() if row.startswith("  woollama, ")]
    assert len(rows) == 3 * 2 + 2 + 1, finished.stdout
    assert not any("no answers" in row for row in rows), finished.stdout
    assert sum("50/50" in row for row in rows) == 2, finished.stdout


def test_state_is_measured_with_what_is_installed() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "bench", "state", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    for line in ("SQLite", "turns a second", "a turn that is not stored", "the conversation of", "stored responses"):
        assert line in finished.stdout
    assert ("PostgreSQL: not installed" in finished.stdout) == (programs() is None)


def test_tool_calls_are_measured_beside_a_session_of_their_own() -> None:
    environ = {key: value for key, value in os.environ.items() if key not in ("FASTMCP", "MCP_PROXY")}
    finished = subprocess.run(
        [sys.executable, "-m", "bench", "mcp", "--quick"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    rows = [row.split() for row in finished.stdout.splitlines() if row.startswith("  ")]
    assert [row[0] for row in rows] == ["direct", "woollama"] * 4 + ["woollama"], finished.stdout
    assert rows[-1][1] == "63", finished.stdout  # 60 and our own three
    assert "no answers" not in finished.stdout


def test_an_unknown_part_is_told_which_there_are() -> None:
    finished = subprocess.run([sys.executable, "-m", "bench", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 1
    assert "gateways, mcp, overhead" in finished.stderr
