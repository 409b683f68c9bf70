"""`woollama init`: files to begin with, never over anything, and what was found on the machine."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Home
from tests.cli.living import living
from woollama.cli.starters import STARTERS
from woollama.config import load

NOWHERE = {"WOOLLAMA_OLLAMA_URL": "http://127.0.0.1:9"}


@pytest.fixture
def fresh(home: Home) -> Home:
    (home.directory / "config").rmdir()
    return home


def test_it_writes_what_is_missing_and_says_what_comes_next(fresh: Home) -> None:
    finished = fresh.woollama("init", **NOWHERE)
    assert (finished.returncode, finished.stderr) == (0, "")
    config = fresh.directory / "config"
    assert finished.stdout.splitlines()[:4] == [f"wrote  {config / name}" for name in STARTERS]
    assert "woollama check" in finished.stdout
    assert {path.name: path.read_text() for path in config.iterdir()} == STARTERS
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in config.iterdir())
    assert fresh.woollama("check").returncode == 0


def test_it_never_overwrites_anything(home: Home) -> None:
    home.write("recipes.toml", "# mine\n")
    (home.directory / "config" / "mcp.json").symlink_to("/nonexistent/mcp.json")
    for _ in range(2):
        finished = home.woollama("init", **NOWHERE)
        assert finished.returncode == 0
        assert f"kept   {home.directory}/config/recipes.toml" in finished.stdout
        assert f"kept   {home.directory}/config/mcp.json" in finished.stdout
    assert (home.directory / "config" / "recipes.toml").read_text() == "# mine\n"


@pytest.mark.parametrize("name", STARTERS)
def test_the_examples_in_a_starter_are_right(tmp_path: Path, name: str) -> None:
    """Comments without a space are examples: switched on, they load without a problem."""
    text = STARTERS[name]
    switched_on = (
        re.sub(r"^( *)// (?=[\"} ])", r"\1", text, flags=re.M)
        if name == "mcp.json"
        else re.sub(r"^#(?=\S|$)", "", text, flags=re.M)
    )
    assert switched_on != text
    for written in (text, switched_on):
        (tmp_path / name).write_text(written)
        loaded = load(tmp_path, {"HOME": str(tmp_path), "GITHUB_TOKEN": "x"})
        assert [str(problem) for problem in loaded.problems] == []


OTHERS = {"fs": {"command": "fs-mcp", "args": ["x"]}, "web": {"url": "https://x.example/mcp"}}


def test_servers_of_other_programs_are_found_and_imported_once(fresh: Home) -> None:
    theirs = fresh.directory / ".cursor" / "mcp.json"
    theirs.parent.mkdir()
    theirs.write_text(json.dumps({"mcpServers": {**OTHERS, "woollama": {"command": "/bin/woollama", "args": ["mcp"]}}}))
    told = fresh.woollama("init", **NOWHERE).stdout
    assert f"2 tool servers in {theirs}:\n    woollama init --import {theirs}\n" in told
    imported = fresh.woollama("init", "--import", str(theirs))
    assert [line for line in imported.stdout.splitlines() if line.startswith("added")] == ["added  fs", "added  web"]
    own = fresh.directory / "config" / "mcp.json"
    assert json.loads(own.read_text()) == {"mcpServers": OTHERS}
    again = fresh.woollama("init", "--import", str(theirs))
    assert again.stdout.splitlines()[-2:] == [f"kept   {name}, which was there already" for name in OTHERS]
    assert str(theirs) not in fresh.woollama("init", **NOWHERE).stdout


def test_servers_are_added_to_those_that_are_there(home: Home) -> None:
    home.write("mcp.json", '{"mcpServers": {"fs": {"command": "mine"}}, "inputs": []}')
    theirs = home.directory / "vscode.json"
    theirs.write_text(json.dumps({"servers": OTHERS}))
    assert home.woollama("init", "--import", "vscode.json").returncode == 0
    own = json.loads((home.directory / "config" / "mcp.json").read_text())
    assert own == {"mcpServers": {"fs": {"command": "mine"}, "web": OTHERS["web"]}, "inputs": []}


def test_a_file_with_comments_is_not_rewritten_and_what_to_add_is_said(home: Home) -> None:
    home.write("mcp.json", '{"mcpServers": {} /* mine */}')
    theirs = home.directory / "theirs.json"
    theirs.write_text(json.dumps({"mcpServers": OTHERS}))
    finished = home.woollama("init", "--import", "theirs.json")
    assert finished.returncode == 1
    assert "has comments" in finished.stderr
    assert '"command": "fs-mcp"' in finished.stderr
    assert (home.directory / "config" / "mcp.json").read_text() == '{"mcpServers": {} /* mine */}'


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "there is no file"), ("{", "theirs.json:1: is not valid JSON"), ("{}", "names no tool servers")],
)
def test_what_cannot_be_imported_is_told(home: Home, text: str | None, told: str) -> None:
    if text is not None:
        (home.directory / "theirs.json").write_text(text)
    finished = home.woollama("init", "--import", "theirs.json")
    assert (finished.returncode, told in finished.stderr) == (1, True)


def test_an_ollama_that_runs_is_told_with_what_to_do(home: Home) -> None:
    with living(home) as running:
        told = home.woollama("init", WOOLLAMA_OLLAMA_URL=running.upstream.origin).stdout
    assert "Ollama runs here with 1 model." in told
    assert "woollama alias add default ollama/mock-model" in told


def test_a_directory_that_cannot_be_written_is_told(home: Home) -> None:
    (home.directory / "file").write_text("")
    finished = home.woollama("init", WOOLLAMA_CONFIG_DIR=str(home.directory / "file" / "config"))
    assert (finished.returncode, finished.stderr.count("\n")) == (1, 1)
    assert "Not a directory" in finished.stderr
