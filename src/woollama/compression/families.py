"""Families: which rows are written alike, so that each family can have a template of its own.

Rows come as pieces, constants and fields in turn: those of a line are its white space and its words, those of a JSON
record its punctuation and its values. Rows with equally many fields may be one family; it is split where a field with
few values says what kind of row it is (a level, a verb, a program's name) and the split pays for another template.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress

from woollama.compression.templates import Fitting, Slot, Template, is_constant

SMALLEST_FAMILY = 3
MOST_FAMILIES = 12
MOST_VALUES = 8
SWITCH_COST = 5.0
"""About what it costs to say that the next row is of another template, in characters."""
SAMPLE = 192
_MANY_DIGITS = re.compile(r"\d\D{0,2}\d\D{0,2}\d\D{0,2}\d")
"""A date, a time, a number: not what kind of row it is."""
TEMPLATE_COST = 30.0
"""About what one more template costs, in characters over its own text."""

Column = Sequence[str]
Put = Callable[[Fitting, Column], None]


@dataclass(frozen=True, slots=True)
class Family:
    """Some rows, by their numbers, with the template that they share and the cells of each."""

    numbers: Sequence[int]
    template: Template
    cells: Sequence[tuple[str, ...]]

    @property
    def saved(self) -> int:
        """About how many characters the template keeps out of its rows."""
        common = sum(len(constant.strip()) for constant in self.template.constants)
        common += 2 * sum(slot.width > 0 for slot in self.template.slots)
        return (len(self.numbers) - 1) * (common + len(self.template.slots) // 2)

    @property
    def worthwhile(self) -> bool:
        """Whether the template says something of its rows: one of slots alone does not."""
        return any(len(constant.strip()) > 1 or "\n" in constant for constant in self.template.constants) or (
            any(slot.width for slot in self.template.slots)
        )


def families(numbers: Sequence[int], columns: Sequence[Column], put: Put) -> list[Family]:
    """The families of rows that are alike in shape. `columns` alternate: constant, field, constant, …, constant.

    Rows that belong to no family are in none of the results. `put` adds a column of fields to a template.
    """
    found: list[Family] = []
    waiting: list[tuple[list[int], list[Column]]] = [(list(numbers), list(columns))]
    while waiting:
        rows, parts = waiting.pop()
        if len(rows) < SMALLEST_FAMILY:
            continue
        by = _deciding(parts) if len(found) + len(waiting) < MOST_FAMILIES else None
        if by is None:
            family = _fit(rows, parts, put)
            if family.worthwhile:
                found.append(family)
            continue
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for index, value in enumerate(parts[by]):
            groups[value].append(index)
        for indices in groups.values():
            waiting.append(([rows[i] for i in indices], [[column[i] for i in indices] for column in parts]))
    return found


def _deciding(parts: Sequence[Column]) -> int | None:
    """The column whose value says best what kind a row is, if a split by it pays."""
    count = len(parts[0])
    step = max(1, count // SAMPLE)
    sample = [column[::step] for column in parts]
    size = len(sample[0])
    varying = [index for index, column in enumerate(sample) if not is_constant(column)]
    widths = {index: sum(map(len, sample[index])) / size for index in varying}
    best, best_gain = None, 0.0
    for index in varying:
        if not index % 2:
            continue
        values = Counter(sample[index])
        if len(values) > min(MOST_VALUES, size // SMALLEST_FAMILY):
            continue
        if len(values) * TEMPLATE_COST > count * 6 or any(_MANY_DIGITS.search(value) for value in values):
            continue
        switches = sum(map(str.__ne__, sample[index], sample[index][1:]))
        gain = -SWITCH_COST * switches
        for value, rows in values.items():
            chosen = [cell == value for cell in sample[index]]
            saved = widths[index] * rows
            constant = False
            for other in varying:
                if other != index and is_constant(column := list(compress(sample[other], chosen))):
                    constant = True
                    saved += len(column[0]) * rows + rows
            gain += saved * (1.0 if constant else 0.25)
        gain = gain / size - (2.0 + TEMPLATE_COST * len(values) / count * _constant_share(sample))
        if gain > best_gain:
            best, best_gain = index, gain
    return best


def _constant_share(sample: Sequence[Column]) -> float:
    return 1.0 + sum(len(column[0]) for column in sample if is_constant(column)) / 60.0


def _fit(rows: list[int], parts: list[Column], put: Put) -> Family:
    rows, parts = _without_rare(rows, parts)
    fitting = Fitting()
    if not is_constant(parts[0]):
        fitting.column(parts[0])
    else:
        fitting.text(parts[0][0])
    index = 1
    while index < len(parts):
        index = _fit_field(fitting, parts, index, put)
    return Family(rows, fitting.template, list(fitting.rows(len(rows))))


def _fit_field(fitting: Fitting, parts: Sequence[Column], index: int, put: Put) -> int:
    """Add the field at `index` and the gap after it, or two fields that share a padded gap. Where to go on."""
    field, gap = parts[index], parts[index + 1]
    following = parts[index + 2] if index + 2 < len(parts) else None
    if is_constant(gap):
        put(fitting, field)
        fitting.text(gap[0])
        return index + 2
    if following is not None and _blank(gap):
        if width := _width(gap, following):
            put(fitting, field)
            fitting.right(following, width)
            return _after(fitting, parts, index + 3)
        if width := _width(field, gap):
            fitting.column(field, Slot(width))
            return index + 2
        left = max(map(len, field))
        width = _width(field, gap, following)
        if width and left + max(map(len, following)) <= width:
            fitting.column(field, Slot(left))
            fitting.right(following, width - left)
            return _after(fitting, parts, index + 3)
    put(fitting, field)
    fitting.column(gap)
    return index + 2


def _after(fitting: Fitting, parts: Sequence[Column], index: int) -> int:
    """Add the gap at `index`, whose field has been added."""
    gap = parts[index]
    following = parts[index + 1] if index + 1 < len(parts) else None
    if is_constant(gap):
        fitting.text(gap[0])
    elif following is not None and _blank(gap) and (width := _width(gap, following)):
        fitting.right(following, width)
        return _after(fitting, parts, index + 2)
    else:
        fitting.column(gap)
    return index + 1


def _blank(gap: Column) -> bool:
    return not "".join(gap).strip(" ")


def _width(*columns: Column) -> int:
    """The width that these columns have together in every row, or 0."""
    widths = [sum(map(len, cells)) for cells in zip(*columns, strict=True)]
    return widths[0] if widths.count(widths[0]) == len(widths) else 0


def _without_rare(rows: list[int], parts: list[Column]) -> tuple[list[int], list[Column]]:
    """Without the rows that differ where nearly all others are equal: those stand better as they are."""
    few = max(1, len(rows) // 50)
    rare: set[int] = set()
    for column in parts:
        if is_constant(column):
            continue
        values = Counter(column)
        value, most = values.most_common(1)[0]
        if len(rows) - most <= few and len(rows) - most < most:
            rare.update(index for index, cell in enumerate(column) if cell != value)
    if not rare or len(rare) > len(rows) // 10 or len(rows) - len(rare) < SMALLEST_FAMILY:
        return rows, parts
    kept = [index not in rare for index in range(len(rows))]
    return list(compress(rows, kept)), [list(compress(column, kept)) for column in parts]
