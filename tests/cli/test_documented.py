"""Every command and every option of it stands on its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from woollama.cli import COMMANDS, parser
from woollama.cli.arguments import Parser

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def section(command: str) -> str:
    found = re.search(rf"^### `woollama {command}`\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.M | re.S)
    assert found, f"{PAGE.name} has no section about woollama {command}"
    return found[1]


def options_of(parser: Parser) -> set[str]:
    own = {name for name in parser.options if name.startswith("--")}
    below = parser.commands.choices.values() if parser.commands is not None else ()
    return own.union(*map(options_of, below)) - {"--help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_documented_with_its_options(command: str) -> None:
    text = section(command)
    one: Parser = parser(command).commands.choices[command]
    assert [option for option in sorted(options_of(one)) if option not in text] == []
    if one.commands is not None:
        assert [action for action in one.commands.choices if f"`{action}" not in text] == []


def test_the_page_is_about_commands_that_exist() -> None:
    assert set(re.findall(r"^### `woollama (\S+)`", PAGE.read_text(), re.M)) == set(COMMANDS)
