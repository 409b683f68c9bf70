"""One configuration file as it was written: its data, and the line on which each key stands."""

from __future__ import annotations

import bisect
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KeyPath = tuple[str | int, ...]

_TOML_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_TOML_KEYS = re.compile(rf"{_TOML_KEY}(?:\s*\.\s*{_TOML_KEY})*")
_TOML_HEADER = re.compile(rf"\s*(\[\[?)\s*({_TOML_KEYS.pattern})\s*\]")
_TOML_PAIR = re.compile(rf"\s*({_TOML_KEYS.pattern})\s*=\s*(.*)")
_STRING = r'"(?:[^"\\\n]|\\.)*"'
_COMMENTS = re.compile(rf"({_STRING})|//[^\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING_COMMAS = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_JSON_TOKENS = re.compile(rf"{_STRING}|[{{}}\[\],:]")


class Unparsable(Exception):
    """A file that is not what it should be. `line` is where, if that is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True)
class Document:
    """`data` is the top-level table; `lines` maps the path of a key to its line, counted from 1."""

    file: Path
    data: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def __repr__(self) -> str:
        return f"<Document {self.file.name!r}: {', '.join(self.data) or 'empty'}>"

    def line_of(self, path: KeyPath) -> int | None:
        """The line of `path`, or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if (line := self.lines.get(path[:length])) is not None:
                return line
        return None


def read_document(file: Path) -> Document | None:
    """The TOML or JSON document in `file`, `None` if there is no such file. Raises `Unparsable`."""
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise Unparsable("is no file that can be read to its end")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unparsable(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Unparsable(f"is not UTF-8 text: {error.reason}", line) from error
    return parse_document(file, text)


def parse_document(file: Path, text: str) -> Document:
    """`text` as what `file` holds. Raises `Unparsable`."""
    try:
        return parse_json(file, text) if file.suffix == ".json" else parse_toml(file, text)
    except RecursionError:
        raise Unparsable("is nested too deeply") from None


def parse_toml(file: Path, text: str) -> Document:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else max(len(text.splitlines()), 1)  # else it is "at end of document"
        hint = ": a text stands in quotes" if _bare_text(text, line) else ""
        raise Unparsable(f"is not valid TOML: {error}{hint}", line) from error
    return Document(file, data, _first(_toml_lines(text)))


def _bare_text(text: str, line: int) -> bool:
    """Whether the line is `key = text` without quotes, which is what most often goes wrong."""
    pair = _TOML_PAIR.fullmatch(next(iter(text.splitlines()[line - 1 : line]), ""))
    return pair is not None and re.match(r"(?!true\b|false\b)[A-Za-z~/]|[0-9.]+[A-Za-z]", pair[2]) is not None


def parse_json(file: Path, text: str) -> Document:
    """JSON as programs with settings files write it: comments and trailing commas are allowed."""

    def blanked(found: re.Match[str]) -> str:  # every character keeps its place, so that lines stay true
        return found[1] or re.sub(r"[^\n]", " ", found[0])

    text = _TRAILING_COMMAS.sub(blanked, _COMMENTS.sub(blanked, text))
    if not text.strip():
        return Document(file, {}, {})
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise Unparsable(f"is not valid JSON: {error.msg}", error.lineno) from error
    if not isinstance(data, dict):
        raise Unparsable("must hold a JSON object", 1)
    return Document(file, data, _first(_json_lines(text)))


def has_comments(text: str) -> bool:
    """Whether a JSON text has comments, which a parser forgets."""
    return any(found[1] is None for found in _COMMENTS.finditer(text))


def _first(pairs: Iterator[tuple[KeyPath, int]]) -> dict[KeyPath, int]:
    lines: dict[KeyPath, int] = {}
    for path, line in pairs:
        lines.setdefault(path, line)
    return lines


def _toml_lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """The line of every table and key; of the tables around them where they have none of their own."""
    implied: list[tuple[KeyPath, int]] = []
    depth = 0
    for path, number, is_header in toml_places(text):
        if is_header:
            yield path, number
            implied += ((path[:length], number) for length in range(1, len(path)))
            depth = len(path)
        else:
            for length in range(depth + 1, len(path) + 1):
                yield path[:length], number
    yield from implied


def toml_places(text: str) -> Iterator[tuple[KeyPath, int, bool]]:
    """Each key with its whole path, its line counted from 1, and whether that is a table's header.

    Only what stands at the beginning of a line is found.
    """
    table: KeyPath = ()
    for number, line in outside_texts(text):
        if header := _TOML_HEADER.match(line):
            table = _toml_path(header[2])
            yield table, number, True
        elif pair := _TOML_PAIR.match(line):
            yield (*table, *_toml_path(pair[1])), number, False


def outside_texts(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a TOML text, counted from 1, that do not begin inside a text of several lines."""
    inside: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if inside is not None:
            if line.count(inside) % 2:
                inside = None
            continue
        yield number, line
        inside = next((quotes for quotes in ('"""', "'''") if line.count(quotes) % 2), None)


def _toml_path(keys: str) -> KeyPath:
    return tuple(_unquoted(key) for key in re.findall(_TOML_KEY, keys))


def _unquoted(key: str) -> str:
    if key.startswith('"'):
        with suppress(tomllib.TOMLDecodeError):
            return str(tomllib.loads(f"key = {key}")["key"])
    return key.strip("'")


def _json_lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    breaks = [index for index, character in enumerate(text) if character == "\n"]
    path: list[str | int] = []
    word: str | None = None
    for token in _JSON_TOKENS.finditer(text):
        match token[0]:
            case "{":
                path.append("")
            case "[":
                path.append(0)
            case "}" | "]":
                path.pop()
            case ",":
                if isinstance(path[-1], int):
                    path[-1] += 1
            case ":":
                path[-1] = json.loads(word or '""')
                yield tuple(path), bisect.bisect_left(breaks, token.start()) + 1
            case _:
                word = token[0]
