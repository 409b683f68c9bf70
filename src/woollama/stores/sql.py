"""Transcripts in a database: one row for each item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from woollama.domain.ids import new_id
from woollama.domain.state import Page, Raw
from woollama.domain.wire_json import dumps, loads
from woollama.stores.database import Database, Row
from woollama.stores.tables import Tables


class SqlStore:
    """Implements `EditableStore`. A thread has no row of its own: it is its items."""

    def __init__(self, database: Database, name: str = "sql") -> None:
        self._db = database
        self.name = name

    def __repr__(self) -> str:
        return f"<SqlStore in {self._db!r}>"

    def shares(self, tables: object) -> bool:
        return isinstance(tables, Tables) and tables.database is self._db

    async def create(self) -> str:
        return new_id("thread_")

    async def read(self, thread: str, begin: int = 0, end: int | None = None) -> Sequence[Raw]:
        sql, values = "SELECT body FROM items WHERE thread = ? AND position >= ?", [thread, begin]
        if end is not None:
            sql += " AND position < ?"
            values.append(end)
        return [_item(row) for row in await self._db.fetch(f"{sql} ORDER BY position", *values)]

    async def append(self, thread: str, at: int, items: Sequence[Raw]) -> None:
        rows = [(thread, position, item["id"], dumps(item).decode()) for position, item in enumerate(items, at)]
        if rows:
            await self._db.execute_many("INSERT INTO items (thread, position, id, body) VALUES (?, ?, ?, ?)", rows)

    async def delete(self, thread: str) -> None:
        await self._db.execute("DELETE FROM items WHERE thread = ?", thread)

    async def fork(self, thread: str, end: int) -> str:
        copy = await self.create()
        await self._db.execute(
            "INSERT INTO items (thread, position, id, body)"
            " SELECT CAST(? AS TEXT), position, id, body FROM items WHERE thread = ? AND position < ?",
            copy,
            thread,
            end,
        )
        return copy

    async def find(self, item_id: str, thread: str | None = None) -> Raw | None:
        sql, values = "SELECT body FROM items WHERE id = ?", [item_id]
        if thread is not None:
            sql += " AND thread = ?"
            values.append(thread)
        rows = await self._db.fetch(f"{sql} LIMIT 1", *values)
        return _item(rows[0]) if rows else None

    async def known(self, thread: str, ids: Sequence[str]) -> Sequence[str]:
        places = ", ".join("?" * len(ids))
        found = await self._db.fetch(f"SELECT id FROM items WHERE thread = ? AND id IN ({places})", thread, *ids)
        return [row["id"] for row in found]

    async def threads_of(self, item_id: str) -> Sequence[str]:
        return [row["thread"] for row in await self._db.fetch("SELECT thread FROM items WHERE id = ?", item_id)]

    async def page(self, thread: str, page: Page) -> Sequence[Raw]:
        direction, beyond = ("DESC", "< (SELECT min") if page.newest_first else ("ASC", "> (SELECT max")
        sql, values = "SELECT body FROM items WHERE thread = ?", [thread]
        if page.after is not None:  # an id that stands there twice must not lead back
            sql += f" AND position {beyond}(position) FROM items WHERE thread = ? AND id = ?)"
            values += [thread, page.after]
        found = await self._db.fetch(f"{sql} ORDER BY position {direction} LIMIT ?", *values, page.limit)
        return [_item(row) for row in found]

    async def remove(self, thread: str, item_id: str) -> bool:
        return await self._db.execute("DELETE FROM items WHERE thread = ? AND id = ?", thread, item_id) > 0


def _item(row: Row) -> Raw:
    item: dict[str, Any] = loads(row["body"].encode())
    return item
