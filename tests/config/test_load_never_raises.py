"""Whatever stands in the files, it is told and never raised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from woollama.config import load
from woollama.config.model import Door, Inferencer, Limits, Recipe, ToolServer, Variable, WorkedCall
from woollama.config.params import KINDS
from woollama.config.records import settings_of

CLASSES = (Recipe, Variable, WorkedCall, Inferencer, ToolServer, Door, Limits)
WORDS = sorted(
    {key for cls in CLASSES for key in settings_of(cls)}
    | {
        *KINDS,
        "aliases",
        "recipes",
        "inferencers",
        "mcpServers",
        "servers",
        "server",
        "limits",
        "disabled",
        "demo",
        "x",
    }
)
TEXTS = st.sampled_from(
    ["", "x", "a.b", "required", "${X}", "${", "http://h:1", "http://[", "10s", "local", "\x00", "\ud83d"]
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2**70), st.floats(), TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)),
    max_leaves=12,
)
FILES = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=4)
SECTIONS = {
    "recipes.toml": ("recipes", "aliases"),
    "inferencers.toml": ("inferencers",),
    "mcp.json": ("mcpServers", "servers"),
    "woollama.toml": ("server", "limits"),
}
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", SECTIONS)
@quick
@given(strays=FILES, entries=st.dictionaries(st.sampled_from([*WORDS, "a/b", "woollama", ""]), FILES, max_size=3))
def test_any_data(tmp_path: Path, name: str, strays: dict[str, Any], entries: dict[str, Any]) -> None:
    data = {**strays, **dict.fromkeys(SECTIONS[name], entries)}
    text = json.dumps(data) if name == "mcp.json" else tomli_w.dumps(_toml(data))
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    loaded = load(tmp_path, {})
    for problem in loaded.problems:
        assert str(problem)
        assert json.dumps(problem.as_json())


@pytest.mark.parametrize("name", SECTIONS)
@quick
@given(text=st.text("[]{}\"'=.,:/*#\n ax1\\", max_size=60))
def test_any_text(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert load(tmp_path, {}).config is not None


def _toml(value: Any) -> Any:
    """What TOML can say of it: no nulls, no lone surrogates."""
    match value:
        case dict():
            return {key: _toml(item) for key, item in value.items() if item is not None}
        case list():
            return [_toml(item) for item in value if item is not None]
        case str():
            return value.encode("utf-8", "replace").decode()
        case _:
            return value
