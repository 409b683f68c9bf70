"""How a diff is written losslessly: the four lines of a file's heading as one, the sign of many lines once.

@diff 14 "=" is a file's heading, "*+9" says that the next 9 lines are added, "*-9" removed
=src/pump.py index 0f3c211..9ab0d12 100644
@@ -1,4 +1,6 @@                                as it is, like every line that nothing else is said of
*+4
def prime(self):                               one of four lines that each begin with "+"
|=                                             a line that begins with one of our own signs
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

LEGEND = '"=" is a file\'s heading, "*+9" says that the next 9 lines are added, "*-9" removed'
FEWEST_ALIKE = 4
_GIT = re.compile(r"diff --git a/(\S{1,400}) b/(\S{1,400})")
_RESERVED = ("=", "*", "|")


def written(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in _written(lines))


def _written(lines: Sequence[str]) -> Iterator[str]:
    yield f"@diff {len(lines)} {LEGEND}"
    number = 0
    while number < len(lines):
        line = lines[number]
        sign = line[:1]
        if (found := _GIT.fullmatch(line)) and list(lines[number : number + 4]) == _heading(
            found[1], lines[number + 1] if number + 1 < len(lines) else ""
        ):
            yield f"={found[1]} {lines[number + 1]}"
            number += 4
        elif sign in ("+", "-") and (many := _alike(lines, number, sign)) >= FEWEST_ALIKE:
            yield f"*{sign}{many}"
            yield from (each[1:] for each in lines[number : number + many])
            number += many
        else:
            yield f"|{line}" if sign in _RESERVED else line
            number += 1


def read(next_line: Callable[[], str], said: str) -> str:
    """The diff. `said` is what stands behind `@diff`. Raises `ValueError` for what nobody wrote."""
    count = int(said.partition(" ")[0])
    lines: list[str] = []
    while len(lines) < count:
        line = next_line()
        sign = line[:1]
        if sign == "=":
            name, _, index = line[1:].partition(" ")
            lines += _heading(name, index)
        elif sign == "*":
            many = int(line[2:])
            if many > count - len(lines):
                raise ValueError("more lines than were announced")
            lines += [line[1] + next_line() for _ in range(many)]
        else:
            lines.append(line.removeprefix("|"))
    return "\n".join(lines)


def _heading(name: str, index: str) -> list[str]:
    return [f"diff --git a/{name} b/{name}", index, f"--- a/{name}", f"+++ b/{name}"]


def _alike(lines: Sequence[str], number: int, sign: str) -> int:
    """How many lines from here on begin with that sign."""
    end = number
    while end < len(lines) and lines[end].startswith(sign):
        end += 1
    return end - number
