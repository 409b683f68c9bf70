"""Fixtures that every test may use, and the rule that nothing is skipped where everything is installed."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance cases")
    group.addoption("--base-url", help="hold the cases against this daemon instead of one in the test's process")
    group.addoption("--upstream-port", default="0", help="the port on which the runner plays that daemon's upstream")
    group.addoption("--record", action="store_true", help="write answers into the cases that have none")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
