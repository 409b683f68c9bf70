"""Texts whose compression was given up, because it took too long or ended its process. What was decided once stays
decided: the same text is the same bytes in every later prompt, and nobody waits for it twice.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from woollama.compression.database import Database

MOST_KEPT = 10_000
_SCHEMA = """
create table if not exists given_up (digest blob primary key, reason text not null);
"""


class GivenUp:
    """In an SQLite file. Where that cannot be used, texts are given up anew. May be used from any thread."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA)

    def __repr__(self) -> str:
        return f"<GivenUp {self._database!r}>"

    def reason_for(self, text: str, level: str) -> str | None:
        """Why, if this text was given up before."""
        import sqlite3

        if not self._database.exists:
            return None
        try:
            with self._database.used() as connection:
                row = connection.execute(
                    "select reason from given_up where digest = ?", (_digest(text, level),)
                ).fetchone()
        except (sqlite3.Error, OSError):
            return None
        return None if row is None else str(row[0])

    def add(self, text: str, level: str, reason: str) -> None:
        import sqlite3

        try:
            with self._database.used() as connection:
                connection.execute("insert or ignore into given_up values (?, ?)", (_digest(text, level), reason))
                connection.execute(
                    "delete from given_up where rowid <= (select max(rowid) from given_up) - ?", (MOST_KEPT,)
                )
        except (sqlite3.Error, OSError):
            return

    def close(self) -> None:
        self._database.close()


def _digest(text: str, level: str) -> bytes:
    return hashlib.sha256(f"{level} {text}".encode("utf-8", "surrogatepass")).digest()
