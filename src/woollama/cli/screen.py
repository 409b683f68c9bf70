"""What commands print."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TextIO

STYLES: Mapping[str, str] = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def shown(text: str) -> str:
    """Text of models and tools with what could steer a terminal made visible."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def one_line(text: str, width: int = 0) -> str:
    """`shown` on one line, its indent kept, shortened to `width` characters where there is one."""
    indent = " " * (len(text) - len(text.lstrip(" ")))
    line = indent + " ".join(shown(text).split())
    return cut(line, width) if width else line


def table(rows: Iterable[Sequence[object]], *, tail: str = "") -> str:
    """Columns as wide as their widest cell, cut off at the terminal's edge. `tail` is the style of the last one."""
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    if not cells:
        return ""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    last = sum(widths[:-1]) + 2 * len(widths[:-1])
    edge = columns()
    lines = []
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        line = line if edge is None else cut(line, edge)
        lines.append(line[:last] + styled(line[last:], tail) if tail and len(line) > last else line)
    return "\n".join(lines)


def cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def columns() -> int | None:
    """How wide the terminal is; `None` where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in one of `STYLES` where `stream` (standard output) shows it: a terminal, and nobody said NO_COLOR."""
    stream = sys.stdout if stream is None else stream
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def counted(count: int, word: str) -> str:
    """`1 alias`, `2 aliases`."""
    plural = f"{word}es" if word.endswith("s") else f"{word}ies" if word.endswith("y") else f"{word}s"
    return f"{count} {word if count == 1 else plural}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min`, `2 h 13 min`, `5 d 2 h`."""
    minutes, s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{s} s"


def size(count: int) -> str:
    """Bytes as `812 kB`, `45 MB`, `4.2 GB`."""
    if count >= 10**9:
        return f"{count / 10**9:.1f} GB"
    return f"{count / 10**6:.0f} MB" if count >= 10**6 else f"{count / 10**3:.0f} kB"


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is meant by one of `patterns`, each a glob over all of it or a part of it; by none: yes."""
    return not patterns or any(fnmatchcase(name, each) or each.lower() in name.lower() for each in patterns)


def problem_line(told: Mapping[str, Any]) -> str:
    """One line of a problem as `woollama check --json` has it."""
    place = ":".join(str(part) for part in (told["file"], told["line"]) if part is not None)
    hint = f" ({told['suggestion']})" if told["suggestion"] else ""
    effect = f"; {told['left_out']} is left out" if told["left_out"] else ""
    return one_line(": ".join(filter(None, (place, told["key"], told["message"]))) + hint + effect)


def complain(message: object) -> None:
    print(f"woollama: {shown(str(message))}", file=sys.stderr)
