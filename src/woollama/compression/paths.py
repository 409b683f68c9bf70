"""Lines that begin with a path, as those of grep and find: said once for all that follow it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MATCH = re.compile(r"(?:[A-Za-z]:\\)?[^\s:/.]{0,200}[/.][^\s:]{0,400}:(?!:)")
_DIRECTORY = re.compile(r"(?:\./|/|[\w.@~+-]+/)(?:[^/\s:]+/){0,40}(?=[^/\s]*$)")


def common_beginnings(lines: Sequence[str], *, matches: bool) -> list[tuple[str, str]]:
    """Each line as (beginning, rest): its path where `matches`, as grep prints them, else its directory."""
    pattern = _MATCH if matches else _DIRECTORY
    with_context = matches and "--" in lines
    cut: list[tuple[str, str]] = []
    current = ""
    for line in lines:
        found = pattern.match(line)
        beginning = (found[0][:-1] if with_context else found[0]) if found is not None else None
        if beginning is not None and beginning != current:
            current = beginning
        elif beginning is None and not line.startswith(current):
            current = ""
        cut.append((current, line[len(current) :]))
    return cut


def share_of_matches(lines: Sequence[str]) -> float:
    """Which share of `lines` looks like grep's output."""
    return _share(lines, _MATCH)


def share_of_paths(lines: Sequence[str]) -> float:
    return _share(lines, _DIRECTORY)


def _share(lines: Sequence[str], pattern: re.Pattern[str]) -> float:
    some = [line for line in lines[:: max(1, len(lines) // 200)] if line.strip()]
    return sum(pattern.match(line) is not None for line in some) / len(some) if some else 0.0
