"""Tool servers in the shapes of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.config.conftest import Files
from woollama.config.documents import parse_json
from woollama.config.model import ToolServer
from woollama.config.schemas import schema_of


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


SAMPLES = Path(__file__).with_name("samples")
KEYS = ("AIRTABLE_KEY", "ISSUES_TOKEN", "LOCAL_KEY", "REMOTE_TOKEN", "FIGMA_TOKEN", "ZED_TOKEN")
SET = {**dict.fromkeys(KEYS, "set"), "WOOLLAMA_INPUT_SEARCH_KEY": "set", "WOOLLAMA_INPUT_REGION": "eu"}


@pytest.mark.parametrize(
    ("sample", "transports"),
    [
        ("claude_code", {"airtable": "stdio", "issues": "http", "events": "sse"}),
        ("claude_desktop", {"filesystem": "stdio", "memory": "stdio"}),
        ("cursor", {"local": "stdio", "remote": "http", "older": "sse"}),
        ("cline", {"browser": "stdio", "docs": "http", "parked": "off"}),
        ("vs_code", {"search": "stdio", "github": "http"}),
        ("windsurf", {"figma": "http", "older": "sse", "github": "stdio"}),
        ("zed", {"local": "stdio", "remote": "http", "parked": "off"}),
    ],
)
def test_the_files_of_other_programs_load_as_they_are(files: Files, sample: str, transports: dict[str, str]) -> None:
    text = (SAMPLES / f"{sample}.json").read_text()
    files.write("mcp.json", text)
    files.write("cursor.env", "FROM_FILE=1\n")
    loaded = files.load(SET)
    assert loaded.problems == ()
    servers = {name: found for name, found in loaded.config.servers.items() if name in transports}
    assert {name: "off" if found.disabled else found.transport for name, found in servers.items()} == transports
    assert Draft202012Validator(schema_of("mcp.json")).is_valid(parse_json(Path("mcp.json"), text).data)


def test_what_the_files_of_other_programs_come_to(files: Files) -> None:
    def of(sample: str, name: str) -> ToolServer:
        files.write("mcp.json", (SAMPLES / f"{sample}.json").read_text())
        files.write("cursor.env", "FROM_FILE=1\n")
        return files.load(SET).config.servers[name]

    assert of("claude_code", "airtable").env == {"AIRTABLE_API_KEY": "set", "CACHE": "/tmp/airtable"}
    assert of("claude_code", "issues").url == "https://mcp.example.com/mcp"
    assert of("cursor", "local").args == (f"{files.directory}/tools/server.py",)
    assert of("cursor", "local").env == {"FROM_FILE": "1", "API_KEY": "set"}
    assert (of("cline", "browser").timeout_s, of("cline", "docs").timeout_s) == (60, 120)
    assert of("cline", "browser").auto_approve == ("browser_snapshot",)
    assert of("cline", "docs").always_allow == ("search", "read")
    assert of("cline", "docs").disabled_tools == ("delete",)
    assert of("vs_code", "search").args[-1] == "--region=eu"
    assert of("windsurf", "figma").url == "https://mcp.example.com/mcp"


def test_an_input_may_be_a_credential_or_a_file_of_its_owner(files: Files) -> None:
    def key(**environ: str) -> dict[str, str] | None:
        found = server(files, {"command": "x", "env": {"KEY": "${input:search-key}"}}, **environ)
        return dict(found.env) if found else None

    secret = files.directory / "secrets" / "search-key"
    assert key() is None
    (told,) = files.told()
    assert told.endswith(
        f"needs the input 'search-key', which is not there (set WOOLLAMA_INPUT_SEARCH_KEY, or write {secret});"
        " mcpServers.x is left out"
    )
    secret.parent.mkdir()
    secret.write_text("from the file\n")
    secret.chmod(0o644)
    assert key() is None
    assert "needs secrets/search-key, which others can read (chmod 600 secrets/search-key)" in files.told()[0]
    secret.chmod(0o600)
    assert key() == {"KEY": "from the file"}
    (files.directory / "WOOLLAMA_INPUT_SEARCH_KEY").write_text("a credential\n")
    assert key(CREDENTIALS_DIRECTORY=str(files.directory)) == {"KEY": "a credential"}
    assert key(WOOLLAMA_INPUT_SEARCH_KEY="a variable", CREDENTIALS_DIRECTORY=str(files.directory)) == {
        "KEY": "a variable"
    }


def test_what_only_an_editor_knows_is_told_as_that(files: Files) -> None:
    assert server(files, {"command": "x", "args": ["${workspaceFolder}/server.py"]}) is None
    (told,) = files.told()
    assert "mcpServers.x.args[0]: ${workspaceFolder} is known to editors only (write the path itself)" in told


def test_the_file_of_an_existing_installation_loads(files: Files) -> None:
    others = '"fabric": {"dir": "~/patterns"}, "mcpServers": {"x": {"command": "x"}}'
    for store in ('"x"', '{"type": "mcp", "server": "x"}', '{"type": "http", "url": "http://127.0.0.1:1"}', "null"):
        files.write("mcp.json", f'{{"conversationStore": {store}, {others}}}')
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
        "mcp.json", '{"colours": {}, "mcpServers": {"x": {"command": "x", "colour": "red", "disabledTool": ["a"]}}}'
    )
    loaded = files.load()
    assert [(problem.key, problem.severity) for problem in loaded.problems] == [
        ("colours", "warning"),
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
        ({"url": "http://h", "type": "sse", "era": "modern"}, "mcpServers.x.era: is not spoken over sse"),
        ({"url": "http://h", "serverUrl": "http://h"}, 'mcpServers.x.serverUrl: says the same as "url"'),
        ({"serverUrl": "http://h", "command": "x"}, 'needs either "command" or "url", not both'),
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
    assert files.told() == [
        "mcp.json:1: servers.x: is in two sections of this file: one name, one server; servers.x is left out"
    ]
    assert "x" not in files.load().config.servers


def test_headers_in_the_clear_are_a_warning(files: Files) -> None:
    assert server(files, {"url": "http://10.0.0.1/mcp", "headers": {"A": "b"}}) is not None
    (told,) = files.told()
    assert "carries credentials without encryption" in told
