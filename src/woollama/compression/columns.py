"""What the values of many records say: which of them stand out, and what they are together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from woollama.compression.outliers import standing_out

FEW_VALUES = 12
FEWEST = 12
MOST_MISSES = 20
NUMERIC_SHARE = 0.9
MOST_COLUMNS = 64
SHOWN_CHARS = 24
_NUMBERS = frozenset({int, float, str})
Column = dict[int, Any]
"""Record number -> value."""


def columns_of(values: Sequence[Any]) -> dict[str, Column]:
    """The scalar values of records by name; of an object inside one, by `outer.inner`."""
    columns: dict[str, Column] = {}
    column_of = columns.get
    for number, value in enumerate(values):
        for name, scalar in value.items() if type(value) is dict else _named(value):
            kind = type(scalar)
            if kind is dict:
                inner = [(f"{name}.{key}", deeper) for key, deeper in scalar.items()]
            elif kind is list:
                continue
            else:
                column = column_of(name)
                if column is not None:
                    column[number] = scalar
                    continue
                inner = [(str(name), scalar)]
            for deeper_name, deeper in inner:
                if type(deeper) is not dict and type(deeper) is not list:
                    column = column_of(deeper_name)
                    if column is None and len(columns) < MOST_COLUMNS:
                        column = columns[deeper_name] = {}
                    if column is not None:
                        column[number] = deeper
    return columns


def _named(value: Any) -> Iterable[tuple[str, Any]]:
    """The values of what is no object: of a list by their places."""
    if isinstance(value, list):
        return [(str(index), inner) for index, inner in enumerate(value) if not isinstance(inner, dict)]
    return (("", value),)


def odd_ones(values: Sequence[Any], columns: dict[str, Column]) -> tuple[list[int], list[int], list[int]]:
    """The numbers of records with outliers, of those at level changes, and of those of a rare shape or value."""
    count = len(values)
    outliers: list[int] = []
    changes: list[int] = []
    rare: list[int] = _rare_shapes(values)
    if count < FEWEST:
        return outliers, changes, rare
    for column in columns.values():
        numbers = numeric(column)
        if numbers:
            places = list(numbers)
            far, shifted = standing_out(list(numbers.values()))
            outliers += [places[index] for index in far]
            changes += [places[index] for index in shifted]
            rare += _few([number for number in column if number not in numbers], count)
        else:
            rare += _rare_values(column, count)
    return outliers, changes, list(dict.fromkeys(rare))


def numeric(column: Column) -> dict[int, float]:
    """The finite numbers of a column, if it is one of numbers. Texts that are numbers count, as in CSV."""
    if _NUMBERS.issuperset(map(type, column.values())):
        try:
            quickly = dict(zip(column, map(float, column.values()), strict=True))
        except (ValueError, OverflowError):
            pass  # one of them is none
        else:
            if math.isfinite(sum(quickly.values())):
                return quickly
    found: dict[int, float] = {}
    misses = 0
    for number, value in column.items():
        kind = type(value)
        if kind is str:
            if misses > MOST_MISSES and not found:
                return {}
            misses += 1
        elif kind is not int and kind is not float:
            continue
        try:
            as_number = float(value)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(as_number):
            found[number] = as_number
    return found if found and len(found) >= NUMERIC_SHARE * len(column) else {}


def _rare_shapes(values: Sequence[Any]) -> list[int]:
    shapes = [tuple(value) if isinstance(value, dict) else type(value).__name__ for value in values]
    counts = Counter(shapes)
    limit = max(1, len(values) // 100)
    return _few([number for number, shape in enumerate(shapes) if counts[shape] <= limit], len(values))


def _rare_values(column: Column, total: int) -> list[int]:
    """Where a column has few values, those that are hardly ever seen."""
    try:
        counts = Counter(column.values())
    except TypeError:
        return []
    limit = max(1, len(column) // 100)
    most = counts.most_common(1)[0][1]
    if len(counts) > FEW_VALUES and most < NUMERIC_SHARE * len(column):
        return []
    if most <= limit:
        return []
    return _few([number for number, value in column.items() if counts[value] <= limit], total)


def _few(numbers: list[int], total: int) -> list[int]:
    """Nothing is rare where a twentieth of all is."""
    return numbers if len(numbers) <= max(2, total // 20) else []


def summary_of(columns: dict[str, Column], without: Sequence[int], *, most_chars: int = 900) -> str:
    """What the records that are not in `without` hold, column by column: ranges, the usual values, how many differ."""
    kept = frozenset(without)
    said: list[str] = []
    size = 0
    for name, column in columns.items():
        values = {number: value for number, value in column.items() if number not in kept}
        if not values:
            continue
        text = f"{name} {_range(values)}".strip()
        size += len(text)
        if size > most_chars:
            said.append("and more")
            break
        said.append(text)
    return "; ".join(said)


def _range(values: Column) -> str:
    numbers = numeric(values)
    if numbers and len(numbers) == len(values):
        low, high = (_text(values[end(numbers, key=numbers.__getitem__)]) for end in (min, max))
        return f"{low} to {high}" if low != high else f"always {low}"
    counts = Counter(map(_hashed, values.values()))
    if len(counts) == 1:
        return f"always {_text(next(iter(values.values())))}"
    if len(counts) <= FEW_VALUES // 2:
        return ", ".join(f"{_text(value)} {count}" for (_, value), count in counts.most_common())
    return f"{len(counts)} different"


def _hashed(value: Any) -> tuple[type, Any]:
    """Told apart by type, too: `1`, `1.0` and `true` are three values."""
    return type(value), value


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
