"""The daemon's own file, and the environment over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.conftest import Files
from woollama.config.load import load
from woollama.config.model import Door, Limits

TEXT = """
[server]
address = "127.0.0.1:8080"
any_local_user = true
allow_hosts = ["box.lan"]
heartbeat = "5s"
shutdown_timeout = 0
[limits]
body = "1MiB"
"""


def test_the_file_is_read(files: Files) -> None:
    files.write("woollama.toml", TEXT)
    config = files.load().config
    assert config.door == Door("127.0.0.1:8080", True, ("box.lan",), (), 5.0, 0.0)
    assert config.limits == Limits(2**20)


def test_the_environment_wins(files: Files) -> None:
    files.write("woollama.toml", TEXT)
    config = files.load(
        {
            "WOOLLAMA_ADDRESS": "[::1]:0",
            "WOOLLAMA_ALLOW_HOST": "a, b",
            "WOOLLAMA_ALLOW_ORIGIN": "https://x",
            "WOOLLAMA_HEARTBEAT": "500ms",
            "WOOLLAMA_SHUTDOWN_TIMEOUT": "1m",
            "WOOLLAMA_MAX_BODY_BYTES": "64KiB",
        }
    ).config
    assert config.door == Door("[::1]:0", True, ("a", "b"), ("https://x",), 0.5, 60.0)
    assert config.limits == Limits(65536)


def test_an_empty_variable_says_nothing(files: Files) -> None:
    assert files.load({"WOOLLAMA_HEARTBEAT": ""}).problems == ()


@pytest.mark.parametrize(("written", "read"), [("true", True), ('["*.example.com:8443"]', ("*.example.com:8443",))])
def test_remote_servers_are_allowed_as_a_whole_or_by_host(files: Files, written: str, read: object) -> None:
    files.write("woollama.toml", f"[mcp]\nallow_remote_servers = {written}\n")
    assert files.load().config.mcp.allow_remote_servers == read
    files.write("woollama.toml", '[mcp]\nallow_remote_servers = ["https://x"]\n')
    assert "must be a host such as" in files.told()[0]


def test_a_bad_key_leaves_its_default_and_its_neighbours(files: Files) -> None:
    files.write("woollama.toml", '[server]\nheartbeat = "often"\nadress = "x"\nallow_hosts = ["h"]\n[serve]\n')
    assert files.load().config.door == Door(allow_hosts=("h",))
    assert not files.load().fatal
    told = files.told()
    assert told[0] == 'woollama.toml:5: serve: is no known section (did you mean "server"?); serve is left out'
    assert any('woollama.toml:3: server.adress: is no known key (did you mean "address"?)' in line for line in told)
    assert any("woollama.toml:2: server.heartbeat: must be a duration" in line for line in told)
    assert len(told) == 3


@pytest.mark.parametrize("variable", ["WOOLLAMA_HEARTBEAT", "WOOLLAMA_MAX_BODY_BYTES", "WOOLLAMA_ADDRESS"])
def test_a_variable_that_cannot_be_read_stops_a_start(files: Files, variable: str) -> None:
    loaded = files.load({variable: "::nonsense::"})
    assert loaded.fatal
    (told,) = files.told({variable: "::nonsense::"})
    assert told.startswith(f"{variable}: must be ")


def test_variables_in_the_file_are_expanded(files: Files) -> None:
    files.write("woollama.toml", '[server]\naddress = "127.0.0.1:${PORT}"\nheartbeat = "${NONE}"\n')
    loaded = files.load({"PORT": "99"})
    assert loaded.config.door == Door("127.0.0.1:99")
    (problem,) = loaded.problems
    assert problem.message == "needs the variable NONE, which is not set"


def test_an_origin_without_its_scheme_matches_nothing_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "woollama.toml").write_text('[server]\nallow_origins = ["localhost:3000"]\n')
    (problem,) = load(tmp_path, {}).errors
    assert "an origin such as http://localhost:3000" in str(problem)
    (tmp_path / "woollama.toml").write_text('[server]\nallow_origins = ["http://localhost:3000", "*"]\n')
    assert load(tmp_path, {}).config.door.allow_origins == ("http://localhost:3000", "*")


@pytest.mark.parametrize("rule", ['deny = ["fs"]', 'denny = ["fs.*"]', 'confirm = "git.*"', 'timeout = "soon"'])
def test_a_rule_about_approvals_that_cannot_be_read_prevents_a_start(files: Files, rule: str) -> None:
    files.write("woollama.toml", f'[approvals]\nnotify = ["notify-send"]\n{rule}\n')
    loaded = files.load()
    assert loaded.fatal
    assert loaded.errors[0].key.startswith("approvals.")


def test_approvals_have_a_floor_and_a_time(files: Files) -> None:
    files.write("woollama.toml", '[approvals]\ntimeout = "5s"\nconfirm = ["*.push"]\ndeny = ["fs.*"]\n')
    rules = files.load().config.approvals
    assert (rules.timeout_s, rules.confirm, rules.deny, rules.notify) == (5.0, ("*.push",), ("fs.*",), ())
