"""Fixtures that every test may use, and the rule that nothing is skipped where everything is installed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator
from typing import TypeVar

import pytest

from tests.clock import Clock

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_configure() -> None:
    """Ctrl-C is typed at programs here. A shell that runs the tests in the background has them ignore it, and what
    they start would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance cases")
    group.addoption("--base-url", help="hold the cases against this daemon instead of one in the test's process")
    group.addoption("--upstream-port", default="0", help="the port on which the runner plays that daemon's upstream")
    group.addoption("--record", action="store_true", help="write answers into the cases that have none")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of asyncio's own event loop: that of uvloop cannot be moved."""
    loop = asyncio.get_running_loop()
    moved = Clock(loop)
    monkeypatch.setattr(loop, "time", moved)
    return moved


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return refuse_skip((yield))


def refuse_skip(report: Report) -> Report:
    """Turns a skip into a failure under WOOLLAMA_TEST_REQUIRE_ALL=1: a check that did not run proves nothing."""
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and os.environ.get("WOOLLAMA_TEST_REQUIRE_ALL") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nWOOLLAMA_TEST_REQUIRE_ALL=1 forbids skipping"
    return report
