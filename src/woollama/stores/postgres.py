"""PostgreSQL through asyncpg, which is loaded when the first statement is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from woollama.domain.errors import StoreUnreachable
from woollama.stores.database import Row, sound
from woollama.stores.schema import migrations_after, too_new

CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 30.0
MOST_CONNECTIONS = 8
_MIGRATING = 0x776F6F6C
"""The advisory lock under which one instance at a time looks after the schema."""


class Postgres:
    is_shared = True

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self._name = f"postgresql://{parts.hostname or ''}{parts.path}"
        self._pool: Any = None
        self._opening = asyncio.Lock()
        self._connection: ContextVar[Any] = ContextVar("connection in a transaction", default=None)

    def __repr__(self) -> str:
        return f"<Postgres {self._name}>"

    async def execute(self, sql: str, *values: Any) -> int:
        async with self._held() as connection:
            with self._translated():
                done = await connection.execute(_spelt(sql), *sound(values))
        last = done.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        async with self._held() as connection:
            with self._translated():
                await connection.executemany(_spelt(sql), map(sound, rows))

    async def fetch(self, sql: str, *values: Any) -> Sequence[Row]:
        async with self._held() as connection:
            with self._translated():
                rows: Sequence[Row] = await connection.fetch(_spelt(sql), *sound(values))
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Postgres]:
        if self._connection.get() is not None:
            yield self
            return
        async with self._held() as connection:
            token = self._connection.set(connection)
            try:
                with self._translated():
                    transaction = connection.transaction()
                    await transaction.start()
                try:
                    yield self
                except BaseException:
                    with self._translated():
                        await asyncio.shield(transaction.rollback())
                    raise
                with self._translated():
                    await transaction.commit()
            finally:
                self._connection.reset(token)

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Any]:
        """The connection of the task's transaction, or one of its own."""
        if (connection := self._connection.get()) is not None:
            yield connection
            return
        pool = await self._opened()
        with self._translated():
            connection = await pool.acquire(timeout=CONNECT_TIMEOUT_S)
        try:
            yield connection
        finally:
            await asyncio.shield(pool.release(connection))

    async def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def _opened(self) -> Any:
        async with self._opening:
            if self._pool is None:
                import asyncpg  # type: ignore[import-untyped]

                with self._translated():
                    pool = await asyncpg.create_pool(
                        self._url,
                        min_size=0,
                        max_size=MOST_CONNECTIONS,
                        timeout=CONNECT_TIMEOUT_S,
                        command_timeout=STATEMENT_TIMEOUT_S,
                        reset=_nothing_to_reset,
                    )
                try:
                    with self._translated():
                        await self._migrate(pool)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool

    async def _migrate(self, pool: Any) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATING)
            await connection.execute("CREATE TABLE IF NOT EXISTS woollama_schema (version INTEGER NOT NULL)")
            version = await connection.fetchval("SELECT max(version) FROM woollama_schema") or 0
            if problem := too_new(version):
                raise StoreUnreachable(f"{self._name} {problem}")
            for number, statements in migrations_after(version):
                for statement in statements:
                    await connection.execute(statement)
                await connection.execute("INSERT INTO woollama_schema VALUES ($1)", number)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import asyncpg

        try:
            yield
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreUnreachable(f"{self._name} refused: {error}") from error
        except (OSError, TimeoutError) as error:
            raise StoreUnreachable(f"{self._name} cannot be reached: {error or 'no answer'}") from error


async def _nothing_to_reset(connection: object) -> None:
    """A connection has no settings, cursors or listeners of a session here: asking the server to drop them, which is
    the pool's habit, would be one more round trip for each statement. What is open is rolled back before this."""


@cache
def _spelt(sql: str) -> str:
    """Values are numbered here, and a clock that stands still during a transaction is no clock."""
    numbers = count(1)
    words = sql.replace("NOW()", "extract(epoch from clock_timestamp())::float8").split("?")
    return "".join(word + f"${next(numbers)}" for word in words[:-1]) + words[-1]
