"""The JSON schemas say what the loader says: of the shipped files, of the documents' examples, of every key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from jsonschema import Draft202012Validator

from tests.config.conftest import Files
from tests.snippets import ROOT, Snippet, all_snippets
from woollama.config.documents import parse_json, parse_toml
from woollama.config.load import FILES, SHIPPED
from woollama.config.model import Inferencer, Patterns, Recipe, ToolServer, Variable, WorkedCall
from woollama.config.params import SETTINGS
from woollama.config.problems import Wrong
from woollama.config.records import settings_of
from woollama.config.schemas import schema_of
from woollama.config.values import Kind
from woollama.config.woollama_toml import SECTIONS

SNIPPETS = all_snippets(*(f"toml {name}" for name in FILES), "json mcp.json")


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(name))


def parsed(name: str, text: str) -> Mapping[str, Any]:
    return (parse_json if name == "mcp.json" else parse_toml)(Path(name), text).data


def told(name: str, data: Mapping[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(data)]


@pytest.mark.parametrize("name", FILES)
def test_a_schema_is_one_and_says_what_each_key_is_for(name: str) -> None:
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == f"{name} of woollama"
    assert all(each.get("description") for each in schema["properties"].values() if "properties" not in each)
    assert schema.get("additionalProperties") == (None if name == "mcp.json" else False)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_files_fit(name: str) -> None:
    assert told(name, parsed(name, (ROOT / name).read_text())) == []


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.id)
def test_the_examples_of_the_documents_fit(snippet: Snippet) -> None:
    name = snippet.info.split()[1]
    assert told(name, parsed(name, snippet.text)) == []


def every_kind() -> Iterator[tuple[str, Kind[Any]]]:
    for cls in (Recipe, Variable, WorkedCall, Patterns, Inferencer, ToolServer, *SECTIONS.values()):
        for key, (_, how) in settings_of(cls).items():
            yield f"{cls.__name__}.{key}", how.kind
    for key, how in SETTINGS.items():
        yield f"params.{key}", how.kind


WRITTEN = [
    *(True, False, 0, 1, 3, -1, -3, 21, 101, 1000, 2**40, 0.5, 1.5, -0.5, 2.5, 150.5),
    *("", " ", "a", "x.y", "git.*", "two words", "A_NAME", "1abc", "a\nb", "Bearer ", "bearer", "Bearer x", "token"),
    *(
        "10s",
        "500ms",
        "1.5h",
        "0s",
        "0",
        "7",
        " 2 s ",
        "10 parsecs",
        "-1s",
        "64KiB",
        "100MB",
        "0B",
        "1 gib",
        "5 KB",
        "9q",
    ),
    *(
        "http://h",
        "https://h:1/v1",
        "http://h?q",
        "http://h#f",
        "ftp://h",
        "http://",
        "HTTP://h",
        "app://x",
        "*",
        "http://*:1",
    ),
    *("127.0.0.1:1", "[::1]:11435", ":80", "a:b", "host", "h:1:2", "u@h:1"),
    *("auto", "handshake", "native", "openai", "openia", "chat", "http", "sse", "stdio", "none", "temperature"),
    *([], ["a"], [""], ["x.y"], [1], ["chat"], ["temperature"], ["http://h"], ["git.*", 3]),
    *({}, {"a": "b"}, {"a": 1}, {"a": ""}, {"temperature": 1}, {"temperature": "hot"}, {"type": "text"}),
    *({"type": "json_schema"}, {"type": "json_schema", "json_schema": {"schema": {}}}, {"type": "prose"}),
    *(
        {"v": {"default": "x"}},
        {"v": {"defualt": "x"}},
        [{"call": "x.y"}],
        [{"ask": "no call"}],
        {"x": {"choices": [1]}},
    ),
]


@pytest.mark.parametrize(("name", "kind"), list(every_kind()), ids=lambda each: each if isinstance(each, str) else "")
def test_a_key_s_schema_refuses_exactly_what_the_loader_refuses(name: str, kind: Kind[Any]) -> None:
    schema = Draft202012Validator(kind.schema)
    differ = [(value, reads(kind, value)) for value in WRITTEN if schema.is_valid(value) != reads(kind, value)]
    assert differ == []


def reads(kind: Kind[Any], value: Any) -> bool:
    try:
        kind.read(value)
    except Wrong:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("recipes.toml", {"recipes": {"r": {"inferencer": "a/b", "tols": []}}}),
        ("recipes.toml", {"recipes": {"r": {"description": "no inferencer"}}}),
        ("recipes.toml", {"recipes": {"r": {"inferencer": "a/b", "tools": ["git"]}}}),
        ("recipes.toml", {"recipes": {"r": {"inferencer": "a/b", "max_turns": 0}}}),
        ("recipes.toml", {"recipes": {"r": {"inferencer": "a/b", "locked": ["heat"]}}}),
        ("recipes.toml", {"recipes": {"a/b": {"inferencer": "a/b"}}}),
        ("recipes.toml", {"recipes": {"woollama": {"inferencer": "a/b"}}}),
        ("recipes.toml", {"recipes": {"r": {"inferencer": "a/b", "disabled": "yes"}}}),
        ("recipes.toml", {"recipes": []}),
        ("recipes.toml", {"aliases": {"a": 1}}),
        ("recipes.toml", {"aliases": {"a": " "}}),
        ("recipes.toml", {"patterns": {"dir": "x"}}),
        ("recipes.toml", {"assistant": {"inferencer": "a/b"}}),
        ("inferencers.toml", {"inferencers": {"x": {"base_url": "localhost:1"}}}),
        ("inferencers.toml", {"inferencers": {"x": {"base_url": "http://h", "api": "openia"}}}),
        ("inferencers.toml", {"inferencers": {"x": {"base_url": "http://h", "api_key": "sk-1"}}}),
        ("inferencers.toml", {"inferencers": {"x": {"base_url": "http://h", "api_key_env": "sk-1"}}}),
        ("inferencers.toml", {"ollama": {"base_url": "http://h"}}),
        ("mcp.json", {"mcpServers": {"x": {}}}),
        ("mcp.json", {"mcpServers": {"x": {"command": "x", "url": "http://h"}}}),
        ("mcp.json", {"mcpServers": {"x": {"command": "x", "args": "y z"}}}),
        ("mcp.json", {"servers": {"x": {"command": "x", "env": {"A": 1}}}}),
        ("mcp.json", {"servers": {"x": {"url": "http://h", "headers": {"Authorization": "Bearer "}}}}),
        ("mcp.json", {"mcpServers": []}),
        ("woollama.toml", {"server": {"adress": "127.0.0.1:1"}}),
        ("woollama.toml", {"server": {"heartbeat": "soon"}}),
        ("woollama.toml", {"servers": {}}),
        ("woollama.toml", {"limits": {"body": "much"}}),
    ],
)
def test_a_wrong_file_is_refused_by_both(files: Files, name: str, data: dict[str, Any]) -> None:
    files.write(name, json.dumps(data) if name == "mcp.json" else tomli_w.dumps(data))
    assert files.load().errors
    assert told(name, data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("recipes.toml", {"recipes": {"r": {"inferencer": "${MODEL}"}, "demo": {"disabled": True}}}),
        ("inferencers.toml", {"inferencers": {"x": {"base_url": "${URL:-http://h}", "api": "${API:-openai}"}}}),
        ("inferencers.toml", {"inferencers": {"ollama": {"queue_timeout_s": "5m"}}}),
        ("mcp.json", {"mcpServers": {"x": {"command": "x", "of": "another program"}}, "theirs": 1}),
        ("woollama.toml", {"server": {"address": "[::1]:${PORT:-1}", "heartbeat": 3}}),
    ],
)
def test_what_is_right_is_right_for_both(files: Files, name: str, data: dict[str, Any]) -> None:
    files.write(name, json.dumps(data) if name == "mcp.json" else tomli_w.dumps(data))
    assert files.load({"MODEL": "ollama/x"}).errors == ()
    assert told(name, data) == []
