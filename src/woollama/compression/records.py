"""JSON as rows: where the records of an array or of a JSONL text stand, and what their raw text is made of.

All is done on the raw text of the records, never on what a parser made of it: the spelling of numbers, the order of
keys, doubled keys, NaN, lone surrogates and a missing end stay exactly as they were.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from woollama.compression.families import SMALLEST_FAMILY, Family, families
from woollama.compression.severity import tells_of_error
from woollama.compression.templates import Fitting, is_constant

FEWEST_RECORDS = 4
_NEXT = re.compile(r"([ \t\r\n]*,[ \t\r\n]*)")
_APART = re.compile(r"([ \t\r\n]+)")
_OPENING = re.compile(r"\[[ \t\r\n]*(?=[{\[\"\-0-9tfnNI])")
_PIECES = re.compile(
    r'("[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\r\n]*+:[ \t\r\n]*+)?'
    r'(?:([{\[])|("[^"\\]*+(?:\\.[^"\\]*+)*+"|-?[0-9][0-9.eE+\-]*|true|false|null|NaN|-?Infinity))',
    re.DOTALL,
)
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Records:
    """The elements of one array: `start` and `end` around them in the text, the raw text of each, and what they are."""

    start: int
    end: int
    raw: Sequence[str]
    values: Sequence[Any]
    joined_by: str


def array_at(text: str, at: int) -> tuple[Records | None, int]:
    """The elements of the array whose bracket stands at `at`, of a truncated one those that are whole; and how far the
    text was read to find out."""
    opening = _OPENING.match(text, at)
    return (None, at) if opening is None else _records(text, opening.end(), _NEXT)


def in_a_row(text: str) -> Records | None:
    """JSON objects one after the other, each in as many lines as it likes, as `jq` prints them."""
    found, _ = _records(text, 0, _APART) if text[:1] == "{" else (None, 0)
    return found if found is not None and not text[found.end :].strip() else None


def _records(text: str, position: int, between: re.Pattern[str]) -> tuple[Records | None, int]:
    """The values from `position` on, as long as the same stands between them."""
    raw: list[str] = []
    values: list[Any] = []
    joined_by: str | None = None
    read = start = end = position
    while True:
        try:
            value, end_of = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as problem:
            read = problem.pos
            break
        except (ValueError, RecursionError):
            read = len(text)  # a number of thousands of digits, or thousands of brackets: it is not known where
            break
        raw.append(text[position:end_of])
        values.append(value)
        read = end = end_of
        following = between.match(text, end_of)
        if following is None:
            break
        if joined_by is None:
            joined_by = following[1]
        elif following[1] != joined_by:
            break
        position = following.end()
    if len(raw) < FEWEST_RECORDS:
        return None, read
    return Records(start, end, raw, values, joined_by or ""), read


def json_lines(text: str) -> Records | None:
    """The records of a JSONL text: one JSON object in nearly every line."""
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) < FEWEST_RECORDS:
        return None
    values: list[Any] = []
    bad = 0
    for line in lines:
        value: Any = None
        if line[:1] in ("{", "["):
            try:
                value, end = _DECODER.raw_decode(line)
            except (ValueError, RecursionError):
                value = None
            else:
                value = value if not line[end:].strip() else None
        if value is None:
            bad += 1
            if bad > 2 + len(lines) // 20:
                return None
            value = line
        values.append(value)
    if bad * 2 > len(lines):
        return None
    return Records(0, sum(map(len, lines)) + len(lines) - 1, lines, values, "\n")


def record_families(raw: Sequence[str], apart: frozenset[int] = frozenset()) -> list[Family]:
    """Families of records that have the same keys in the same order; those numbered in `apart` belong to none."""
    groups: defaultdict[tuple[str | None, ...], list[int]] = defaultdict(list)
    split = _PIECES.split
    pieces_of: dict[int, list[str | None]] = {}
    for number, text in enumerate(raw):
        if number in apart:
            continue
        pieces = split(text)
        pieces_of[number] = pieces
        shape = tuple(chain(pieces[0::4], pieces[1::4], pieces[2::4]))
        groups[shape].append(number)
    found: list[Family] = []
    for numbers in groups.values():
        if len(numbers) < SMALLEST_FAMILY:
            continue
        some = pieces_of[numbers[0]]
        if some[3::4].count(None) == len(some) // 4:
            continue
        found += _of_shape(numbers, some, [pieces_of[number] for number in numbers])
    return found


def _of_shape(numbers: Sequence[int], some: Sequence[str | None], rows: Sequence[Sequence[str | None]]) -> list[Family]:
    """Families among records of one shape: constants between the values become the gaps."""
    columns: list[Sequence[str]] = []
    gap = ""
    count = len(rows)
    for index in range(0, len(some) - 1, 4):
        gap += (some[index] or "") + (some[index + 1] or "") + (some[index + 2] or "")
        if some[index + 3] is not None:
            columns += ([gap] * count, [row[index + 3] or "" for row in rows])
            gap = ""
    columns.append([gap + (some[-1] or "")] * count)
    return families(numbers, columns, _put)


def _put(fitting: Fitting, cells: Sequence[str]) -> None:
    if is_constant(cells):
        fitting.text(cells[0])
    elif all(cell[0] == '"' for cell in cells):
        if tells_of_error("\x00".join(cells[:: max(1, len(cells) // 8)])):
            fitting.column(cells)  # a message that somebody will look for as it is
            return
        fitting.text('"')
        fitting.phrase([cell[1:-1] for cell in cells])
        fitting.text('"')
    else:
        fitting.column(cells)
