"""The tables of handles, responses and instances."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import fields
from typing import Any

from woollama.domain.messages import Json
from woollama.domain.state import UNFINISHED, Handle, Page, StoredResponse
from woollama.domain.wire_json import dumps, loads
from woollama.stores.database import Database, Row

_JSON = frozenset({"metadata", "body"})
_BOOLEAN = frozenset({"listed", "background", "cancelling"})
_HANDLE = tuple(field.name for field in fields(Handle))
_RESPONSE = tuple(field.name for field in fields(StoredResponse))
_OF_HANDLE = ", ".join(_HANDLE)
_OF_RESPONSE = ", ".join(_RESPONSE)
_UNFINISHED = ", ".join(f"'{status}'" for status in sorted(UNFINISHED))
_DAY_S = 86400.0


class Tables:
    """Implements `StateTables` on a database."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @property
    def database(self) -> Database:
        return self._db

    def __repr__(self) -> str:
        return f"<Tables in {self._db!r}>"

    def transaction(self) -> AbstractAsyncContextManager[object]:
        return self._db.transaction()

    # --- handles

    async def handle(self, handle_id: str) -> Handle | None:
        rows = await self._db.fetch(f"SELECT {_OF_HANDLE} FROM handles WHERE id = ?", handle_id)
        return _handle(rows[0]) if rows else None

    async def handle_of_key(self, key: str) -> Handle | None:
        rows = await self._db.fetch(f"SELECT {_OF_HANDLE} FROM handles WHERE key = ?", key)
        return _handle(rows[0]) if rows else None

    async def handle_of_thread(self, native_id: str) -> Handle | None:
        rows = await self._db.fetch(f"SELECT {_OF_HANDLE} FROM handles WHERE native_id = ?", native_id)
        return _handle(rows[0]) if rows else None

    async def add_handle(self, handle: Handle, held_by: str | None = None, for_s: float = 0.0) -> bool:
        places = ", ".join("?" * len(_HANDLE))
        added = await self._db.execute(
            f"INSERT INTO handles ({_OF_HANDLE}, locked_by, locked_until) VALUES ({places}, ?, NOW() + ?)"
            " ON CONFLICT (key) DO NOTHING",
            *(_written(name, getattr(handle, name)) for name in _HANDLE),
            held_by,
            for_s,
        )
        return added > 0

    async def change_handle(self, handle_id: str, *, freed_by: str | None = None, **changes: Json) -> bool:
        if freed_by is None:
            return await self._change("handles", handle_id, changes)
        return await self._change("handles", handle_id, changes, ", locked_by = NULLIF(locked_by, ?)", freed_by)

    async def remove_handle(self, handle_id: str) -> None:
        async with self._db.transaction():
            await self._db.execute("DELETE FROM responses WHERE handle = ?", handle_id)
            await self._db.execute("DELETE FROM handles WHERE id = ?", handle_id)

    async def drop_opening(self, handle_id: str) -> None:
        async with self._db.transaction():
            if await self._db.execute("DELETE FROM handles WHERE id = ? AND status = 'opening'", handle_id):
                await self._db.execute("UPDATE responses SET handle = NULL WHERE handle = ?", handle_id)

    async def handles(
        self, page: Page, *, key_prefix: str = "", backend: str | None = None, token: str | None = None
    ) -> Sequence[Handle]:
        direction, beyond = ("DESC", "<") if page.newest_first else ("ASC", ">")
        sql = f"SELECT {_OF_HANDLE} FROM handles WHERE listed = 1 AND status <> 'opening'"
        values: list[Any] = []
        if page.after is not None:
            sql += f" AND (created_at, id) {beyond} (SELECT created_at, id FROM handles WHERE id = ?)"
            values.append(page.after)
        if key_prefix:
            sql += " AND substr(key, 1, ?) = ?"
            values += [len(key_prefix), key_prefix]
        if backend is not None:
            sql += " AND backend = ?"
            values.append(backend)
        if token is not None:
            sql += " AND token = ?"
            values.append(token)
        sql += f" ORDER BY created_at {direction}, id {direction} LIMIT ?"
        return [_handle(row) for row in await self._db.fetch(sql, *values, page.limit)]

    async def outdated(self, *, listed: bool, days: float) -> Sequence[Handle]:
        rows = await self._db.fetch(
            f"SELECT {_OF_HANDLE} FROM handles WHERE listed = ? AND updated_at < NOW() - ?"
            " AND (locked_by IS NULL OR locked_until < NOW())",
            int(listed),
            days * _DAY_S,
        )
        return [_handle(row) for row in rows]

    async def lock(self, handle_id: str, instance: str, for_s: float) -> bool:
        changed = await self._db.execute(
            "UPDATE handles SET locked_by = ?, locked_until = NOW() + ?"
            " WHERE id = ? AND (locked_by IS NULL OR locked_by = ? OR locked_until < NOW())",
            instance,
            for_s,
            handle_id,
            instance,
        )
        return changed > 0

    async def unlock(self, handle_id: str, instance: str) -> None:
        await self._db.execute(
            "UPDATE handles SET locked_by = NULL, locked_until = 0 WHERE id = ? AND locked_by = ?", handle_id, instance
        )

    # --- responses

    async def response(self, response_id: str) -> StoredResponse | None:
        rows = await self._db.fetch(f"SELECT {_OF_RESPONSE} FROM responses WHERE id = ?", response_id)
        return _response(rows[0]) if rows else None

    async def add_response(self, response: StoredResponse) -> None:
        places = ", ".join("?" * len(_RESPONSE))
        await self._db.execute(
            f"INSERT INTO responses ({_OF_RESPONSE}) VALUES ({places})",
            *(_written(name, getattr(response, name)) for name in _RESPONSE),
        )

    async def change_response(self, response_id: str, **changes: Json) -> bool:
        if "frames" in changes and self.is_shared:
            await self._db.execute("DELETE FROM stream_parts WHERE response = ?", response_id)
        return await self._change("responses", response_id, changes)

    async def remove_response(self, response_id: str) -> bool:
        return await self._db.execute("DELETE FROM responses WHERE id = ?", response_id) > 0

    async def responses_in(self, handle_id: str) -> int:
        rows = await self._db.fetch("SELECT count(*) AS number FROM responses WHERE handle = ?", handle_id)
        return int(rows[0]["number"])

    async def response_ending(self, handle_id: str, ends_at: int) -> StoredResponse | None:
        rows = await self._db.fetch(
            f"SELECT {_OF_RESPONSE} FROM responses WHERE handle = ? AND ends_at = ?", handle_id, ends_at
        )
        return _response(rows[0]) if rows else None

    async def forget_lost(self, days: float) -> int:
        return await self._db.execute(
            f"DELETE FROM responses WHERE handle IS NULL AND status NOT IN ({_UNFINISHED}) AND created_at < NOW() - ?",
            days * _DAY_S,
        )

    async def frames(self, response_id: str) -> bytes | None:
        rows = await self._db.fetch("SELECT frames FROM responses WHERE id = ?", response_id)
        return zlib.decompress(rows[0]["frames"]) if rows and rows[0]["frames"] is not None else None

    @property
    def is_shared(self) -> bool:
        return self._db.is_shared

    async def add_part(self, response_id: str, begins_at: int, ends_at: int, frames: bytes) -> None:
        await self._db.execute(
            "INSERT INTO stream_parts (response, begins_at, ends_at, frames) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            response_id,
            begins_at,
            ends_at,
            frames,
        )

    async def parts(self, response_id: str, begin: int) -> Sequence[tuple[int, bytes]]:
        rows = await self._db.fetch(
            "SELECT begins_at, frames FROM stream_parts WHERE response = ? AND ends_at > ? ORDER BY begins_at",
            response_id,
            begin,
        )
        return [(row["begins_at"], row["frames"]) for row in rows]

    # --- instances

    async def beat(self, instance: str, place: str, lock_s: float) -> Sequence[str]:
        async with self._db.transaction():
            await self._db.execute(
                "INSERT INTO instances (id, place, beat_at) VALUES (?, ?, NOW())"
                " ON CONFLICT (id) DO UPDATE SET beat_at = NOW()",
                instance,
                place,
            )
            await self._db.execute("UPDATE handles SET locked_until = NOW() + ? WHERE locked_by = ?", lock_s, instance)
            rows = await self._db.fetch(
                f"SELECT id FROM responses WHERE instance = ? AND cancelling = 1 AND status IN ({_UNFINISHED})",
                instance,
            )
        return [row["id"] for row in rows]

    async def end_dead(self, instance: str, place: str, silent_s: float, why: Json) -> int:
        async with self._db.transaction():
            rows = await self._db.fetch(
                f"SELECT {_OF_RESPONSE} FROM responses WHERE status IN ({_UNFINISHED}) AND instance <> ? AND"
                " instance NOT IN (SELECT id FROM instances WHERE beat_at >= NOW() - ? AND place <> ?)",
                instance,
                silent_s,
                place,
            )
            ended = [_response(row) for row in rows]
            for response in ended:
                body = {**response.body, "status": "failed", "error": why, "output": []}
                await self.change_response(response.id, status="failed", body=body)
                if response.handle is not None:
                    await self._release(response.handle)
            if self.is_shared:
                running = f"SELECT id FROM responses WHERE status IN ({_UNFINISHED})"
                await self._db.execute(f"DELETE FROM stream_parts WHERE response NOT IN ({running})")
            await self._db.execute(
                "DELETE FROM instances WHERE id <> ? AND (beat_at < NOW() - ? OR place = ?)", instance, silent_s, place
            )
        return len(ended)

    async def leave(self, instance: str) -> None:
        await self._db.execute("DELETE FROM instances WHERE id = ?", instance)

    async def _release(self, handle_id: str) -> None:
        """What a dead instance held; and the handle itself, if the turn that died was to be its first."""
        await self._db.execute("UPDATE handles SET locked_by = NULL, locked_until = 0 WHERE id = ?", handle_id)
        await self.drop_opening(handle_id)

    async def _change(
        self, table: str, row_id: str, changes: Mapping[str, Json], more: str = "", *of_more: str
    ) -> bool:
        sets = ", ".join(f"{name} = ?" for name in changes) + more
        values = (_written(name, value) for name, value in changes.items())
        return await self._db.execute(f"UPDATE {table} SET {sets} WHERE id = ?", *values, *of_more, row_id) > 0


def _written(name: str, value: Any) -> Any:
    if name in _JSON:
        return dumps(value).decode()
    if name in _BOOLEAN:
        return int(value)
    if name == "frames":
        return zlib.compress(value)
    return value


def _handle(row: Row) -> Handle:
    return Handle(**{name: _read(name, row[name]) for name in _HANDLE})


def _response(row: Row) -> StoredResponse:
    return StoredResponse(**{name: _read(name, row[name]) for name in _RESPONSE})


def _read(name: str, value: Any) -> Any:
    if name in _JSON:
        return loads(value.encode())
    return bool(value) if name in _BOOLEAN else value
