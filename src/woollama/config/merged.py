"""The configuration as it is in force, value by value, each with the place that it comes from.

Values are shown as they are written, `${VAR}` included. What could be a secret is not shown at all.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from woollama.config.defaults import defaults_dir
from woollama.config.documents import Document, KeyPath
from woollama.config.entries import entries
from woollama.config.environment import ENVIRONMENT
from woollama.config.load import Loaded
from woollama.config.masking import masked
from woollama.config.mcp_json import SECTIONS as SERVER_SECTIONS
from woollama.config.model import Inferencer, Recipe, ToolServer
from woollama.config.problems import dotted
from woollama.config.records import settings_of
from woollama.config.woollama_toml import LISTS
from woollama.config.woollama_toml import SECTIONS as DAEMON_SECTIONS

DEFAULT = "default"
_RECORDS: Mapping[str, type] = {"inferencers": Inferencer, "recipes": Recipe, "mcpServers": ToolServer}


@dataclass(frozen=True, slots=True)
class Value:
    """`path` is `("recipes", "demo", "system")`; `origin` a file with its line, a variable, or `default`.

    A `value` of `None` is a default that stands for nothing being set.
    """

    path: KeyPath
    value: Any
    origin: str


def merged(loaded: Loaded, environ: Mapping[str, str], *, defaults: bool = False) -> Iterator[Value]:
    """Every value that a file or a variable gives, and with `defaults` those of all other keys, too.

    Of the daemon's own tables the defaults are always there: there is only one of each.
    """
    left_out = {problem.left_out for problem in loaded.problems if problem.severity == "error"} - {""}
    for value in _values(loaded, environ, left_out, defaults=defaults):
        yield Value(value.path, masked(value.path, value.value), value.origin)


def _values(
    loaded: Loaded, environ: Mapping[str, str], left_out: Collection[str], *, defaults: bool
) -> Iterator[Value]:
    own = [document for document in loaded.documents if document.file.name == "woollama.toml"]
    for section, record in DAEMON_SECTIONS.items():
        yield from _daemon_section(section, record, own, environ, left_out)
    for document in own:
        for section, table in document.data.items():
            if section not in DAEMON_SECTIONS and section not in left_out and isinstance(table, dict):
                named = _plain(document, section, table, environ)
                yield from (each for each in named if dotted(each.path) not in left_out)
    recipes = [document for document in loaded.documents if document.file.name == "recipes.toml"]
    for section in ("aliases", "patterns"):
        last: dict[KeyPath, Value] = {}
        for document in recipes:
            if isinstance(table := document.data.get(section), dict):
                last |= {each.path: each for each in _plain(document, section, table, environ)}
        yield from (each for each in last.values() if not {dotted(each.path), section} & {*left_out})
    yield from _entries("inferencers", "inferencers", loaded, environ, left_out, by_key=True, defaults=defaults)
    yield from _entries("recipes", "recipes", loaded, environ, left_out, defaults=defaults)
    for section in SERVER_SECTIONS:
        yield from _entries(section, SERVER_SECTIONS[0], loaded, environ, left_out, defaults=defaults)


def _daemon_section(
    section: str,
    record: type,
    documents: Iterable[Document],
    environ: Mapping[str, str],
    left_out: Collection[str],
) -> Iterator[Value]:
    variables = {key: name for name, (table, key) in ENVIRONMENT.items() if table == section and environ.get(name)}
    written: dict[str, tuple[Any, Document]] = {}
    for document in documents:
        table = document.data.get(section)
        written |= {key: (value, document) for key, value in (table if isinstance(table, dict) else {}).items()}
    for key, value in _defaults_of(record).items():
        if key in variables:
            said: Any = environ[variables[key]]
            yield Value((section, key), said.split(",") if key in LISTS else said, variables[key])
        elif key in written and dotted((section, key)) not in left_out:
            yield Value((section, key), written[key][0], _origin(written[key][1], (section, key), environ))
        else:
            yield Value((section, key), value, DEFAULT)


def _plain(document: Document, section: str, table: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[Value]:
    for key, value in table.items():
        yield Value((section, key), value, _origin(document, (section, key), environ))


def _entries(
    section: str,
    shown_as: str,
    loaded: Loaded,
    environ: Mapping[str, str],
    left_out: Collection[str],
    *,
    by_key: bool = False,
    defaults: bool,
) -> Iterator[Value]:
    documents = [document for document in loaded.documents if section in document.data]
    for entry in entries(section, documents, [], by_key=by_key):
        if dotted(entry.path) in left_out:
            continue
        for key, value in entry.raw.items():
            if value is not None:  # as JSON may say it, and TOML has no word for it
                origin = _origin(entry.sources.get(key, entry.home), (*entry.path, key), environ)
                yield Value((shown_as, entry.name, key), value, origin)
        if defaults and entry.raw.get("disabled") is not True:
            for key, value in _defaults_of(_RECORDS[shown_as]).items():
                if key not in entry.raw:
                    yield Value((shown_as, entry.name, key), value, DEFAULT)


def _defaults_of(record: type) -> dict[str, Any]:
    found = {}
    for key, (item, _) in settings_of(record).items():
        made = item.default_factory() if item.default_factory is not MISSING else item.default
        if made is not MISSING:
            found[key] = _as_written(made)
    return found


def _as_written(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_written(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        given = {field.name: getattr(value, field.name) for field in fields(value)}
        return {key: each for key, each in given.items() if each not in (None, (), {})}
    return dict(value) if isinstance(value, Mapping) else value


def _origin(document: Document, path: KeyPath, environ: Mapping[str, str]) -> str:
    line = document.line_of(path)
    file = document.file
    if file.parent == defaults_dir():
        name = f"shipped {file.name}"
    else:
        home = Path(environ.get("HOME") or Path.home())
        name = f"~/{file.relative_to(home)}" if file.is_relative_to(home) else str(file)
    return name if line is None else f"{name}:{line}"


# --- as TOML ---------------------------------------------------------------------------------------------------------


def as_toml(values: Iterable[Value]) -> str:
    """TOML with the origins as comments; empty if there are no values."""
    tables: dict[KeyPath, list[Value]] = {}
    for value in values:
        tables.setdefault(value.path[:-1], []).append(value)
    return "\n\n".join("\n".join(_table(path, inside)) for path, inside in tables.items())


def _table(path: KeyPath, values: Iterable[Value]) -> Iterator[str]:
    yield f"[{'.'.join(_key(str(step)) for step in path)}]"
    for each in values:
        key, origin = _key(str(each.path[-1])), _comment(each.origin)
        if each.value is None:
            yield f"# {key} is not set  # {origin}"
        elif isinstance(each.value, str) and "\n" in each.value:
            yield f"# {origin}"
            yield f"{key} = {_long_text(each.value)}"
        else:
            yield f"{key} = {_inline(each.value)}  # {origin}"


def as_json(values: Iterable[Value]) -> str:
    """`{"values": {…as the TOML would be…}, "origins": {"recipes.demo.system": "…"}}`."""
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for each in values:
        table = tree
        for step in each.path[:-1]:
            table = table.setdefault(str(step), {})
        table[str(each.path[-1])] = each.value
        origins[dotted(each.path)] = each.origin
    return json.dumps({"values": tree, "origins": origins}, indent=2, default=str)


def _inline(value: Any) -> str:
    match value:
        case dict():
            pairs = ", ".join(f"{_key(key)} = {_inline(each)}" for key, each in value.items() if each is not None)
            return f"{{ {pairs} }}" if pairs else "{}"
        case list() | tuple():
            return f"[{', '.join(_inline(each) for each in value if each is not None)}]"
        case _:
            return _dumped({"x": value}).removeprefix("x = ")


def _long_text(value: str) -> str:
    return _dumped({"x": value}, multiline_strings=True).removeprefix("x = ")


def _key(name: str) -> str:
    return _dumped({name: 0}).removesuffix(" = 0")


def _dumped(value: Mapping[str, Any], *, multiline_strings: bool = False) -> str:
    import tomli_w

    return tomli_w.dumps(value, multiline_strings=multiline_strings).rstrip("\n")


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
