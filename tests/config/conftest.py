"""A configuration directory that a test fills, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from woollama.config import Loaded, load


class Files:
    """`write` files, then `load` them; `told` is how every error and warning of the user's files is told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environ: dict[str, str] = {"HOME": str(directory)}

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text, encoding="utf-8")

    def load(self, environ: Mapping[str, str] | None = None) -> Loaded:
        return load(self.directory, {**self.environ, **(environ or {})})

    def told(self, environ: Mapping[str, str] | None = None) -> list[str]:
        return [str(problem).removeprefix(f"{self.directory}/") for problem in self.load(environ).problems]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)
