"""An SQLite file that is its owner's alone, with a write-ahead log: how each of our stores is opened."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

BUSY_S = 5.0
"""How long another process may hold the file; transactions are short."""
_AGAIN_S = 0.01


def open_private(path: Path | None, **how: Any) -> sqlite3.Connection:
    """A connection, in memory where there is no path. `how` is for `sqlite3.connect`. Blocks for up to `BUSY_S`.

    Raises `OSError` and `sqlite3.Error`. The directory must be there.
    """
    import sqlite3  # imported here: who only reads texts never opens one

    if path is not None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # the files beside it get the same mode
        path.chmod(0o600)
    connection: sqlite3.Connection = sqlite3.connect(path or ":memory:", timeout=BUSY_S, **how)
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Two that turn the log on in a new file at once do not wait for each other in SQLite: the timeout does not count
    there, and nothing tells when the other is done."""
    import sqlite3

    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_AGAIN_S)
