"""What inferencers were found to have, over a restart."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from woollama.found_models import FoundModels

HERE = "openai http://127.0.0.1:1"


def test_what_was_found_is_there_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "state" / "models.json"
    FoundModels(file).note("box", HERE, ["a", "b"])
    again = FoundModels(file)
    assert again.of("box", HERE) == ("a", "b")
    assert again.of("box", "openai http://elsewhere") == ()
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["models.json"]


def test_an_inferencer_that_has_moved_leaves_nothing_of_its_old_place(tmp_path: Path) -> None:
    found = FoundModels(tmp_path / "models.json")
    found.note("box", HERE, ["a"])
    found.note("box", "openai http://elsewhere", ["b"])
    assert found.of("box", HERE) == ()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"found": [{"models": 1}]}'])
def test_a_file_that_is_damaged_counts_as_empty_and_is_replaced(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "models.json"
    file.write_text(damage)
    found = FoundModels(file)
    assert found.of("box", HERE) == ()
    found.note("box", HERE, ["a"])
    assert FoundModels(file).of("box", HERE) == ("a",)


def test_a_place_that_cannot_be_written_is_told_once_and_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")
    with caplog.at_level(logging.WARNING, "woollama"):
        found = FoundModels(tmp_path / "state" / "models.json")
        found.note("box", HERE, ["a"])
        found.note("box", HERE, ["b"])
    assert found.of("box", HERE) == ("b",)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
