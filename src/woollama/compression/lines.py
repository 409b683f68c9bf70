"""Lines of text as rows: words and the white space between them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from woollama.compression.families import SMALLEST_FAMILY, Family, families
from woollama.compression.templates import Fitting

MOST_FIELDS = 60
FEW_FIELDS = 3
TEMPLATE = 100
"""How many characters another template has to save: few are easier to read than many."""
_SPACE = re.compile(r"([ \t]+)")
_SEPARATED = {mark: re.compile(rf"([ \t]*{re.escape(mark)}[ \t]*)") for mark in ",;|\t"}


Row = Sequence[str]
"""Words and what stands between them, in turn."""


def line_families(lines: Sequence[str], apart: frozenset[int] = frozenset()) -> list[Family]:
    """The families of `lines`; those numbered in `apart` belong to none."""
    numbers = [number for number in range(len(lines)) if number not in apart]
    split = _delimiter([lines[number] for number in numbers[:: max(1, len(numbers) // 64)]])
    rows = {number: _pieces(lines[number], split) for number in numbers}
    found = _families(rows)
    if split is not _SPACE:
        return found
    if 2 * _saved(found) < sum(map(len, lines)):
        open_ended = _with_free_ends(rows)
        if _saved(open_ended) - TEMPLATE * len(open_ended) > _saved(found) - TEMPLATE * len(found):
            found = open_ended
    taken = {number for family in found for number in family.numbers}
    return found + _with_free_ends({number: row for number, row in rows.items() if number not in taken})


def _saved(found: Sequence[Family]) -> int:
    return sum(family.saved for family in found)


def _families(rows: Mapping[int, Row]) -> list[Family]:
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number, row in rows.items():
        groups[len(row)].append(number)
    found: list[Family] = []
    for size, numbers in groups.items():
        if len(numbers) < SMALLEST_FAMILY or size > 2 * MOST_FIELDS:
            continue
        fields = list(zip(*(rows[number] for number in numbers), strict=True))
        columns = [[""] * len(numbers), *fields, [""] * len(numbers)]
        found += families(numbers, columns, Fitting.value)
    return found


def _with_free_ends(rows: Mapping[int, Row]) -> list[Family]:
    """Rows that begin alike and end in a text of any length, as those of `ps` do."""
    counts = sorted(fields for row in rows.values() if (fields := len(row) // 2) >= FEW_FIELDS)
    if len(counts) < SMALLEST_FAMILY:
        return []
    end = 2 * min(counts[len(counts) // 20], MOST_FIELDS)
    return _families({number: [*row[:end], "".join(row[end:])] for number, row in rows.items() if len(row) > end})


def _pieces(line: str, split: re.Pattern[str]) -> Row:
    if split is not _SPACE or "  " in line or "\t" in line:
        return split.split(line)
    words = line.split(" ")
    pieces = [" "] * (2 * len(words) - 1)
    pieces[::2] = words
    return pieces


def _delimiter(sample: Sequence[str]) -> re.Pattern[str]:
    """White space, unless nearly every line has the same number of some other mark between its fields."""
    for mark, pattern in _SEPARATED.items():
        counts = [line.count(mark) for line in sample]
        usual = max(set(counts), key=counts.count) if counts else 0
        if usual >= 2 and counts.count(usual) >= 0.9 * len(counts):
            return pattern
    return _SPACE
