"""Tables in text: CSV and its kin, and what tools print in columns under a heading (kubectl, docker, ps, df)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FEWEST_ROWS = 4
_MARKS = ("\t", ",", ";", "|")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_HEADING = re.compile(r"[A-Z%#][A-Z0-9%#()/_.+-]*")
_APART = re.compile(r" {2,}")


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` are lines below the heading, `values` the same by the heading's names; `mark` stands between cells, and
    is empty where they are aligned."""

    heading: str
    rows: Sequence[str]
    values: Sequence[dict[str, Any]]
    mark: str


def table_in(lines: Sequence[str]) -> Table | None:
    """The table that `lines` are, or nothing."""
    if len(lines) < FEWEST_ROWS + 1:
        return None
    return _marked(lines) or _aligned(lines)


def _marked(lines: Sequence[str]) -> Table | None:
    heading = lines[0]
    for mark in _MARKS:
        names = heading.split(mark)
        if len(names) < 3 or len(set(names)) < len(names) or any(len(name) > 60 for name in names):
            continue
        if any(_is_number(name) for name in names) or (mark in ",;" and any(". " in name for name in names)):
            continue
        values = [_cells(line, mark) for line in lines[1:]]
        fitting = sum(len(row) == len(names) for row in values)
        if fitting >= 0.95 * len(values):
            names = [name.strip(' "') for name in names]
            return Table(heading, lines[1:], [dict(zip(names, row, strict=False)) for row in values], mark)
    return None


def _cells(line: str, mark: str) -> list[str]:
    if '"' not in line:
        return line.split(mark)
    return _QUOTED.sub(lambda found: found[0].replace(mark, "\x00"), line).split(mark)


def _aligned(lines: Sequence[str]) -> Table | None:
    """Columns under capitals. A cell goes with the name that its place is nearest to: some are set right."""
    words = list(_HEADING.finditer(lines[0]))
    if len(words) < 2 or len("".join(word[0] for word in words)) < 0.9 * len(lines[0].replace(" ", "")):
        return None
    names = _APART.split(lines[0].strip())
    values: list[dict[str, Any]] = []
    for line in lines[1:]:
        cells = _APART.split(line.strip())
        if len(cells) != len(names):
            names = lines[0].split()
            cells = line.split(None, len(names) - 1)
        values.append(dict(zip(names, cells, strict=False)))
    usual = sum(len(row) >= len(names) - 1 for row in values)
    return Table(lines[0], lines[1:], values, "") if usual >= 0.8 * len(values) else None


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).lstrip("-").isdigit()
