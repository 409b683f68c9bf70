"""Where everything must be tested, a skip is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPS = {
    "in a test": "import pytest\ndef test_it():\n    pytest.skip('no model here')\n",
    "by a mark": "import pytest\n@pytest.mark.skip(reason='no model here')\ndef test_it(): ...\n",
    "of a module": "import pytest\npytest.skip('no model here', allow_module_level=True)\n",
}


def run_pytest(directory: Path, source: str, require_all: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_skips.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(directory), "-p", "tests.conftest"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WOOLLAMA_TEST_REQUIRE_ALL": require_all}
    return subprocess.run(
        [*command, str(directory)], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS.keys())
def test_a_skip_fails_where_everything_must_run(tmp_path: Path, source: str) -> None:
    finished = run_pytest(tmp_path, source, require_all="1")
    assert finished.returncode not in (0, 5), finished.stdout
    assert "no model here" in finished.stdout
    assert "forbids skipping" in finished.stdout


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    finished = run_pytest(tmp_path, SKIPS["in a test"], require_all="")
    assert finished.returncode == 0, finished.stdout
    assert "1 skipped" in finished.stdout


def test_an_expected_failure_is_not_a_skip(tmp_path: Path) -> None:
    source = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"
    finished = run_pytest(tmp_path, source, require_all="1")
    assert finished.returncode == 0, finished.stdout
