"""Inferencers that are started, that take their callers' keys, and whose models are declared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.conftest import Files
from woollama.config.model import Inferencer


def loaded(files: Files, text: str, name: str = "x") -> Inferencer:
    files.write("inferencers.toml", text)
    found = files.load()
    assert not found.errors, found.errors
    return found.config.inferencers[name]


@pytest.mark.parametrize(
    ("api", "base_url"),
    [
        ("openai", "http://127.0.0.1:{port}/v1"),
        ("ollama", "http://127.0.0.1:{port}"),
        ("anthropic", "http://127.0.0.1:{port}"),
    ],
)
def test_a_command_needs_no_base_url(files: Files, api: str, base_url: str) -> None:
    entry = loaded(files, f'[inferencers.x]\napi = "{api}"\ncommand = ["serve", "--port", "{{port}}"]\n')
    assert entry.base_url == base_url
    assert entry.first_byte_timeout_s == 600


def test_a_command_may_be_told_its_port_by_its_environment_or_have_one(files: Files) -> None:
    told = loaded(files, '[inferencers.x]\ncommand = ["serve"]\nenv = { HOST = "127.0.0.1:{port}" }\n')
    assert told.env == {"HOST": "127.0.0.1:{port}"}
    always = loaded(files, '[inferencers.x]\ncommand = ["serve"]\nbase_url = "http://127.0.0.1:9000/v1"\n')
    assert always.base_url == "http://127.0.0.1:9000/v1"


def test_a_command_takes_the_place_of_a_shipped_address(files: Files) -> None:
    entry = loaded(files, '[inferencers.llamacpp]\ncommand = ["llama-server", "--port", "{port}"]\n', "llamacpp")
    assert (entry.base_url, entry.local) == ("http://127.0.0.1:{port}/v1", True)


def test_a_directory_is_looked_for_beside_the_file(files: Files) -> None:
    entry = loaded(files, '[inferencers.x]\ncommand = ["serve", "{port}"]\ncwd = "models"\n')
    assert entry.cwd is not None
    assert Path(entry.cwd).is_absolute()
    assert entry.cwd.endswith("/models")


def test_the_callers_key_takes_the_place_of_a_shipped_one(files: Files) -> None:
    entry = loaded(files, '[inferencers.openai]\nauth = "client"\n', "openai")
    assert (entry.auth, entry.api_key_env) == ("client", None)


def test_what_models_are_is_declared_in_known_words(files: Files) -> None:
    entry = loaded(files, '[inferencers.ollama.capabilities]\nembedding = ["*embed*", "bge-*"]\n', "ollama")
    assert entry.capabilities == {"embedding": ("*embed*", "bge-*")}


STARTED = '[inferencers.x]\ncommand = ["serve", "--port", "{port}"]\n'


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("[inferencers.x]\n", "inferencers.x", 'or "command"'),
        ('[inferencers.x]\ncommand = ["serve"]\n', "inferencers.x.command", "not told its port"),
        (STARTED + 'base_url = "http://127.0.0.1:9000/v1"\n', "inferencers.x.command", "is always http"),
        ('[inferencers.x]\ncommand = "serve --port {port}"\n', "inferencers.x.command", "must be a list"),
        ('[inferencers.x]\nbase_url = "http://127.0.0.1:{port}"\n', "inferencers.x.base_url", "{port}"),
        ('[inferencers.x]\nbase_url = "http://h"\ncwd = "a"\n', "inferencers.x.cwd", 'without a "command"'),
        ('[inferencers.x]\nbase_url = "http://h"\nswap_group = "a"\n', "inferencers.x.swap_group", "without a"),
        ('[inferencers.x]\nbase_url = "http://h"\nidle_s = 5\n', "inferencers.x.idle_s", 'without a "command"'),
        ('[inferencers.x]\napi = "scripted"\ncommand = ["a"]\n', "inferencers.x.command", "has no effect with api"),
        (STARTED + 'ready_url = "health"\n', "inferencers.x.ready_url", "or its path alone"),
        ('[inferencers.x]\nbase_url = "https://h"\nlocal = true\n', "inferencers.x.local", "another machine"),
        (
            '[inferencers.x]\nbase_url = "https://h"\nauth = "client"\napi_key_env = "KEY"\n',
            "inferencers.x.api_key_env",
            "the caller's key instead",
        ),
        (
            '[inferencers.x]\nbase_url = "https://h"\nauth = "client"\nheaders = { Authorization = "Basic abc" }\n',
            "inferencers.x.headers.Authorization",
            "the caller's key there",
        ),
        ('[inferencers.x]\napi = "local"\nauth = "client"\n', "inferencers.x.auth", "has no effect with api"),
        (
            '[inferencers.x]\nbase_url = "http://h"\ncapabilities = { embeddings = ["*"] }\n',
            "inferencers.x.capabilities.embeddings",
            "is none of chat",
        ),
    ],
)
def test_what_could_not_be_honoured_is_an_error(files: Files, text: str, key: str, says: str) -> None:
    files.write("inferencers.toml", text)
    (problem,) = files.load().errors
    assert problem.key == key
    assert says in problem.message


def test_a_swap_group_may_hold_embedded_models(files: Files) -> None:
    assert loaded(files, '[inferencers.x]\napi = "local"\nswap_group = "gpu0"\nidle_s = 5\n').swap_group == "gpu0"
