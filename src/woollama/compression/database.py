"""An SQLite file that is its owner's alone: how originals, what was looked up and the books are kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from woollama.sqlite_file import open_private

if TYPE_CHECKING:
    import sqlite3


class Database:
    """Opened when it is first used; in memory where there is no path. May be used from any thread."""

    def __init__(self, path: Path | None, schema: str) -> None:
        self._path = path
        self._schema = schema
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def __repr__(self) -> str:
        return str(self._path or "in memory")

    @property
    def exists(self) -> bool:
        """Whether there can be something in it: to read what was never written makes no file."""
        return self._path is None or self._path.exists()

    @contextmanager
    def used(self) -> Iterator[sqlite3.Connection]:
        """One transaction, kept if the block ends well. Raises `OSError` and `sqlite3.Error`."""
        with self._lock:
            if self._connection is None:
                self._connection = _opened(self._path, self._schema)
            with self._connection:
                yield self._connection

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _opened(path: Path | None, schema: str) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = open_private(path, check_same_thread=False)
    connection.executescript(schema)
    return connection
