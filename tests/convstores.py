"""The shipped example stores, running."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


@contextmanager
def rest_convstore(file: Path) -> Iterator[str]:
    """`examples/rest-convstore` as a process; its address."""
    words = [sys.executable, str(EXAMPLES / "rest-convstore" / "server.py"), str(file), "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield running.stdout.readline().strip()
        finally:
            running.kill()
