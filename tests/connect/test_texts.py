"""Settings put into texts that somebody else wrote, and taken out of them again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from woollama.connect.json_text import JsonText
from woollama.connect.settings import CannotEdit, Format, Malformed, Setting, depth, with_setting
from woollama.connect.toml_text import TomlText
from woollama.connect.yaml_text import YamlText

JSON, TOML, YAML = JsonText(), TomlText(), YamlText()
SERVER = Setting(("mcpServers", "woollama"), {"command": "woollama", "args": ["mcp"]})


def there_and_back(form: Format, text: str, setting: Setting) -> str:
    """The text with the setting in it; it says that and no more, and taking it gives the text back."""
    data = form.parse(text)
    before, kept = form.value_text(text, setting), depth(data, setting.path)
    put = form.put(text, setting)
    assert form.parse(put) == with_setting(data, setting)
    taken = form.take(put, setting, before, kept)
    assert taken is not None
    assert form.parse(taken) == data
    return put


JSON_TEXTS = [
    "",
    "{}",
    "{ }\n",
    '{"a": 1}',
    '{"a": 1,}',
    '{\n  "a": 1\n}\n',
    '{\n\t"a": 1, // the first\n\t/* and */\n}\n',
    '// my settings\n{\n  "mcpServers": {\n    // mine\n    "x": {"command": "x"} // yes\n  },\n  "b": [1, 2,],\n}\n',
    '{\n  "mcpServers": {}\n}\n',
    '{\n  "mcpServers": {\n    // nothing yet\n  }\n}\n',
    '\ufeff{"mcpServers": {"x": {}}}',
    '{"mcpServers": {"woollama": {"command": "old"}, "x": {}}}',
    '{\n    "url": "http://x/*not*/", "mcpServers": {"woollama": {"command": "old"}}\n}',
    '{\r\n  "a": 1\r\n}\r\n',
    '{ // c\n  "mcpServers": { // d\n    "woollama": 1, "b": 2}}',
    '{"mcpServers": {"a": 1, // c\n "woollama": {"x": 1}}}',
]


@pytest.mark.parametrize("text", JSON_TEXTS)
def test_json_keeps_all_that_is_not_ours(text: str) -> None:
    put = there_and_back(JSON, text, SERVER)
    for word in (
        "// my settings",
        "// mine",
        "// yes",
        "// the first",
        "/* and */",
        "// nothing yet",
        "http://x/*not*/",
    ):
        assert (word in put) == (word in text)


def test_json_looks_as_its_owner_writes_it() -> None:
    text = '{\n    "mcpServers": {\n        "x": {"command": "x"} // mine\n    }\n}\n'
    assert JSON.put(text, SERVER) == (
        '{\n    "mcpServers": {\n        "x": {"command": "x"}, // mine\n        "woollama": {\n'
        '          "command": "woollama",\n          "args": [\n            "mcp"\n          ]\n        }\n    }\n}\n'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": }', "line 1: a value"),
        ('{\n"a" 1}', "line 2: a colon"),
        ('{"a": 1 "b": 2}', "comma"),
        ('{"a": 1} x', "follows"),
        ("{", "a key"),
        ("{'a': 1}", "a key"),
    ],
)
def test_broken_json_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        JSON.put(text, SERVER)


def test_a_value_in_the_way_is_not_overwritten() -> None:
    with pytest.raises(CannotEdit, match="mcpServers is not an object"):
        JSON.put('{"mcpServers": []}', SERVER)
    with pytest.raises(CannotEdit):
        TOML.put("[a]\nx = 1\n", Setting(("a",), "b"))


def test_what_its_owner_changed_since_is_left() -> None:
    put = JSON.put("{}", SERVER).replace('"mcp"', '"mcp", "--verbose"')
    assert JSON.take(put, SERVER, None, 0) is None


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["a", "b", "mcpServers", "Ünï"]), _values, max_size=4),
    st.sampled_from([None, 1, 4]),
    st.booleans(),
)
def test_any_json_survives(data: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    if isinstance(data.get("mcpServers", {}), dict):
        there_and_back(JSON, text, SERVER)
    else:
        with pytest.raises(CannotEdit):
            JSON.put(text, SERVER)


TABLE = Setting(("mcp_servers", "woollama"), {"command": 'C:\\x "y"', "args": ["mcp"]})
TOML_TEXTS = [
    "",
    "# mine\n",
    'model = "o" # the best\n\n[tui]\nx = 1',
    '#:schema https://x\nmodel="o"\n[[a]]\nb = 1\n',
    'notes = """\nmodel = "not this"\n"""\n[profiles.x]\nmodel = "y"\n',
    "[mcp_servers.x]\ncommand = 'x'\n\n# the end\n",
]


@pytest.mark.parametrize("text", TOML_TEXTS)
@pytest.mark.parametrize("setting", [TABLE, Setting(("model",), "woollama/demo")])
def test_toml_keeps_all_that_is_not_ours(text: str, setting: Setting) -> None:
    if "not this" in text and setting.path == ("model",):
        put = TOML.put(text, setting)  # it hits the text: who calls compares what it says before and after
        assert TOML.parse(put) != with_setting(TOML.parse(text), setting)
        return
    put = there_and_back(TOML, text, setting)
    for word in ("# mine", "# the best", "#:schema https://x", "# the end"):
        assert (word in put) == (word in text)
    assert put.startswith("#:") == text.startswith("#:")


def test_a_table_that_is_there_is_its_owners() -> None:
    with pytest.raises(CannotEdit, match="there already"):
        TOML.put('[mcp_servers.woollama]\ncommand = "x"\n', TABLE)
    with pytest.raises(Malformed):
        TOML.parse("[a\n")


ITEM = Setting(("models",), {"name": "woollama: x", "roles": ["chat"]}, item=True)
YAML_TEXTS = [
    "",
    "# mine\n",
    "name: x # the best\nmodels:\n  - name: a\n    model: b\n\n# about rules\nrules:\n  - r\n",
    "models:\n- name: a\n- name: b",
    "models: []\nname: x\n",
    "models:\nname: x\n",
    "name: |\n  model: not this\nmodels:\n    - name: a\n      note: |\n        # no comment\n\n        end\n",
]


@pytest.mark.parametrize("text", YAML_TEXTS)
@pytest.mark.parametrize("setting", [ITEM, Setting(("openai-api-key",), "k: #"), Setting(("name",), "other")])
def test_yaml_keeps_all_that_is_not_ours(text: str, setting: Setting) -> None:
    if "|" in text and setting.path == ("name",):
        with pytest.raises(CannotEdit):
            YAML.put(text, setting)
        return
    if text.startswith("models:\nname") and setting is ITEM:
        put = YAML.put(text, setting)
        assert YAML.parse(put) == with_setting(YAML.parse(text), setting)
        return
    put = there_and_back(YAML, text, setting)
    for word in ("# mine", "# the best", "# about rules", "# no comment"):
        assert (word in put) == (word in text)


@pytest.mark.parametrize(("text", "error"), [("models: {a: 1}", CannotEdit), ("models: [{a: 1}]", CannotEdit)])
def test_a_list_in_another_style_is_not_rewritten(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        YAML.put(text, ITEM)
    with pytest.raises(Malformed, match="line 2"):
        YAML.parse("a: b\n c: d: e\n")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{ // c\n  "w": 1, "b": 2}', '{ // c\n  "b": 2}'),
        ('{"a": 1, // c\n "w": 1}', '{"a": 1 // c\n }'),
        ('{\n  "a": 1,\n  "w": 1\n}', '{\n  "a": 1\n}'),
        ('{\n  "w": 1,\n  "a": 1\n}', '{\n  "a": 1\n}'),
        ('{\n  "w": 1,\n}', "{\n}"),
        ('{\n  // c\n  "w": 1\n}', "{\n  // c\n}"),
        ('{"w": 1 /* c */}', "{ /* c */}"),
    ],
)
def test_what_is_taken_out_of_json_takes_no_comment_along(text: str, left: str) -> None:
    taken = JSON.take(text, Setting(("w",), 1), None, 0)
    assert taken == left
    JSON.parse(taken)
