"""A file is changed whole or not at all, and nobody's change is lost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from woollama.config import write
from woollama.config.write import NotWritten, change_file


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "recipes.toml"
    assert change_file(file, lambda text: f"{text}x\n")
    assert file.read_text() == "x\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["recipes.toml"]
    assert not change_file(file, lambda text: text)


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "recipes.toml"
    real.write_bytes(b"\xef\xbb\xbf# mine\r\n")
    real.chmod(0o640)
    link = tmp_path / "recipes.toml"
    link.symlink_to(real)
    assert change_file(link, lambda text: f"{text}x")
    assert link.is_symlink()
    assert real.read_bytes() == b"\xef\xbb\xbf# mine\r\nx"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_what_changes_meanwhile_is_not_lost(tmp_path: Path) -> None:
    """An editor does not ask for our lock."""
    file = tmp_path / "recipes.toml"
    file.write_text("a")
    seen = []

    def change(text: str) -> str:
        seen.append(text)
        if len(seen) == 1:
            file.write_text("ab")
        return f"{text}!"

    assert change_file(file, change)
    assert (seen, file.read_text()) == (["a", "ab"], "ab!")


def test_who_never_rests_is_told(tmp_path: Path) -> None:
    file = tmp_path / "recipes.toml"

    def change(text: str) -> str:
        file.write_text(f"{text}x")
        return f"{text}!"

    with pytest.raises(NotWritten, match="being changed by another program"):
        change_file(file, change)
    assert os.listdir(tmp_path) == ["recipes.toml"]


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "recipes.toml"
    source = (
        "import sys; from pathlib import Path; from woollama.config.write import change_file;"
        "[change_file(Path(sys.argv[1]), lambda text: f'{text}{sys.argv[2]}{n}\\n') for n in range(10)]"
    )
    writers = [subprocess.Popen([sys.executable, "-c", source, str(file), name]) for name in "abcd"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0, 0]
    assert sorted(file.read_text().split()) == sorted(f"{name}{number}" for name in "abcd" for number in range(10))


def test_a_full_disk_leaves_the_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "recipes.toml"
    file.write_text("a")

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(write.os, "fsync", full)
    with pytest.raises(NotWritten, match="No space left"):
        change_file(file, lambda text: f"{text}!")
    assert (file.read_text(), os.listdir(tmp_path)) == ("a", ["recipes.toml"])


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "recipes.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(NotWritten, match="is not UTF-8 text"):
        change_file(file, lambda text: text)
