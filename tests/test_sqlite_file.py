"""How the stores open their files: for their owner alone, and at once where several do."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from woollama.compression.database import Database
from woollama.sqlite_file import open_private

AT_ONCE = 4


def test_many_that_open_an_empty_file_at_once_all_get_in(tmp_path: Path) -> None:
    def write(database: Database, begin: Barrier) -> None:
        begin.wait()
        with database.used() as connection:
            connection.execute("insert into things values (1)")

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for attempt in range(20):
            some = [
                Database(tmp_path / f"{attempt}.db", "create table if not exists things (x)") for _ in range(AT_ONCE)
            ]
            begin = Barrier(AT_ONCE)
            for done in [threads.submit(write, each, begin) for each in some]:
                done.result()
            with some[0].used() as connection:
                assert connection.execute("select count(*) from things").fetchone() == (AT_ONCE,)
            for each in some:
                each.close()


def test_it_is_its_owners_alone_with_all_that_stands_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "some.db"
    file.touch(mode=0o644)
    connection = open_private(file)
    connection.execute("create table things (x)")
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "some.db": 0o600,
        "some.db-shm": 0o600,
        "some.db-wal": 0o600,
    }
    connection.close()


def test_what_is_no_database_is_an_error_and_nothing_stays_open(tmp_path: Path) -> None:
    file = tmp_path / "some.db"
    file.write_text("a letter to a friend, and no database at all")
    with pytest.raises(sqlite3.DatabaseError):
        open_private(file)
