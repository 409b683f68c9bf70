"""Reading TOML, and JSON as people write it, with the line of every key."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest

from woollama.config.documents import Unparsable, parse_json, parse_toml, read_document

FILE = Path("some.file")


def test_every_key_of_a_toml_file_has_its_line() -> None:
    document = parse_toml(
        FILE,
        dedent('''\
        [aliases]
        "gpt-4o" = "x"

        [recipes.demo]   # a comment = here
        system = """
        tools = ["not a key"]
        """
        tools = [
          "clock.now",
        ]
        params.temperature = 1
        [recipes.'a.b'.variables."c"]
        default = ""
        '''),
    )
    assert document.lines == {
        ("aliases",): 1,
        ("aliases", "gpt-4o"): 2,
        ("recipes",): 4,
        ("recipes", "demo"): 4,
        ("recipes", "demo", "system"): 5,
        ("recipes", "demo", "tools"): 8,
        ("recipes", "demo", "params"): 11,
        ("recipes", "demo", "params", "temperature"): 11,
        ("recipes", "a.b"): 12,
        ("recipes", "a.b", "variables"): 12,
        ("recipes", "a.b", "variables", "c"): 12,
        ("recipes", "a.b", "variables", "c", "default"): 13,
    }


def test_what_has_no_line_of_its_own_has_that_of_its_table() -> None:
    document = parse_toml(FILE, "\n[recipes.demo]\ntools = [1, 2]\n")
    assert document.line_of(("recipes", "demo", "tools", 1)) == 3
    assert document.line_of(("recipes", "demo", "missing")) == 2
    assert document.line_of(("elsewhere",)) is None


def test_a_table_that_is_only_implied_has_the_line_of_what_implies_it() -> None:
    document = parse_toml(FILE, "\n[recipe.demo]\n[server.tls]\n[server]\n")
    assert document.line_of(("recipe",)) == 2
    assert document.line_of(("server",)) == 4


JSONC = """\
{
  // servers "quoted"
  "mcpServers": {
    "a": {"command": "x", "args": ["http://h//y", "/* no comment */",], },
    /* over
       lines */
    "b": {
      "env": {"K": "a, }b"},
    },
  },
}
"""


def test_json_may_have_comments_and_trailing_commas() -> None:
    assert parse_json(FILE, JSONC).data == {
        "mcpServers": {
            "a": {"command": "x", "args": ["http://h//y", "/* no comment */"]},
            "b": {"env": {"K": "a, }b"}},
        }
    }


def test_every_key_of_a_json_file_has_its_line() -> None:
    document = parse_json(FILE, JSONC)
    assert document.line_of(("mcpServers",)) == 3
    assert document.line_of(("mcpServers", "a", "args", 1)) == 4
    assert document.line_of(("mcpServers", "b", "env", "K")) == 8


def test_an_empty_json_file_says_nothing() -> None:
    assert parse_json(FILE, "  // nothing yet\n").data == {}


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("x.toml", "a = 1\nb = \n", 2, "is not valid TOML"),
        ("x.json", '{\n "a": 1\n "b": 2}', 3, "is not valid JSON"),
        ("x.json", "[]", 1, "must hold a JSON object"),
        ("x.json", "[" * 100_000, None, "nested too deeply"),
    ],
)
def test_what_cannot_be_parsed_says_where(tmp_path: Path, name: str, text: str, line: int | None, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(Unparsable, match=message) as caught:
        read_document(tmp_path / name)
    assert caught.value.line == line


def test_a_file_that_is_not_there_is_no_document(tmp_path: Path) -> None:
    assert read_document(tmp_path / "none.toml") is None


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbfa = 1\n")
    document = read_document(tmp_path / "x.toml")
    assert document is not None
    assert document.data == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message", "line"), [(b"a = 1\nb = '\xff'\n", "is not UTF-8", 2), (None, "cannot be read", None)]
)
def test_what_is_no_text_is_told(tmp_path: Path, content: bytes | None, message: str, line: int | None) -> None:
    file = tmp_path / "x.toml"
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(Unparsable, match=message) as caught:
        read_document(file)
    assert caught.value.line == line


def test_a_pipe_in_the_place_of_a_file_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "recipes.toml")
    with pytest.raises(Unparsable, match="no file"):
        read_document(tmp_path / "recipes.toml")
