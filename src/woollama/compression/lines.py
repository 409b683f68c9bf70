"""Lines of text as rows: words and the white space between them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from woollama.compression.families import SMALLEST_FAMILY, Family, families
from woollama.compression.templates import Fitting

MOST_FIELDS = 60
FEW_FIELDS = 3
TEMPLATE = 100
"""How many characters another template has to save: few are easier to read than many."""
_SPACE = re.compile(r"([ \t]+)")
_SEPARATED = {mark: re.compile(rf"([ \t]*{re.escape(mark)}[ \t]*)") for mark in ",;|\t"}


def line_families(lines: Sequence[str], apart: frozenset[int] = frozenset()) -> list[Family]:
    """The families of `lines`; those numbered in `apart` belong to none."""
    numbers = [number for number in range(len(lines)) if number not in apart]
    split = _delimiter([lines[number] for number in numbers[:: max(1, len(numbers) // 64)]])
    found = _families(numbers, [_pieces(lines[number], split) for number in numbers])
    if split is not _SPACE:
        return found
    if 2 * _saved(found) < sum(map(len, lines)):
        open_ended = _with_free_ends(lines, numbers)
        if _saved(open_ended) - TEMPLATE * len(open_ended) > _saved(found) - TEMPLATE * len(found):
            found = open_ended
    taken = {number for family in found for number in family.numbers}
    left = [number for number in numbers if number not in taken]
    return found + _with_free_ends(lines, left)


def _saved(found: Sequence[Family]) -> int:
    return sum(family.saved for family in found)


def _families(numbers: Sequence[int], rows: Sequence[Sequence[str]]) -> list[Family]:
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[len(row)].append(index)
    found: list[Family] = []
    for size, indices in groups.items():
        if len(indices) < SMALLEST_FAMILY or size > 2 * MOST_FIELDS:
            continue
        fields = list(zip(*(rows[index] for index in indices), strict=True))
        columns = [[""] * len(indices), *fields, [""] * len(indices)]
        found += families([numbers[index] for index in indices], columns, Fitting.value)
    return found


def _with_free_ends(lines: Sequence[str], numbers: Sequence[int]) -> list[Family]:
    """Rows that begin alike and end in a text of any length, as those of `ps` do."""
    rows = {number: _pieces(lines[number], _SPACE) for number in numbers}
    long = [number for number in numbers if len(rows[number]) // 2 >= FEW_FIELDS]
    if len(long) < SMALLEST_FAMILY:
        return []
    counts = sorted(len(rows[number]) // 2 for number in long)
    fields = min(counts[len(counts) // 20], MOST_FIELDS)
    long = [number for number in long if len(rows[number]) // 2 >= fields]
    return _families(long, [_SPACE.split(lines[number], maxsplit=fields) for number in long])


def _pieces(line: str, split: re.Pattern[str]) -> Sequence[str]:
    """Words and what stands between them, in turn."""
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
