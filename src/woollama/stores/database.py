"""A database as the tables here need it: short statements, one transaction around several, two kinds behind one port.

Statements are written in what SQLite and PostgreSQL have in common, with `?` for values and `NOW()` for the database's
own clock in seconds of the epoch. Who needs more than that should wonder whether the table is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

Row = Mapping[str, Any]
_HALF = re.compile("[\ud800-\udfff]")


class Statements(Protocol):
    async def execute(self, sql: str, *values: Any) -> int:
        """How many rows it changed."""
        ...

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """The same statement with each row of values: all of them, or none."""
        ...

    async def fetch(self, sql: str, *values: Any) -> Sequence[Row]: ...


class Database(Statements, Protocol):
    """Opened by its first use. Every failure of it is a `StoreUnreachable`.

    `transaction` may be entered inside another one of the same task, which it then is a part of. `is_shared` where
    other instances can be at it.
    """

    is_shared: bool

    def transaction(self) -> AbstractAsyncContextManager[Statements]: ...

    async def close(self) -> None: ...


def open_database(url: str) -> Database:
    """The database at `url`: `sqlite:///file` or `postgresql://…`. Nothing is opened yet.

    Raises `ValueError` with what is wrong with the URL; it never repeats a password.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        from woollama.stores.sqlite import Sqlite

        return Sqlite(_file_in(url))
    if scheme in ("postgresql", "postgres"):
        from woollama.stores.postgres import Postgres

        return Postgres(url)
    raise ValueError(f"a database's URL begins with sqlite: or postgresql:, not {scheme!r}")


def sound(values: Iterable[Any]) -> tuple[Any, ...]:
    """Texts with a sign (U+FFFD) for what not every database can hold: a NUL, and half a surrogate pair, which programs
    leave over where they cut a text. The JSON that we write has neither; titles, keys and ids come as they are sent."""
    return tuple(_sound(value) if isinstance(value, str) else value for value in values)


def _sound(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _HALF.sub("\ufffd", text)
    return text.replace("\0", "\ufffd")


def password_in(url: str) -> str | None:
    """What must never be seen in a log."""
    try:
        return unquote(urlsplit(url).password or "") or None
    except ValueError:
        return None


def _file_in(url: str) -> Path:
    """`sqlite:///srv/x.db` and `sqlite:////srv/x.db` are the same file: both are in use elsewhere."""
    path = unquote(url.partition(":")[2]).removeprefix("//")
    if not path.strip("/"):
        raise ValueError("sqlite:///path/to/file names the file")
    return Path("/" + path.lstrip("/"))
