"""TOIN: what was looked up after it had been left out, remembered by tool, so that the next conversation keeps it in
line.

Of each tool the latest hints are kept, and of tools those that were looked up latest. Nothing leaves this machine. A
store that is broken or full is counted and delays nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from woollama.compression.database import Database

MOST_HINTS = 12
MOST_KEPT = 200
MOST_TOOLS = 500
LONGEST_HINT = 160
_SCHEMA = """
create table if not exists looked_up (
    tool text not null, hint text not null, times integer not null, latest integer not null, primary key (tool, hint)
);
"""
_SPACE = re.compile(r"\s+")


class Toin:
    """In an SQLite file, or in memory where there is none. `broken` counts what could not be learned or recalled."""

    def __init__(self, path: Path | None = None) -> None:
        self._database = Database(path, _SCHEMA)
        self.broken = 0

    def __repr__(self) -> str:
        return f"<Toin {self._database!r}, {self.broken} times broken>"

    def learn(self, tool: str, hint: str) -> None:
        """`hint` was looked up in a result of `tool`."""
        import sqlite3

        hint = _SPACE.sub(" ", hint).strip()[:LONGEST_HINT]
        if not tool or not hint:
            return
        try:
            with self._database.used() as connection:
                (latest,) = connection.execute("select coalesce(max(latest), 0) + 1 from looked_up").fetchone()
                connection.execute(
                    "insert into looked_up values (?, ?, 1, ?) on conflict (tool, hint)"
                    " do update set times = times + 1, latest = excluded.latest",
                    (tool, hint, latest),
                )
                connection.execute(
                    "delete from looked_up where tool = ? and hint not in"
                    " (select hint from looked_up where tool = ? order by latest desc limit ?)",
                    (tool, tool, MOST_KEPT),
                )
                connection.execute(
                    "delete from looked_up where tool not in"
                    " (select tool from looked_up group by tool order by max(latest) desc limit ?)",
                    (MOST_TOOLS,),
                )
        except (sqlite3.Error, OSError):
            self.broken += 1

    def hints(self, tool: str) -> Sequence[str]:
        """What was looked up most often, and latest, in results of `tool`."""
        import sqlite3

        try:
            with self._database.used() as connection:
                rows = connection.execute(
                    "select hint from looked_up where tool = ? order by times desc, latest desc limit ?",
                    (tool, MOST_HINTS),
                ).fetchall()
        except (sqlite3.Error, OSError):
            self.broken += 1
            return ()
        return tuple(hint for (hint,) in rows)

    def close(self) -> None:
        self._database.close()
