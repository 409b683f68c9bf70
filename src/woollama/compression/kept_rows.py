"""Units that were kept, with a mark for how many are missing between them."""

from __future__ import annotations

from collections.abc import Sequence


def gapped(units: Sequence[str], kept: Sequence[int], gap: str) -> str:
    """The kept units, one a line, in order; `gap` and a number stand where so many were left out."""
    out: list[str] = []
    following = 0
    for number in kept:
        if number > following:
            out.append(f"{gap}{number - following}")
        out.append(units[number])
        following = number + 1
    if following < len(units):
        out.append(f"{gap}{len(units) - following}")
    return "\n".join(out)
