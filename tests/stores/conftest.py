"""Every database that handles can be in. The same tests run over all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.postgres import needs_postgres, postgres
from woollama.stores.database import Database, open_database
from woollama.stores.tables import Tables


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path / 'state' / 'state.db'}"
    import asyncpg  # type: ignore[import-untyped]

    cluster: str = request.getfixturevalue("cluster")
    name = f"t{abs(hash(str(tmp_path)))}"
    connection = await asyncpg.connect(cluster)
    await connection.execute(f"CREATE DATABASE {quote(name)}")
    await connection.close()
    return cluster.replace("/postgres?", f"/{name}?")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = open_database(url)
    yield opened
    await opened.close()


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database)
