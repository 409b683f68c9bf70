"""JSON that a program printed with an indent: written without it, and laid out as it was again.

All is done on the raw text of its tokens, so that numbers, escapes, doubled keys and their order stay as they were.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

DEEPEST = 100
LONGEST_INDENT = 8
LINE_CHARS = 110
"""A line goes on to the next comma after so many."""
_INDENTED = re.compile(rf"[{{\[]\n( {{1,{LONGEST_INDENT}}}|\t)(?=[\"\[{{\]}}\-0-9tfn])")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\],:]|[^\s{}\[\],:"]++', re.DOTALL)


def indent_of(text: str) -> str:
    """What one level is indented by in a text that begins as JSON with an indent does, else nothing."""
    found = _INDENTED.match(text)
    return found[1] if found else ""


def folded(text: str) -> str | None:
    """The same in few lines, if `laid_out` makes `text` of it again."""
    tokens = _TOKEN.findall(text)
    out: list[str] = []
    size = 0
    for token in tokens:
        out.append(token)
        size += len(token)
        if token == ",":
            out.append("\n" if size > LINE_CHARS else " ")
            size = size if size <= LINE_CHARS else 0
        elif token == ":":
            out.append(" ")
    try:
        return "".join(out) if "".join(_laid_out(tokens, indent_of(text))) == text else None
    except IndexError:
        return None


def laid_out(text: str, indent: str, most_chars: int) -> str:
    """The tokens of `text` in a line each, as printers with an indent set them. Raises `IndexError` for what is deeper
    than any that was written, and `ValueError` for more than `most_chars`."""
    pieces = _laid_out(_TOKEN.findall(text), indent)
    if sum(map(len, pieces)) > most_chars:
        raise ValueError(f"it comes to more than {most_chars} characters")
    return "".join(pieces)


def _laid_out(tokens: Sequence[str], indent: str) -> Sequence[str]:
    breaks = [f"\n{indent * depth}" for depth in range(DEEPEST)]
    out: list[str] = []
    depth = 0
    before = ""
    for token in tokens:
        if token in ("}", "]"):
            depth -= 1
            if before not in ("{", "["):
                out.append(breaks[max(0, depth)])
        elif before in ("{", "[", ","):
            out.append(breaks[depth])
        elif before == ":":
            out.append(" ")
        if token in ("{", "["):
            depth += 1
        out.append(token)
        before = token
    return out
