"""SQLite in a thread of its own: the standard library's driver, one connection, write-ahead log.

One thread and one connection make transactions follow one another, so a cancelled task cannot leave one open: its
rollback comes after whatever the thread still does for it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from woollama.domain.errors import StoreUnreachable
from woollama.platform import Unsafe, private_dir
from woollama.sqlite_file import BUSY_S, open_private
from woollama.stores.database import Row, sound
from woollama.stores.schema import migrations_after, too_new

T = TypeVar("T")
_NOW = "((julianday('now') - 2440587.5) * 86400.0)"


class Sqlite:
    is_shared = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._turn = asyncio.Lock()
        self._inside: ContextVar[bool] = ContextVar("inside a transaction", default=False)

    def __repr__(self) -> str:
        return f"<Sqlite {self._path}>"

    async def execute(self, sql: str, *values: Any) -> int:
        if self._inside.get():
            return await self._run(lambda connection: connection.execute(_spelt(sql), sound(values)).rowcount)
        async with self.transaction():
            return await self.execute(sql, *values)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        async with self.transaction():
            await self._run(lambda connection: connection.executemany(_spelt(sql), map(sound, rows)))

    async def fetch(self, sql: str, *values: Any) -> Sequence[Row]:
        def rows(connection: sqlite3.Connection) -> Sequence[Row]:
            return connection.execute(_spelt(sql), sound(values)).fetchall()

        if self._inside.get():
            return await self._run(rows)
        async with self._turn:
            return await self._run(rows)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Sqlite]:
        if self._inside.get():
            yield self
            return
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + BUSY_S
        async with self._turn:
            token = self._inside.set(True)
            try:
                # who has waited for those before him has waited for the file, too: a locked one is no queue of timeouts
                await self._run(partial(_begin, within_s=max(0.0, give_up_at - clock())))
                yield self
                await self._run(lambda connection: connection.commit())
            except BaseException:
                if self._connection is not None:
                    await asyncio.shield(self._run(lambda connection: connection.rollback()))
                raise
            finally:
                self._inside.reset(token)

    async def close(self) -> None:
        if self._thread is not None:
            async with self._turn:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
                self._thread.shutdown()
                self._thread = None

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            return work(self._connection)
        except sqlite3.Error as error:
            raise StoreUnreachable(f"the state file {self._path} cannot be used: {error}") from error
        except Unsafe as error:
            raise StoreUnreachable(f"the state file {self._path} is not used: {error}") from error
        except OSError as error:
            raise StoreUnreachable(f"the state file {self._path} cannot be opened: {error.strerror}") from error

    def _open(self) -> sqlite3.Connection:
        private_dir(self._path.parent)
        connection = open_private(self._path, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            _migrate(connection, str(self._path))
        except BaseException:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _migrate(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE IF NOT EXISTS woollama_schema (version INTEGER NOT NULL)")
    row = connection.execute("SELECT max(version) AS version FROM woollama_schema").fetchone()
    version = row["version"] or 0
    if problem := too_new(version):
        connection.rollback()
        raise StoreUnreachable(f"the state file {name} {problem}")
    for number, statements in migrations_after(version):
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO woollama_schema VALUES (?)", (number,))
    connection.commit()


def _begin(connection: sqlite3.Connection, within_s: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(within_s * 1000)}")
    try:
        connection.execute("BEGIN IMMEDIATE")
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


def _spelt(sql: str) -> str:
    return sql.replace("NOW()", _NOW)
