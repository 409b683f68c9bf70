"""The shipped files are found in a checkout and in an installed package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import woollama
from woollama.config.defaults import defaults_dir

ROOT = Path(__file__).parents[2]


def test_a_checkout_has_them_at_its_root() -> None:
    assert defaults_dir() == ROOT


def test_an_installed_package_has_them_inside(tmp_path: Path) -> None:
    package = tmp_path / "woollama"
    shutil.copytree(Path(woollama.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("recipes.toml", "mcp.json", "inferencers.toml"):
        (package / "defaults").mkdir(exist_ok=True)
        shutil.copy(ROOT / name, package / "defaults")
    program = (
        "from woollama.config import load\n"
        "loaded = load(None, {'HOME': '.'})\n"
        "print(loaded.config.servers['clock'].args[0], *loaded.problems)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert finished.stdout.strip() == str(package / "defaults" / "examples" / "mcp-clock" / "server.py"), (
        finished.stderr
    )
