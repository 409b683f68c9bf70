"""`woollama connect`: what it prints, what it writes into other programs' files, and what it takes back."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Home
from woollama.connect.tools import TOOLS

WITH_FILES = [tool.name for tool in TOOLS if tool.files]
URL = "http://127.0.0.1:11435"
CLAUDE = ".claude/settings.json"
CODEX = ".codex/config.toml"
COMMENTED = '{\n  // mine\n  "env": {"FOO": "bar"}, // keep\n  "model": "opus",\n}\n'


def files_in(home: Home) -> dict[str, str]:
    """Every file of the user's, but for those of woollama's own."""
    own = {home.directory / name for name in ("config", "run", "state")}
    found = [path for path in home.directory.rglob("*") if path.is_file() and not own & set(path.parents)]
    return {str(path.relative_to(home.directory)): path.read_text() for path in found}


def backups(files: dict[str, str]) -> list[str]:
    return [name for name in files if ".before-woollama-" in name]


def put(home: Home, name: str, text: str) -> Path:
    path = home.directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_tool_they_are_listed_with_those_that_seem_to_be_there(home: Home) -> None:
    put(home, CODEX, "")
    home.woollama("connect", "zed", "--write")
    listed = home.woollama("connect").stdout.splitlines()
    states = {line.split()[0]: line.split()[-1] for line in listed if line.startswith(("codex", "zed", "cursor"))}
    assert states == {"codex": "installed", "zed": "connected", "cursor": "Cursor"}


@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS])
def test_by_default_it_only_prints(home: Home, tool: str) -> None:
    done = home.woollama("connect", tool, "--model", "woollama/demo")
    assert done.returncode == 0
    assert "woollama" in done.stdout
    assert files_in(home) == {}


@pytest.mark.parametrize("model", [(), ("--model", "woollama/demo")], ids=["no model", "a model"])
@pytest.mark.parametrize("tool", WITH_FILES)
def test_what_is_written_where_nothing_was_is_gone_after_undo(home: Home, tool: str, model: tuple[str, ...]) -> None:
    done = home.woollama("connect", tool, "--write", *model)
    assert done.returncode == 0, done.stderr
    written = files_in(home)
    assert written
    assert not backups(written)
    for name in written:
        assert stat.S_IMODE((home.directory / name).stat().st_mode) == 0o600
    again = home.woollama("connect", tool, "--write", *model)
    assert "as it is" in again.stdout
    assert files_in(home) == written
    assert home.woollama("connect", tool, "--undo").returncode == 0
    assert files_in(home) == {}
    assert "nothing was written" in home.woollama("connect", tool, "--undo").stdout


def test_claude_code_is_told_where_to_ask_and_what_to_start(home: Home) -> None:
    path = put(home, CLAUDE, COMMENTED)
    os.chmod(path, 0o644)
    done = home.woollama("connect", "claude-code", "--write", "--model", "woollama/demo")
    text = path.read_text()
    for kept in ("// mine", "// keep", '"FOO": "bar"', '"model": "opus"'):
        assert kept in text
    env = json.loads(text.replace("// mine", "").replace("// keep", "").replace('"opus",\n}', '"opus"\n}'))["env"]
    assert env["ANTHROPIC_BASE_URL"] == URL
    assert env["ANTHROPIC_MODEL"] == "woollama/demo"
    server = json.loads((home.directory / ".claude.json").read_text())["mcpServers"]["woollama"]
    assert server["type"] == "stdio"
    assert Path(server["command"]).exists()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    files = files_in(home)
    (backup,) = backups(files)
    assert files[backup] == COMMENTED
    assert backup in done.stdout
    home.woollama("connect", "claude-code", "--undo")
    assert path.read_text() == COMMENTED
    assert not (home.directory / ".claude.json").exists()


def test_codex_has_a_provider_a_server_and_with_a_model_asks_it(home: Home) -> None:
    before = '# mine\nmodel = "gpt-x" # the best\n\n[tui]\nnotifications = true\n'
    path = put(home, CODEX, before)
    home.woollama("connect", "codex", "--write", "--model", "woollama/demo")
    config = tomllib.loads(path.read_text())
    assert (config["model"], config["model_provider"]) == ("woollama/demo", "woollama")
    assert config["model_providers"]["woollama"] == {
        "name": "woollama",
        "base_url": f"{URL}/v1",
        "wire_api": "responses",
    }
    assert config["mcp_servers"]["woollama"]["args"][-1] == "mcp"
    assert config["web_search"] == "disabled"
    assert config["tui"] == {"notifications": True}
    path.write_text(path.read_text().replace("true", "false") + '\n[projects."/x"]\ntrust_level = "trusted"\n')
    told = home.woollama("connect", "codex", "--undo").stdout
    assert "what was written is taken out" in told
    assert path.read_text() == before.replace("true", "false") + '\n[projects."/x"]\ntrust_level = "trusted"\n'


def test_continue_keeps_its_other_models_and_the_comments(home: Home) -> None:
    head = "name: mine # yes\nversion: 1.0.0\nschema: v1\n"
    before = head + "models:\n  # local\n  - name: a\n    provider: ollama\n    model: b\n"
    path = put(home, ".continue/config.yaml", before)
    home.woollama("connect", "continue", "--write", "--model", "woollama/demo")
    config = yaml.safe_load(path.read_text())
    assert [model["name"] for model in config["models"]] == ["a", "woollama: woollama/demo"]
    assert (config["name"], config["mcpServers"][0]["name"]) == ("mine", "woollama")
    path.write_text(path.read_text().replace("1.0.0", "2.0.0"))
    home.woollama("connect", "continue", "--undo")
    assert path.read_text() == before.replace("1.0.0", "2.0.0")


def test_writing_again_with_another_model_leaves_one_setting_and_the_first_original(home: Home) -> None:
    before = "model: sonnet # mine\ndark-mode: true\n"
    path = put(home, ".aider.conf.yml", before)
    home.woollama("connect", "aider", "--write", "--model", "one")
    home.woollama("connect", "aider", "--write", "--model", "two")
    assert yaml.safe_load(path.read_text())["model"] == "openai/two"
    home.woollama("connect", "aider", "--write")
    assert yaml.safe_load(path.read_text())["model"] == "sonnet"
    home.woollama("connect", "aider", "--undo")
    assert path.read_text() == before


def test_what_the_owner_changed_since_stays_changed(home: Home) -> None:
    path = put(home, CLAUDE, "{}")
    home.woollama("connect", "claude-code", "--write", "--only", "models")
    held: dict[str, Any] = json.loads(path.read_text())
    held["env"]["ANTHROPIC_BASE_URL"] = "http://elsewhere"
    path.write_text(json.dumps(held))
    told = home.woollama("connect", "claude-code", "--undo").stdout
    assert "env.ANTHROPIC_BASE_URL is left" in told
    assert json.loads(path.read_text()) == {"env": {"ANTHROPIC_BASE_URL": "http://elsewhere"}}


def test_a_link_stays_a_link(home: Home) -> None:
    real = put(home, "dotfiles/claude.json", COMMENTED)
    link = home.directory / CLAUDE
    link.parent.mkdir()
    link.symlink_to(real)
    home.woollama("connect", "claude-code", "--write", "--only", "models")
    assert link.is_symlink()
    assert URL in real.read_text()
    assert backups(files_in(home))[0].startswith("dotfiles/")
    home.woollama("connect", "claude-code", "--undo")
    assert (link.is_symlink(), real.read_text()) == (True, COMMENTED)


@pytest.mark.parametrize(
    ("tool", "name", "text", "said"),
    [
        ("claude-code", CLAUDE, '{"env": ', "line 1"),
        ("claude-code", ".claude.json", "[]", "not an object"),
        ("claude-code", ".claude.json", '{"mcpServers": 7}', "mcpServers is not an object"),
        ("codex", CODEX, "[model_providers\n", "line 1"),
        ("codex", CODEX, '[model_providers.woollama]\nname = "mine"\n', "there already"),
        ("codex", CODEX, "model_providers = { x = { name = 'x' } }\n", "nothing was written"),
        ("aider", ".aider.conf.yml", "a: b\n c: d: e\n", "line 2"),
        ("aider", ".aider.conf.yml", "- a\n", "not an object"),
        ("continue", ".continue/config.yaml", "models: [{name: a}]\n", "block style"),
        ("zed", ".config/zed/settings.json", "\x00\x01", "line 1"),
    ],
)
def test_a_file_that_cannot_take_it_is_told_and_nothing_is_written(
    home: Home, tool: str, name: str, text: str, said: str
) -> None:
    put(home, name, text)
    before = files_in(home)
    done = home.woollama("connect", tool, "--write")
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert name in done.stderr
    assert files_in(home) == before
    assert "nothing was written" in home.woollama("connect", tool, "--undo").stdout


def test_a_directory_in_the_place_of_a_file_and_bytes_that_are_no_text_are_told(home: Home) -> None:
    (home.directory / CLAUDE).mkdir(parents=True)
    assert "is no file" in home.woollama("connect", "claude-code", "--write").stderr
    path = put(home, CODEX, "")
    path.write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in home.woollama("connect", "codex", "--write").stderr


def test_another_home_is_written_and_its_variables_do_not_count(home: Home, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    home.woollama("connect", "codex", "--write", "--dir", str(other), CODEX_HOME=str(tmp_path / "moved"))
    assert (other / CODEX).exists()
    assert not (tmp_path / "moved").exists()
    home.woollama("connect", "codex", "--write", CODEX_HOME=str(tmp_path / "moved"))
    assert (tmp_path / "moved/config.toml").exists()
    assert home.woollama("connect", "codex", "--write", "--dir", "/nonexistent/x").returncode == 2


def test_where_the_daemon_says_it_is_and_what_it_wants_is_told(home: Home) -> None:
    (home.runtime / "woollama.addr").write_text("127.0.0.1:4711\n")
    assert "http://127.0.0.1:4711/v1" in home.woollama("connect", "codex").stdout
    assert "http://[::1]:9/v1" in home.woollama("connect", "codex", "--url", "http://[::1]:9/v1/").stdout
    done = home.woollama("connect", "codex", WOOLLAMA_TOKEN="the-secret-token")
    assert "wants a token" in done.stdout
    assert "the-secret-token" not in done.stdout


@pytest.mark.parametrize("args", [("teapot",), ("zed", "--write", "--undo"), ("zed", "--only", "x")])
def test_what_makes_no_sense_is_a_usage_error(home: Home, args: tuple[str, ...]) -> None:
    assert home.woollama("connect", *args).returncode == 2


def test_a_record_that_cannot_be_read_is_told(home: Home) -> None:
    home.woollama("connect", "zed", "--write")
    (record,) = (home.directory / "state/connect").iterdir()
    record.write_text("{")
    done = home.woollama("connect", "zed", "--undo")
    assert (done.returncode, "cannot be read" in done.stderr) == (1, True)
