"""docs/configuration.md names everything that configures the daemon."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.snippets import ROOT
from woollama.config.environment import ENVIRONMENT
from woollama.config.woollama_toml import SECTIONS

PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "src" / "woollama").rglob("*.py"))


def test_the_page_is_what_the_model_says() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stderr


def test_every_variable_that_the_sources_read_is_on_it() -> None:
    read = {name for file in SOURCES for name in re.findall(r"\bWOOLLAMA_[A-Z_]+\b", file.read_text(encoding="utf-8"))}
    assert set(ENVIRONMENT) <= read
    assert [name for name in sorted(read) if f"`{name}" not in PAGE] == []


def test_every_section_has_its_table() -> None:
    assert [name for name in SECTIONS if f"### `[{name}]`" not in PAGE] == []
