"""The marker of a selective result: one grammar, and the only line by which such a result is known.

    [woollama: 951 of 1000 rows left out, ref 0f3c…(32 digits); kept: 3 errors, 1 answer; …58 = 58 rows left out]

A ref is the beginning of the SHA-256 of the original. That a text looks like a marker makes it none: refs are looked up
among those that were emitted, and 128 bits cannot be guessed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

REF_CHARS = 32
_MARKER = re.compile(
    rf"\[woollama: (\d{{1,12}}) of (\d{{1,12}}) ([a-z ]{{1,24}}) left out, ref ([0-9a-f]{{{REF_CHARS}}})[;\]]"
)
REF = re.compile(rf"[0-9a-f]{{{REF_CHARS}}}")
GAP = "…"
_LIKE_GAPS = re.compile(rf"(?<!{GAP})({GAP}++)\d")


@dataclass(frozen=True, slots=True)
class Marker:
    left_out: int
    total: int
    units: str
    ref: str


def ref_of(original: str) -> str:
    return hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:REF_CHARS]


def write(marker: Marker, kept: Mapping[str, int], gap: str = GAP) -> str:
    """The marker's line, without a line break. `kept` counts what was kept by why; `gap` stands where something was."""
    why = ", ".join(f"{count} {reason}" for reason, count in kept.items() if count)
    said = f"; kept: {why}" if why else ""
    legend = f"{gap}9 = 9 {marker.units} left out there"
    return f"[woollama: {marker.left_out} of {marker.total} {marker.units} left out, ref {marker.ref}{said}; {legend}]"


def read(text: str) -> Marker | None:
    """The marker that `text` begins with."""
    found = _MARKER.match(text)
    return Marker(int(found[1]), int(found[2]), found[3], found[4]) if found else None


def gap_for(text: str) -> str:
    """What stands before the number of units that are missing: a sign that no number in `text` stands behind, so that
    no text can say that something is missing where nothing is."""
    return GAP * (1 + max((len(found[1]) for found in _LIKE_GAPS.finditer(text)), default=0))
