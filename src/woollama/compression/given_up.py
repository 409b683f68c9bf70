"""Texts whose compression was given up, because it took too long or ended its process. What was decided once stays
decided: the same text is the same bytes in every later prompt, and nobody waits for it twice.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from woollama.compression.originals import private_database

if TYPE_CHECKING:
    import sqlite3

MOST_KEPT = 10_000
_SCHEMA = """
create table if not exists given_up (digest blob primary key, reason text not null);
"""


class GivenUp:
    """In an SQLite file. Where that cannot be used, texts are given up anew. May be used from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def __repr__(self) -> str:
        return f"<GivenUp {self._path}>"

    def reason_for(self, text: str, level: str) -> str | None:
        """Why, if this text was given up before."""
        import sqlite3

        if not self._path.exists():
            return None
        try:
            with self._lock, self._opened() as connection:
                row = connection.execute(
                    "select reason from given_up where digest = ?", (_digest(text, level),)
                ).fetchone()
        except (sqlite3.Error, OSError):
            return None
        return None if row is None else str(row[0])

    def add(self, text: str, level: str, reason: str) -> None:
        import sqlite3

        try:
            with self._lock, self._opened() as connection:
                connection.execute("insert or ignore into given_up values (?, ?)", (_digest(text, level), reason))
                connection.execute(
                    "delete from given_up where rowid <= (select max(rowid) from given_up) - ?", (MOST_KEPT,)
                )
        except (sqlite3.Error, OSError):
            return

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = private_database(self._path, _SCHEMA)
        return self._connection


def _digest(text: str, level: str) -> bytes:
    return hashlib.sha256(f"{level} {text}".encode("utf-8", "surrogatepass")).digest()
