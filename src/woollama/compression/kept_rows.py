"""Units that were kept, with a mark for how many are missing between them."""

from __future__ import annotations

from collections.abc import Sequence

from woollama.compression import marker


def gapped(units: Sequence[str], kept: Sequence[int]) -> str:
    """The kept units, one a line, in order; `…58` stands where 58 were left out."""
    out: list[str] = []
    following = 0
    for number in kept:
        if number > following:
            out.append(marker.gap(number - following))
        out.append(units[number])
        following = number + 1
    if following < len(units):
        out.append(marker.gap(len(units) - following))
    return "\n".join(out)
