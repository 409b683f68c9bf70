"""Tool servers in the shapes of other programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.config.conftest import Files
from woollama.config.model import ToolServer


def server(files: Files, raw: Any, **environ: str) -> ToolServer | None:
    files.write("mcp.json", json.dumps({"mcpServers": {"x": raw}}))
    return files.load(environ).config.servers.get("x")


def test_claude_desktops_shape(files: Files) -> None:
    found = server(files, {"command": "npx", "args": ["-y", "thing"], "env": {"TOKEN": "${T}"}}, T="s")
    assert found == ToolServer("x", "stdio", "npx", ("-y", "thing"), {"TOKEN": "s"})


@pytest.mark.parametrize("kind", [None, "http", "streamable-http", "streamableHttp"])
def test_the_types_of_a_url(files: Files, kind: str | None) -> None:
    found = server(files, {"url": "https://h/mcp", "headers": {"A": "b"}} | ({"type": kind} if kind else {}))
    assert found is not None
    assert (found.transport, found.url, found.headers) == ("http", "https://h/mcp", {"A": "b"})
    assert files.told() == []


def test_vs_codes_shape_with_its_inputs(files: Files) -> None:
    files.write(
        "mcp.json",
        """{
          "inputs": [{"type": "promptString", "id": "key", "password": true}],
          "servers": {
            "y": {"type": "http", "url": "http://127.0.0.1/", "headers": {"Authorization": "Bearer ${input:key}"}},
          },
        }""",
    )
    assert files.load({"WOOLLAMA_INPUT_KEY": "s"}).config.servers["y"].headers == {"Authorization": "Bearer s"}
    assert "y" not in files.load().config.servers
    assert any("set WOOLLAMA_INPUT_KEY" in line for line in files.told())


@pytest.mark.parametrize(("written", "seconds"), [(30, 30), (30000, 30), ("2m", 120)])
def test_timeouts_in_seconds_and_in_ms(files: Files, written: Any, seconds: float) -> None:
    found = server(files, {"command": "x", "timeout": written})
    assert found is not None
    assert found.timeout_s == seconds


def test_keys_that_nobody_knows_are_warnings(files: Files) -> None:
    files.write(
        "mcp.json", '{"fabric": {}, "mcpServers": {"x": {"command": "x", "colour": "red", "disabledTool": ["a"]}}}'
    )
    loaded = files.load()
    assert [(problem.key, problem.severity) for problem in loaded.problems] == [
        ("fabric", "warning"),
        ("mcpServers.x.colour", "warning"),
        ("mcpServers.x.disabledTool", "warning"),
    ]
    assert "x" in loaded.config.servers


def test_what_other_programs_never_ask_about_is_read_past(files: Files) -> None:
    assert (
        server(files, {"command": "x", "autoApprove": ["a"], "alwaysAllow": ["b"], "disabledTools": ["c"]}) is not None
    )
    assert files.told() == []


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({}, 'mcpServers.x: needs either "command" or "url"'),
        ({"command": "x", "url": "http://h"}, 'needs either "command" or "url", not both'),
        ({"command": "x", "type": "http"}, "mcpServers.x.type: does not fit a server with a command"),
        ({"url": "http://h", "type": "stdio"}, "mcpServers.x.type: does not fit a server with a url"),
        ({"url": "http://h", "type": "sse"}, '"sse" is not supported in this version'),
        ({"url": "http://h", "args": ["x"]}, "mcpServers.x.args: has no effect"),
        ({"command": "x", "headers": {"A": "b"}}, "mcpServers.x.headers: has no effect"),
        ({"command": "x", "args": "x y"}, "mcpServers.x.args: must be a list"),
        ({"command": "x", "env": {"A": 1}}, "mcpServers.x.env.A: must be a text"),
        ({"command": "${NONE}"}, "mcpServers.x.command: needs the variable NONE"),
        ({"url": "http://h", "headers": {"Authorization": "Bearer ${EMPTY}"}}, "headers.Authorization: has no value"),
        ({"command": "x", "envFile": "none.env"}, "mcpServers.x.envFile: names a file that cannot be read"),
        ({"command": "x", "envFile": "\x00"}, "mcpServers.x.envFile: names a file that cannot be read"),
        ({"command": "x", "disabled": "yes"}, "mcpServers.x.disabled: must be true or false"),
        ("npx thing", "mcpServers.x: must be a table"),
    ],
)
def test_what_does_not_fit_together_is_told_and_leaves_its_neighbours(files: Files, raw: Any, told: str) -> None:
    assert server(files, raw, EMPTY="") is None or raw == {"command": "x", "disabled": "yes"}
    lines = files.told({"EMPTY": ""})
    assert any(told in line and line.startswith("mcp.json:1: ") for line in lines), lines
    assert "clock" in files.load().config.servers


def test_paths_are_those_beside_the_file_and_env_wins_over_the_env_file(files: Files) -> None:
    files.write(".env", "# comment\nexport A='one two'\nB=2\n\nC=\"3\"\nnonsense\n")
    found = server(files, {"command": "x", "cwd": "sub", "envFile": ".env", "env": {"B": "mine"}})
    assert found is not None
    assert found.env == {"A": "one two", "B": "mine", "C": "3"}
    assert found.cwd == str(files.directory / "sub")


def test_one_name_in_both_sections_is_one_server_too_many(files: Files) -> None:
    files.write("mcp.json", '{"mcpServers": {"x": {"command": "x"}}, "servers": {"x": {"command": "y"}}}')
    assert files.told() == ["mcp.json:1: servers.x: is also in mcpServers: one name, one server; servers.x is left out"]
    assert "x" not in files.load().config.servers


def test_headers_in_the_clear_are_a_warning(files: Files) -> None:
    assert server(files, {"url": "http://10.0.0.1/mcp", "headers": {"A": "b"}}) is not None
    (told,) = files.told()
    assert "carries credentials without encryption" in told
