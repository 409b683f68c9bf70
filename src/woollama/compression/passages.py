"""A text as a sequence of passages: arrays of records, and what stands before, between and after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from woollama.compression.records import Records, array_at, in_a_row, json_lines

MOST_TRIES = 200
SMALLEST_CHARS = 200
WORK = 4
"""How many times the text may be read: brackets that never close would have it read once for each of them."""


@dataclass(frozen=True, slots=True)
class Passages:
    """`texts` has one more than `arrays`: `texts[0] arrays[0] texts[1] …`."""

    texts: Sequence[str]
    arrays: Sequence[Records]

    @property
    def share(self) -> float:
        """Which share of the text is records."""
        inside = sum(array.end - array.start for array in self.arrays)
        return inside / max(1, inside + sum(map(len, self.texts)))


def passages_of(text: str, smallest_chars: int = SMALLEST_CHARS) -> Passages:
    """Every array of at least a few records. The search reads each record once and gives up after many brackets."""
    if text[:1] in "{[" and (rows := json_lines(text) or in_a_row(text)) is not None:
        return Passages(("", text[rows.end :]), (rows,))
    texts: list[str] = []
    arrays: list[Records] = []
    read = 0
    at = text.find("[")
    tries = 0
    work = WORK * len(text)
    while at >= 0 and tries < MOST_TRIES and work >= 0:
        found, read_to = array_at(text, at)
        work -= read_to - at
        tries += 1
        if found is not None and found.end - found.start >= smallest_chars:
            texts.append(text[read : found.start])
            arrays.append(found)
            read = found.end
            tries = 0
        at = text.find("[", found.end if found is not None else at + 1)
    return Passages((*texts, text[read:]), tuple(arrays))
