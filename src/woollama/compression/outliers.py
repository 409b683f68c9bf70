"""Numbers that stand out: outliers within their level, and the places where the level changes.

A series is cut into windows; where the medians of neighbouring windows are far apart, measured by how much the numbers
usually move, the level has changed. Outliers are looked for between two such places, so that everything after a shift
is not an outlier merely for being after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

FEWEST = 12
FAR = 6.0
"""In median absolute deviations."""
SHIFT = 5.0
MOST = 8


def standing_out(values: Sequence[float]) -> tuple[list[int], list[int]]:
    """The indices of outliers and of the values at level changes, the first value of a new level and the one before."""
    count = len(values)
    if count < FEWEST:
        return [], []
    changes = _changes(values)
    outliers: list[tuple[float, int]] = []
    for start, end in zip([0, *changes], [*changes, count], strict=True):
        outliers += _outliers(values, start, end)
    outliers.sort(reverse=True)
    places = sorted({place for change in changes for place in (change - 1, change)})
    return [index for _, index in outliers[:MOST]], places


def _outliers(values: Sequence[float], start: int, end: int) -> list[tuple[float, int]]:
    part = values[start:end]
    if len(part) < FEWEST // 2:
        return []
    ordered = sorted(part)
    middle = ordered[len(ordered) // 2]
    spread = sorted(abs(value - middle) for value in part)[len(part) // 2]
    if spread == 0:
        others = [value for value in part if value != middle]
        if len(others) > max(1, len(part) // 20):
            return []
        return [(abs(value - middle), start + index) for index, value in enumerate(part) if value != middle]
    limit = FAR * spread
    return [
        (abs(value - middle) / spread, start + index) for index, value in enumerate(part) if abs(value - middle) > limit
    ]


def _changes(values: Sequence[float]) -> list[int]:
    """Where a new level begins, found by window medians and then placed exactly."""
    count = len(values)
    size = max(6, count // 40)
    if count < 4 * size:
        return []
    starts = list(range(0, count - size + 1, size))
    medians = [sorted(values[start : start + size])[size // 2] for start in starts]
    steps = sorted(abs(b - a) for a, b in pairwise(medians))
    inside = [sorted(abs(v - m) for v in values[s : s + size])[size // 2] for s, m in zip(starts, medians, strict=True)]
    usual = max(steps[len(steps) // 2], sorted(inside)[len(inside) // 2])
    if usual == 0:
        return []
    changes: list[int] = []
    index = 1
    while index < len(medians):
        # A window that the change cuts in two has a median of either level: compare over it.
        before = medians[index - 1]
        after = medians[min(index + 1, len(medians) - 1)]
        if abs(medians[index] - before) > SHIFT * usual and abs(after - before) > SHIFT * usual:
            changes.append(_place(values, starts[index - 1], min(count, starts[index] + size), before, after))
            index += 2
        elif abs(after - before) > SHIFT * usual and abs(after - medians[index]) <= usual * SHIFT:
            changes.append(_place(values, starts[index], min(count, starts[index] + 2 * size), before, after))
            index += 3
        else:
            index += 1
    return [change for change in changes if 0 < change < count][:MOST]


def _place(values: Sequence[float], start: int, end: int, before: float, after: float) -> int:
    """The cut that leaves the fewest values on the wrong side."""
    middle = (before + after) / 2
    rising = after > before
    wrong = sum((value > middle) != rising for value in values[start:end])
    best, least = start, wrong
    for index in range(start, end):
        wrong += 1 if (values[index] > middle) == rising else -1
        if wrong < least:
            best, least = index + 1, wrong
    return best
