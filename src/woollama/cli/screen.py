"""What commands print."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def shown(text: str) -> str:
    """Text of models and tools with what could steer a terminal made visible."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def table(rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell."""
    cells = [[shown(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def complain(message: object) -> None:
    print(f"woollama: {shown(str(message))}", file=sys.stderr)
