"""Originals: what was left out can be had back. A store in SQL, bounded by bytes and by age.

The file is the owner's alone (0600), in a directory of his alone. Texts lie there as they were, so the store holds
whatever tools returned, secrets included, for `max_age_s` after they were last looked up; `max_bytes = 0` keeps
nothing, and then nothing is ever left out.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from woollama.compression.database import Database

if TYPE_CHECKING:
    import sqlite3

MAX_BYTES = 512 * 2**20
MAX_AGE_S = 7 * 24 * 3600.0
RENEW_EACH_S = 60.0
_SCHEMA = """
create table if not exists originals (
    ref text primary key, body blob not null, bytes integer not null, tool text not null, used real not null
);
create index if not exists originals_by_use_with_sizes on originals (used, ref, bytes);
drop index if exists originals_by_use;
"""
"""The index has all that making room asks for: to find a size in a row, its whole text would be read."""


class OriginalsFull(Exception):
    """It could not be stored: there is no room, or the disk refuses."""


class Originals(Protocol):
    def put(self, ref: str, text: str, *, tool: str = "") -> None:
        """Store first, emit then. Raises `OriginalsFull`."""
        ...

    def get(self, ref: str) -> str | None:
        """The exact text, and its age begins anew."""
        ...


class SqlOriginals:
    """In an SQLite file, or in memory where there is none. May be used from any thread."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._database = Database(path, _SCHEMA)

    def __repr__(self) -> str:
        return f"<SqlOriginals {self._database!r}>"

    def put(self, ref: str, text: str, *, tool: str = "") -> None:
        import sqlite3

        body = zlib.compress(text.encode("utf-8", "surrogatepass"), 1)
        if len(body) > self._max_bytes:
            raise OriginalsFull(f"the original needs {len(body)} bytes and the store may hold {self._max_bytes}")
        try:
            with self._database.used() as connection:
                connection.execute(
                    "insert into originals values (?, ?, ?, ?, ?) on conflict (ref) do update set used = excluded.used",
                    (ref, body, len(body), tool, self._clock()),
                )
                self._make_room(connection, ref)
        except (sqlite3.Error, OSError) as problem:
            raise OriginalsFull(str(problem)) from problem

    def get(self, ref: str) -> str | None:
        found = self.find(ref)
        return None if found is None else found[0]

    def find(self, ref: str) -> tuple[str, str] | None:
        """The exact text and the tool that it came from."""
        import sqlite3

        now = self._clock()
        try:
            with self._database.used() as connection:
                row = connection.execute("select body, used, tool from originals where ref = ?", (ref,)).fetchone()
                if row is None or row[1] < now - self._max_age_s:
                    return None
                if row[1] < now - RENEW_EACH_S:
                    connection.execute("update originals set used = ? where ref = ?", (now, ref))
        except (sqlite3.Error, OSError):
            return None
        return zlib.decompress(row[0]).decode("utf-8", "surrogatepass"), row[2]

    def bound(self, *, max_bytes: int, max_age_s: float) -> None:
        """Other bounds from now on."""
        self._max_bytes, self._max_age_s = max_bytes, max_age_s

    def size(self) -> tuple[int, int]:
        """How many originals there are, and the bytes that they take."""
        with self._database.used() as connection:
            count, size = connection.execute("select count(*), coalesce(sum(bytes), 0) from originals").fetchone()
        return count, size

    def close(self) -> None:
        self._database.close()

    def _make_room(self, connection: sqlite3.Connection, keep: str) -> None:
        connection.execute("delete from originals where used < ? and ref != ?", (self._clock() - self._max_age_s, keep))
        (size,) = connection.execute("select coalesce(sum(bytes), 0) from originals").fetchone()
        while size > self._max_bytes:
            oldest = connection.execute(
                "select ref, bytes from originals where ref != ? order by used, ref limit 1", (keep,)
            ).fetchone()
            if oldest is None:
                return
            connection.execute("delete from originals where ref = ?", (oldest[0],))
            size -= oldest[1]
