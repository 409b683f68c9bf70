"""`woollama gc` on the state that a daemon has left."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.stateful import MODEL, table
from tests.upstream import chat
from woollama.cli import main

DAY_S = 86400


def age(directory: Path, days: int) -> None:
    with sqlite3.connect(directory / "state" / "state.db") as database:
        for column in ("handles SET updated_at = updated_at", "responses SET created_at = created_at"):
            database.execute(f"UPDATE {column} - ?", (days * DAY_S,))
    database.close()


def kept(directory: Path) -> dict[str, int]:
    with sqlite3.connect(directory / "state" / "state.db") as database:
        counts = {
            name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in ("handles", "responses", "items")
        }
    database.close()
    return counts


async def use(directory: Path) -> None:
    async with table(directory) as at:
        at.upstream.answers(chat("1"), chat("2"))
        await at.client.responses.create(model=MODEL, input="keyed", extra_body={"key": "k"})
        await at.client.responses.create(model=MODEL, input="chain")


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A conversation with a key, and a chain without one, both a month and a bit old."""
    asyncio.run(use(tmp_path))
    age(tmp_path, 31)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WOOLLAMA_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WOOLLAMA_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def test_chains_are_forgotten_after_a_month_and_conversations_are_not(left: Path, capsys: Any) -> None:
    assert kept(left) == {"handles": 2, "responses": 2, "items": 4}
    assert main(["gc"]) == 0
    assert capsys.readouterr().out == "1 conversation forgotten, chains of responses included\n"
    assert kept(left) == {"handles": 1, "responses": 1, "items": 2}


def test_how_long_is_the_owners_to_say(left: Path, capsys: Any) -> None:
    (left / "config" / "woollama.toml").write_text("[state]\nkeep_days = 0\nkeep_conversations_days = 30\n")
    assert main(["gc"]) == 0
    assert kept(left)["handles"] == 1
    assert main(["gc", "--days", "40"]) == 0
    assert kept(left)["handles"] == 1
    assert main(["gc", "--days", "7"]) == 0
    assert kept(left) == {"handles": 0, "responses": 0, "items": 0}
    assert main(["gc", "--days", "0"]) == 2


async def wait_until_forgotten(directory: Path) -> None:
    async with asyncio.timeout(60), table(directory) as at:
        while kept(directory)["handles"] != 1:
            await at.http.get("/healthz")


def test_the_daemon_does_the_same_at_its_start(left: Path) -> None:
    asyncio.run(wait_until_forgotten(left))
