"""The configuration in force as one document, each value with where it comes from, and no secret in it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from woollama.config import load
from woollama.config.masking import HIDDEN, masked
from woollama.config.merged import as_json, as_toml, merged

RECIPES = '''
[aliases]
fast = "ollama/q"

[recipes.mine]
inferencer = "ollama/q"
system = """
Be "brief".
# Always."""
params = { temperature = 0.2, stop = ["a", "b"] }
variables.language = { default = "English" }

[recipes.bad]
inferencer = 3
'''
INFERENCERS = """
[inferencers.ollama]
base_url = "http://user:hunter2@10.0.0.1:11434"
headers = { Authorization = "Bearer planted-1", X-Team = "${TEAM}", Accept = "a/b" }
"""
MCP = """{
  "mcpServers": {
    "git": {"command": "git-mcp", "env": {"TOKEN": "planted-2", "LEVEL": "debug", "KEY": "${KEY}"}, "icon": null,
            "args": ["--api-key", "planted-3", "--token=planted-4", "--key", "${KEY}", "sk-ant-planted555555555555"]}
  },
  "servers": {"web": {"url": "https://x.example/mcp", "headers": {"Authorization": "Bearer ${WEB:-planted-6}"}}}
}"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, text in {"recipes.toml": RECIPES, "inferencers.toml": INFERENCERS, "mcp.json": MCP}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "woollama.toml").write_text('[server]\nheartbeat = "7s"\naddress = "127.0.0.1:1"\n')
    return tmp_path


ENVIRON = {
    "WOOLLAMA_ADDRESS": "127.0.0.1:2",
    "WOOLLAMA_ALLOW_HOST": "a,b",
    "TEAM": "t",
    "KEY": "k",
    "HOME": "/nonexistent",
}


@pytest.mark.parametrize("defaults", [False, True])
def test_it_is_toml_that_says_what_is_in_force(directory: Path, defaults: bool) -> None:
    said = tomllib.loads(as_toml(merged(load(directory, ENVIRON), ENVIRON, defaults=defaults)))
    assert said["server"]["address"] == "127.0.0.1:2"
    assert said["server"]["heartbeat"] == "7s"
    assert said["server"]["allow_hosts"] == ["a", "b"]
    assert said["server"]["any_local_user"] is False
    assert said["aliases"] == {"fast": "ollama/q"}
    assert said["recipes"]["mine"]["system"] == 'Be "brief".\n# Always.'
    assert said["recipes"]["mine"]["params"] == {"temperature": 0.2, "stop": ["a", "b"]}
    assert said["recipes"]["mine"]["variables"] == {"language": {"default": "English"}}
    assert "bad" not in said["recipes"], "what is left out is not in force"
    assert said["inferencers"]["ollama"]["api"] == "ollama", "a key of the shipped file, below those of the user's"
    assert said["mcpServers"]["git"]["env"]["LEVEL"] == "debug"
    assert said["mcpServers"]["web"]["url"] == "https://x.example/mcp"
    assert ("retries" in said["inferencers"]["ollama"]) is defaults
    assert ("max_turns" in said["recipes"]["mine"]) is defaults


def test_every_value_has_its_origin(directory: Path) -> None:
    lines = as_toml(merged(load(directory, ENVIRON), ENVIRON)).splitlines()
    for line in (
        'address = "127.0.0.1:2"  # WOOLLAMA_ADDRESS',
        f'heartbeat = "7s"  # {directory}/woollama.toml:2',
        "shutdown_timeout = 10.0  # default",
        f'fast = "ollama/q"  # {directory}/recipes.toml:3',
        f"# {directory}/recipes.toml:7",
    ):
        assert line in lines
    assert any(line.startswith('api = "ollama"  # shipped inferencers.toml:') for line in lines)
    home = {**ENVIRON, "HOME": str(directory.parent)}
    assert f"~/{directory.name}/recipes.toml:3" in as_toml(merged(load(directory, home), home))


def test_as_json_it_says_the_same(directory: Path) -> None:
    values = list(merged(load(directory, ENVIRON), ENVIRON))
    told = json.loads(as_json(values))
    assert told["values"] == {**tomllib.loads(as_toml(values)), "server": {**told["values"]["server"]}}
    assert told["origins"]["server.address"] == "WOOLLAMA_ADDRESS"


def test_no_secret_is_shown_and_references_are(directory: Path) -> None:
    for text in (as_toml, as_json):
        shown = text(merged(load(directory, ENVIRON), ENVIRON, defaults=True))
        for secret in ("planted", "hunter2"):
            assert secret not in shown
        for reference in ("${TEAM}", "${KEY}", "a/b"):
            assert reference in shown


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        (("inferencers", "x", "headers", "X-Anything"), "abc", HIDDEN),
        (("inferencers", "x", "headers", "Authorization"), "Bearer ${T}", "Bearer ${T}"),
        (("inferencers", "x", "headers", "Authorization"), "Bearer ${T:-abc}", HIDDEN),
        (("inferencers", "x", "api_key_env"), "OPENAI_API_KEY", "OPENAI_API_KEY"),
        (("inferencers", "x", "auth"), "client", "client"),
        (("inferencers", "x", "extra_body"), {"api_key": "abc", "n": 1}, {"api_key": HIDDEN, "n": 1}),
        (("inferencers", "x", "context_tokens"), 3, 3),
        (("state", "url"), "postgresql://me:abc@host/db", f"postgresql://me:{HIDDEN}@host/db"),
        (("state", "url"), "postgresql://me:${PW}@host/db", "postgresql://me:${PW}@host/db"),
        (("recipes", "x", "system"), "say ghp_abcdefghijklmnop123456", f"say {HIDDEN}"),
        (("recipes", "x", "system"), "count your tokens", "count your tokens"),
        (("mcpServers", "x", "args"), ["--password", "abc", "b"], ["--password", HIDDEN, "b"]),
    ],
)
def test_what_could_be_a_secret_is_hidden(path: tuple[str, ...], value: object, shown: object) -> None:
    assert masked(path, value) == shown
