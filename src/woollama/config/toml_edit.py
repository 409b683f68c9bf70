"""One entry more or less in a TOML file, and every other character of it as it was.

A file that somebody wrote has comments, an order and a style. So a change is a few lines put in or taken out, and TOML
has many ways of writing the same table: every way of making the change is tried on the text, and the first one counts
after which the file says exactly what it said before, plus or minus the entry. Only a file without comments in which
none of them works is written anew.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from woollama.config.documents import KeyPath, outside_texts, toml_places


class CannotEdit(Exception):
    """The text cannot be changed without touching the rest. `str(error)` says what a person has to write."""


def with_entry(text: str, path: tuple[str, str], value: Any) -> str:
    """`text` with `value` under `path` (`("aliases", "fast")`), which is not in it yet. Raises `CannotEdit`."""
    import tomli_w

    section, name = path
    data = tomllib.loads(text)
    wanted = copy.deepcopy(data)
    if not isinstance(wanted.setdefault(section, {}), dict):
        raise CannotEdit(f'"{section}" is no table in it')
    wanted[section][name] = value
    if isinstance(value, Mapping):
        entry = tomli_w.dumps({section: {name: value}}, multiline_strings=True)
    else:
        entry = tomli_w.dumps({name: value})
    for changed in _with_lines(text, section, entry, header=not isinstance(value, Mapping)):
        if _says(changed, wanted):
            return changed
    if "#" not in text:
        return _in_style_of(text, tomli_w.dumps(wanted, multiline_strings=True))
    by_hand = tomli_w.dumps({section: {name: value}}).strip().replace("\n", "; ")
    raise CannotEdit(f"this has to be written into it by hand: {by_hand}")


def without_entry(text: str, path: tuple[str, str]) -> str:
    """`text` without the lines of what stands under `path`. Raises `KeyError` if nothing does, and `CannotEdit`."""
    import tomli_w

    section, name = path
    wanted = copy.deepcopy(tomllib.loads(text))
    del wanted[section][name]
    for changed in _without_lines(_lines(text), path):
        said = _data(changed)
        if said == wanted or said == {key: value for key, value in wanted.items() if value or key != section}:
            return changed
    if "#" not in text:
        return _in_style_of(text, tomli_w.dumps(wanted, multiline_strings=True))
    places = [(at, line) for at, line, _ in toml_places(text) if at[:1] == path[:1]]
    line = next((line for at, line in places if at[:2] == path), places[0][1])
    raise CannotEdit(f"it has to be taken out by hand: line {line}")


# --- putting in


def _with_lines(text: str, section: str, entry: str, *, header: bool) -> Iterator[str]:
    """`entry` where it can stand; with `header` it needs that of its section above it."""
    lines = _lines(text)
    if header:
        table = _tables(text).get((section,))
        if table is not None:
            for line in (table.last, table.first):
                yield _inserted(text, lines, line, entry)
        for at, line, is_header in reversed(list(toml_places(text))):
            if at[0] == section and len(at) > 1 and not is_header:  # dotted keys: aliases.fast = "…"
                yield _inserted(text, lines, line, f"{section}.{entry}")
        entry = f"[{section}]\n{entry}"
    gap = "\n" if text.strip() and not text.endswith(("\n\n", "\r\n\r\n")) else ""
    yield _inserted(text, lines, len(lines), gap + entry)


def _inserted(text: str, lines: Sequence[str], after: int, entry: str) -> str:
    """`entry` after the first `after` lines, with line ends as the others have them."""
    before = "".join(lines[:after])
    if before and not before.endswith("\n"):
        before += _line_end(text)
    return before + _in_style_of(text, entry) + "".join(lines[after:])


# --- taking out


def _without_lines(lines: Sequence[str], path: KeyPath) -> Iterator[str]:
    text = "".join(lines)
    cut: set[int] = set()
    for at, table in _tables(text).items():
        if at[:2] == path:
            cut |= set(range(table.first - 1, table.last))
    if cut:
        yield _without(lines, cut)
    starts = [line - 1 for at, line, is_header in toml_places(text) if at[:2] == path and not is_header]
    if starts:
        cut |= set(starts)
        yield _without(lines, cut)
        for end in range(starts[-1] + 1, len(lines)):  # a value of several lines
            yield _without(lines, cut | set(range(starts[-1], end + 1)))


def _without(lines: Sequence[str], cut: set[int]) -> str:
    """The lines that are left; of two empty ones that come together only one."""
    kept: list[str] = []
    for number, line in enumerate(lines):
        if number in cut:
            continue
        if number - 1 in cut and not line.strip() and (not kept or not kept[-1].strip()):
            continue
        kept.append(line)
    if len(lines) - 1 in cut:
        while kept and not kept[-1].strip():
            kept.pop()
    return "".join(kept)


# --- reading


@dataclass(frozen=True, slots=True)
class _Table:
    """Where a table stands: the line of its header, and its last line that says something, counted from 1."""

    first: int
    last: int


def _tables(text: str) -> dict[KeyPath, _Table]:
    headers = [(at, line) for at, line, is_header in toml_places(text) if is_header]
    silent = {number for number, line in outside_texts(text) if re.match(r"\s*(#|$)", line)}
    found: dict[KeyPath, _Table] = {}
    for index, (at, first) in enumerate(headers):
        end = headers[index + 1][1] - 1 if index + 1 < len(headers) else len(_lines(text))
        while end > first and end in silent:
            end -= 1
        found.setdefault(at, _Table(first, end))
    return found


def _lines(text: str) -> list[str]:
    """TOML's lines with their ends: Python would also split at characters that are nothing special in TOML."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _says(text: str, wanted: Mapping[str, Any]) -> bool:
    return _data(text) == wanted


def _data(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _in_style_of(text: str, new: str) -> str:
    return new.replace("\n", _line_end(text))


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
