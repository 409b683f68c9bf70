"""Writes docs/configuration.md from the configuration's model: every key of the four files, variables and flags.

`--check` writes nothing and fails where the page is not what the model says.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from woollama.cli import parser as command_line
from woollama.cli.serve import FLAGS
from woollama.config.defaults import defaults_dir
from woollama.config.environment import ENVIRONMENT
from woollama.config.load import load
from woollama.config.model import (
    ConversationStore,
    Inferencer,
    Patterns,
    Price,
    Recipe,
    Token,
    ToolServer,
    Variable,
    WorkedCall,
)
from woollama.config.params import SETTINGS
from woollama.config.records import Setting, as_written, has_default, settings_of
from woollama.config.woollama_toml import SECTIONS

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
TEMPLATE = Path(__file__).with_name("templates") / "configuration.md"
VARIABLES: Mapping[str, str] = {
    "WOOLLAMA_CONFIG_DIR": "where the four files are, instead of `$XDG_CONFIG_HOME/woollama` or `~/.config/woollama`",
    "WOOLLAMA_STATE_DIR": "what the daemon keeps, instead of `$XDG_STATE_HOME/woollama` or `~/.local/state/woollama`",
    "WOOLLAMA_TOKEN": "what clients over TCP must present; without it only this machine can connect",
    "WOOLLAMA_TOKEN_<NAME>": "the value of `[tokens.NAME]`; `-` and the like become `_`",
    "WOOLLAMA_CLAUDE_BIN": 'the `claude` command line, for `api = "claude-code"`; else `claude` on the PATH',
    "WOOLLAMA_OLLAMA_URL": "where Ollama is, for the shipped `[inferencers.ollama]`",
    "WOOLLAMA_LOG": "a filter such as `info,woollama.toolservers=debug`",
    "WOOLLAMA_LOG_FORMAT": "`text` or `json`",
    "WOOLLAMA_INPUT_<ID>": "answers `${input:id}` of mcp.json: the id in capitals, `_` for what is no letter or digit",
    "WOOLLAMA_WITHIN": "set for tool servers: which woollamas stand above them, so that none starts itself",
    "WOOLLAMA_SOCKET": "set by `woollama env`: where other programs find the socket",
    "CREDENTIALS_DIRECTORY": "systemd's credentials: a file in it stands for the variable of its name",
    "XDG_RUNTIME_DIR": "where the socket and the address file are",
}


def page() -> str:
    parts = {
        "recipes": "\n\n".join(
            [
                _table("`[recipes.NAME]`", Recipe),
                _table("`[recipes.NAME.variables.VARIABLE]`", Variable),
                _table("`[[recipes.NAME.examples]]`", WorkedCall),
                _rows("`params`", ((key, _type(how), "–", how.doc) for key, how in SETTINGS.items())),
                _table("`[patterns]`", Patterns),
            ]
        ),
        "servers": "\n\n".join([_table("A server", ToolServer), _table("`conversationStore`", ConversationStore)]),
        "inferencers": _table("`[inferencers.NAME]`", Inferencer),
        "daemon": "\n\n".join(
            [
                *(_table(f"`[{name}]`", cls, environment=name) for name, cls in SECTIONS.items()),
                _table("`[tokens.NAME]`", Token),
                _table('`[prices]`, a table for each `"inferencer/model"`', Price),
            ]
        ),
        "variables": _variables(),
        "flags": _flags(),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text


def _table(title: str, cls: type, environment: str = "") -> str:
    variables = {key: name for name, (section, key) in ENVIRONMENT.items() if section == environment}
    rows = (
        (
            key,
            _type(how),
            _default(item, how),
            how.doc + (f" (`{variables[key]}`)" if key in variables else ""),
        )
        for key, (item, how) in settings_of(cls).items()
    )
    return _rows(title, rows)


def _rows(title: str, rows: Iterator[tuple[str, str, str, str]]) -> str:
    lines = [f"### {title}", "", "| key | type | default | what it says |", "|---|---|---|---|"]
    lines += [f"| `{key}` | {_cell(kind)} | {default} | {_cell(doc)} |" for key, kind, default, doc in rows]
    return "\n".join(lines)


def _type(how: Setting) -> str:
    return how.kind.word + (f" ({how.kind.unit})" if how.kind.unit else "")


def _default(item: dataclasses.Field[object], how: Setting) -> str:
    if not has_default(item):
        return "required"
    value = as_written(item)
    if value is None or value in ("", [], {}):
        return "–"
    if how.kind.unit == "s":
        return f"`{value:g}s`"
    if how.kind.unit == "bytes":
        return f"`{value // 2**20}MiB`" if value >= 2**20 else f"`{value // 2**10}KiB`"
    return f"`{json.dumps(value)}`"


def _variables() -> str:
    keys = {
        key for inferencer in load(defaults_dir(), {}).config.inferencers.values() if (key := inferencer.api_key_env)
    }
    rows = [f"| `{name}` | `[{section}] {key}` |" for name, (section, key) in ENVIRONMENT.items()]
    rows += [f"| `{name}` | {doc} |" for name, doc in VARIABLES.items()]
    rows += [
        f"| {', '.join(f'`{key}`' for key in sorted(keys))} | the shipped inferencers' keys, read when they are used |"
    ]
    return "\n".join(["| variable | what it says |", "|---|---|", *rows])


def _flags() -> str:
    serve = command_line().commands.choices["serve"]
    rows = [
        f"| `{action.option_strings[-1]} {action.metavar or ''}".rstrip()
        + f"` | `{FLAGS[action.dest]}` | {_cell(action.help or '')} |"
        for action in serve._actions
        if action.dest in FLAGS
    ]
    return "\n".join(["| flag | variable | what it says |", "|---|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="only tell whether the page is what the model says")
    wanted = page()
    if not options.parse_args().check:
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != wanted:
        print(f"{PAGE.name} is not what the configuration's model says: run scripts/reference", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
