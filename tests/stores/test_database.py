"""A database as the tables need it: whole transactions, private files, sentences for what goes wrong."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from woollama.domain.errors import StoreUnreachable
from woollama.domain.state import Page, is_open_to
from woollama.stores import sqlite
from woollama.stores.database import Database, open_database, password_in
from woollama.stores.schema import MIGRATIONS
from woollama.stores.tables import Tables

HANDLE = "INSERT INTO handles (id, listed, backend, metadata, status, length, created_at, updated_at, locked_until)"
ROW = HANDLE + " VALUES (?, 1, 'store', '{}', 'active', 0, 1.5, 2, 0)"


async def ids(database: Database) -> list[str]:
    return [row["id"] for row in await database.fetch("SELECT id FROM handles ORDER BY id")]


async def test_a_statement_alone_is_kept(database: Database, url: str) -> None:
    assert await database.execute(ROW, "a") == 1
    again = open_database(url)
    assert await ids(again) == ["a"]
    assert (await again.fetch("SELECT created_at FROM handles"))[0]["created_at"] == 1.5
    await again.close()


async def test_half_an_emoji_and_a_nul_are_held_by_every_database(database: Database) -> None:
    cut, nul = "half \ud83d", "a\0b"
    async with database.transaction():
        for unsound in (cut, nul):
            assert await database.execute(ROW, unsound) == 1
    assert await ids(database) == ["a\ufffdb", "half \ufffd"]
    assert len(await database.fetch("SELECT id FROM handles WHERE id = ?", cut)) == 1
    await database.execute_many(ROW, [(f"{cut}1",), (f"{nul}1",)])
    assert len(await ids(database)) == 4


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def fails() -> None:
        async with database.transaction():
            await database.execute(ROW, "a")
            async with database.transaction():
                await database.execute(ROW, "b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert await ids(database) == []


async def test_a_task_that_is_cancelled_in_a_transaction_leaves_nothing_and_holds_up_nobody(database: Database) -> None:
    inside = asyncio.Event()

    async def stuck() -> None:
        async with database.transaction():
            await database.execute(ROW, "a")
            inside.set()
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(stuck())
    await inside.wait()
    task.cancel()
    await asyncio.wait([task])
    assert await database.execute(ROW, "b") == 1
    assert await ids(database) == ["b"]


async def test_concurrent_transactions_follow_one_another(database: Database) -> None:
    await database.execute(ROW, "a")

    async def add_one() -> None:
        async with database.transaction():
            await database.execute("UPDATE handles SET length = length + 1 WHERE id = 'a'")

    await asyncio.gather(*(add_one() for _ in range(20)))
    assert (await database.fetch("SELECT length FROM handles"))[0]["length"] == 20


async def test_the_databases_own_clock_goes_on(database: Database) -> None:
    first, second = [(await database.fetch("SELECT NOW() AS now"))[0]["now"] for _ in range(2)]
    assert 1.7e9 < first <= second


async def test_what_was_made_by_a_newer_version_is_left_alone(database: Database, url: str) -> None:
    await database.execute("INSERT INTO woollama_schema VALUES (99)")
    again = open_database(url)
    with pytest.raises(StoreUnreachable, match="made by a newer woollama"):
        await again.execute(ROW, "a")
    await again.close()


async def test_two_that_open_an_empty_database_at_once_make_one_schema(url: str) -> None:
    both = [open_database(url) for _ in range(2)]
    await asyncio.gather(*(each.execute(ROW, f"h{number}") for number, each in enumerate(both)))
    assert await ids(both[0]) == ["h0", "h1"]
    for each in both:
        await each.close()


async def test_many_that_open_an_empty_file_at_once_all_get_in(tmp_path: Path) -> None:
    for attempt in range(20):
        url = f"sqlite://{tmp_path / f'{attempt}.db'}"
        some = [open_database(url) for _ in range(4)]
        await asyncio.gather(*(each.execute(ROW, f"h{number}") for number, each in enumerate(some)))
        assert len(await ids(some[0])) == 4
        await asyncio.gather(*(each.close() for each in some))


async def test_the_file_is_its_owners_alone_from_the_first_instant(tmp_path: Path) -> None:
    database = open_database(f"sqlite://{tmp_path / 'deep' / 'state.db'}")
    await database.execute(ROW, "a")
    files = sorted((tmp_path / "deep").iterdir())
    assert [file.name for file in files] == ["state.db", "state.db-shm", "state.db-wal"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
    await database.close()


async def test_nothing_is_opened_before_something_is_asked(tmp_path: Path) -> None:
    database = open_database(f"sqlite://{tmp_path / 'state.db'}")
    await database.close()
    assert not (tmp_path / "state.db").exists()


@pytest.mark.parametrize("broken", ["no database", "another program's"])
async def test_a_file_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "state.db"
    if broken == "no database":
        file.write_bytes(b"this is a letter to my aunt, and no database" * 50)
    else:
        other = sqlite3.connect(file)
        other.execute("CREATE TABLE handles (theirs TEXT)")
        other.close()
    database = open_database(f"sqlite://{file}")
    with pytest.raises(StoreUnreachable, match=r"state\.db cannot be used"):
        await database.execute(ROW, "a")
    await database.close()


async def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    url = "postgresql://me:sesame-open@127.0.0.1:1/woollama"
    assert password_in(url) == "sesame-open"
    database = open_database(url)
    with pytest.raises(StoreUnreachable, match=r"postgresql://127\.0\.0\.1/woollama cannot be reached") as refused:
        await database.execute(ROW, "a")
    assert "sesame" not in refused.value.message + repr(database)
    await database.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite:", "sqlite:///"])
def test_what_is_no_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite"):
        open_database(url)


def test_opening_loads_no_driver_of_a_server() -> None:
    source = "import sys, woollama.stores.tables, woollama.stores.database as d; d.open_database('postgresql://x/y')"
    shown = subprocess.run(
        [sys.executable, "-c", f"{source}; print('asyncpg' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "False\n"


async def test_what_an_older_version_kept_is_the_owners(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with sqlite3.connect(file) as old:
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        old.execute("CREATE TABLE woollama_schema (version INTEGER NOT NULL)")
        old.execute("INSERT INTO woollama_schema VALUES (1)")
        old.execute(ROW, ("a",))
    database = open_database(f"sqlite://{file}")
    (kept,) = await Tables(database).handles(Page())
    assert (kept.id, kept.token) == ("a", None)
    assert not is_open_to("somebody", kept)
    assert await Tables(database).handles(Page(), token="somebody") == []
    await database.close()


async def test_who_waited_for_others_at_a_locked_file_has_waited_for_the_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    real = sqlite._begin

    def begin(connection: sqlite3.Connection, within_s: float) -> None:
        waited.append(within_s)
        real(connection, within_s)

    file = tmp_path / "state" / "state.db"
    database = open_database(f"sqlite://{file}")
    await database.execute(ROW, "a")
    monkeypatch.setattr(sqlite, "BUSY_S", 0.3)
    monkeypatch.setattr(sqlite, "_begin", begin)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asked = [database.execute(ROW, name) for name in "bcd"]
        failed = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(each, StoreUnreachable) for each in failed)
        other.execute("ROLLBACK")
    assert waited[0] > 0
    assert all(each < 0.1 for each in waited[1:3])
    assert await database.execute(ROW, "e") == 1
    await database.close()
