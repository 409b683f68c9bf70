"""Parts of an original: by lines, by rows, by a path into JSON, by a question. Always the text as it was, never
rewritten."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import islice

from woollama.compression.passages import passages_of
from woollama.compression.relevance import Bm25Scorer, Scorer, answers
from woollama.compression.tables import table_in
from woollama.compression.tokens import ESTIMATE, CountTokens
from woollama.domain.json_spans import after_space, elements, end_of, members

_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:(?:-|\.\.|:)\s*(\d{1,9})?)?\s*")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d{1,9})\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
MOST_FOUND = 40


class NothingThere(LookupError):
    """The original has no such part; the message says what it has."""


def part_of(
    text: str,
    *,
    query: str | None = None,
    lines: str | None = None,
    rows: str | None = None,
    path: str | None = None,
    max_tokens: int | None = None,
    scorer: Scorer | None = None,
    count: CountTokens = ESTIMATE,
) -> str:
    """The part that is asked for; with several wishes a part of that part. `lines` and `rows` are `a-b`, counted from
    1.

    With `max_tokens` it ends after the last line that fits, and says so. Raises `NothingThere`, and `ValueError` for a
    wish that makes no sense.
    """
    if path:
        text = _at_path(text, path)
    if lines:
        text = _in_range(text.split("\n"), lines, "lines", "\n".join)
    if rows:
        text = _rows(text, rows)
    if query:
        text = _matching(text, query, scorer or Bm25Scorer())
    return text if max_tokens is None else _within(text, max_tokens, count)


def rows_of(text: str) -> Sequence[str]:
    """The records of a text, or the rows of a table below its heading, or else its lines."""
    arrays = passages_of(text, smallest_chars=0).arrays
    if arrays:
        return max(arrays, key=lambda array: array.end - array.start).raw
    lines = text.rstrip("\n").split("\n")
    table = table_in(lines)
    return table.rows if table is not None else lines


def _rows(text: str, wish: str) -> str:
    arrays = passages_of(text, smallest_chars=0).arrays
    joined_by = max(arrays, key=lambda array: array.end - array.start).joined_by if arrays else "\n"
    return _in_range(rows_of(text), wish, "rows", joined_by.join)


def _in_range(units: Sequence[str], wish: str, what: str, joined: Callable[[Sequence[str]], str]) -> str:
    found = _RANGE.fullmatch(wish)
    if found is None:
        raise ValueError(f"{what} must be a range such as 3-17, counted from 1, not {wish!r}")
    first = int(found[1])
    last = int(found[2]) if found[2] else (first if wish.strip().isdigit() else len(units))
    if not 1 <= first <= min(last, len(units)):
        raise NothingThere(f"there are {len(units)} {what}; {wish} is none of them")
    return joined(units[first - 1 : last])


def _matching(text: str, query: str, scorer: Scorer) -> str:
    units = rows_of(text)
    found = answers(scorer, query, units, most=MOST_FOUND)
    if not found:
        raise NothingThere(f"nothing in {len(units)} rows answers {query!r}; ask with other words, or by rows=a-b")
    return "\n".join(units[number] for number in sorted(found))


def _at_path(text: str, path: str) -> str:
    at = after_space(text, 0)
    start, walked = 0, path.removeprefix("$")
    while start < len(walked):
        step = _STEP.match(walked, start)
        if step is None:
            raise ValueError(f'path must be such as results[3].title or ["a key"], not {path!r}')
        start = step.end()
        name = step[1] if step[1] is not None else json.loads(f'"{step[3]}"') if step[3] is not None else None
        at = _member(text, at, name) if name is not None else _element(text, at, int(step[2]))
        if at < 0:
            raise NothingThere(f"there is nothing at {walked[:start]!r}")
    return text[at : _end_of(text, at)]


def _member(text: str, at: int, name: str) -> int:
    try:
        return next((begin for key, begin, _ in members(text, at) if key == name), -1)
    except ValueError:
        return _end_of(text, at)


def _element(text: str, at: int, index: int) -> int:
    try:
        return next(islice((begin for begin, _ in elements(text, at)), index, None), -1)
    except ValueError:
        return _end_of(text, at)


def _end_of(text: str, at: int) -> int:
    try:
        return end_of(text, at)
    except ValueError:
        raise NothingThere("the original is no JSON there, so that there is no path into it") from None


def _within(text: str, max_tokens: int, count: CountTokens) -> str:
    if max_tokens < 1:
        raise ValueError("max_tokens must be at least 1")
    if count(text) <= max_tokens:
        return text
    lines = text.split("\n")
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count("\n".join(lines[:middle])) <= max_tokens else (low, middle - 1)
    if low:
        return (
            "\n".join(lines[:low])
            + f"\n[cut after line {low} of {len(lines)}; the rest is lines={low + 1}-{len(lines)}]"
        )
    chars = max_tokens * 3
    return text[:chars] + f"\n[cut after {chars} of {len(text)} characters of a long line; ask with a query or a path]"
