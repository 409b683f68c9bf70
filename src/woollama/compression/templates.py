"""Templates: what many rows have in common, and what each of them fills in.

A template is the constant text around its slots; a row of it is one cell per slot. Slots are cut only where a person
would cut: at white space, at the quotes of a JSON string, and after the common beginning of a path, a URL or a date. A
number, a name or a message is never cut in its middle, so that whoever looks for one finds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

LONGEST_PHRASE = 48
_BEFORE_A_VALUE = re.compile(r".*(?:[/\[({<\"'=:,;@#]|(?<=\w)-|(?<=\d)T)", re.DOTALL)
_AFTER_A_VALUE = re.compile(r"[\])}>\"',;:%]|Z$")


@dataclass(frozen=True, slots=True)
class Slot:
    """How a cell stands in its row: as it is, or padded with spaces to `width`, on the left if `right` aligned."""

    width: int = 0
    right: bool = False

    @property
    def format(self) -> str:
        """As `%` wants it between its sign and the `s`."""
        return f"{'' if self.right else '-'}{self.width}" if self.width else ""


PLAIN = Slot()


@dataclass(frozen=True)
class Template:
    """`constants` has one text more than there are `slots`: before, between and after them."""

    constants: tuple[str, ...]
    slots: tuple[Slot, ...]

    @cached_property
    def _format(self) -> str:
        first, *others = (constant.replace("%", "%%") for constant in self.constants)
        pairs = zip(self.slots, others, strict=True)
        return first + "".join(f"%{slot.format}s{constant}" for slot, constant in pairs)

    def fill(self, cells: Sequence[str]) -> str:
        """Raises `ValueError` where there are not as many cells as slots."""
        if len(cells) != len(self.slots):
            raise ValueError(f"{len(cells)} cells for {len(self.slots)} slots")
        return self._format % tuple(cells)


class Fitting:
    """Builds a template from left to right out of constants and columns, and holds the cells that go with it."""

    def __init__(self) -> None:
        self.constants: list[str] = [""]
        self.slots: list[Slot] = []
        self.columns: list[Sequence[str]] = []

    def text(self, constant: str) -> None:
        self.constants[-1] += constant

    def column(self, cells: Sequence[str], slot: Slot = PLAIN) -> None:
        self.slots.append(slot)
        self.columns.append(cells)
        self.constants.append("")

    def right(self, cells: Sequence[str], width: int) -> None:
        """A column that is padded to `width` on its left."""
        tail = _common_tail(cells, 0)
        self.column([cell[: len(cell) - len(tail)] for cell in cells] if tail else cells, Slot(width - len(tail), True))
        self.text(tail)

    def value(self, cells: Sequence[str]) -> None:
        """A column of words: a constant where all are equal, else without what they begin and end with."""
        if is_constant(cells):
            self.text(cells[0])
            return
        found = _BEFORE_A_VALUE.match(_common_head(min(cells), max(cells)))
        head = found[0] if found else ""
        tail = _common_tail(cells, len(head))
        self.text(head)
        self._words([cell[len(head) : len(cell) - len(tail)] for cell in cells] if head or tail else cells)
        self.text(tail)

    def _words(self, cells: Sequence[str]) -> None:
        """A column, in one cell with the column before it where only a space stands between them."""
        joins = bool(self.slots) and self.slots[-1] == PLAIN and self.constants[-1] == " "
        if joins and not _often_repeats(cells) and not _often_repeats(self.columns[-1]):
            self.constants[-1] = ""
            self.columns[-1] = [f"{before} {cell}" for before, cell in zip(self.columns[-1], cells, strict=True)]
        else:
            self.column(cells)

    def phrase(self, cells: Sequence[str]) -> None:
        """A column of texts with spaces: words that all rows share become constant; what lies between is one slot."""
        if is_constant(cells):
            self.text(cells[0])
            return
        words = [cell.split(" ") for cell in cells]
        counts = {len(each) for each in words}
        if max(counts) == 1:
            self.value(cells)
        elif len(counts) == 1 and max(counts) <= LONGEST_PHRASE:
            self._same_count(list(zip(*words, strict=True)))
        else:
            self._same_ends(words)

    def _same_count(self, columns: Sequence[Sequence[str]]) -> None:
        varying: list[Sequence[str]] = []
        space = ""
        for column in columns:
            if is_constant(column):
                self._varying(varying)
                varying = []
                self.text(space + column[0])
            else:
                if not varying:
                    self.text(space)
                varying.append(column)
            space = " "
        self._varying(varying)

    def _varying(self, columns: Sequence[Sequence[str]]) -> None:
        if len(columns) == 1:
            self.value(columns[0])
        elif columns:
            self.column([" ".join(words) for words in zip(*columns, strict=True)])

    def _same_ends(self, words: Sequence[Sequence[str]]) -> None:
        shortest = min(map(len, words))
        head = 0
        while head < shortest - 1 and is_constant([each[head] for each in words]):
            head += 1
        tail = 0
        while tail < shortest - 1 - head and is_constant([each[-1 - tail] for each in words]):
            tail += 1
        some = words[0]
        self.text("".join(f"{word} " for word in some[:head]))
        self.column([" ".join(each[head : len(each) - tail]) for each in words])
        self.text("".join(f" {word}" for word in some[len(some) - tail :]))

    @property
    def template(self) -> Template:
        return Template(tuple(self.constants), tuple(self.slots))

    def rows(self, count: int) -> Iterator[tuple[str, ...]]:
        return zip(*self.columns, strict=True) if self.columns else iter([()] * count)


def _often_repeats(cells: Sequence[str]) -> bool:
    """Whether most cells are the one above, which is said with a ditto mark as long as they stand alone."""
    return 2 * sum(map(str.__eq__, cells, cells[1:])) > len(cells)


def is_constant(cells: Sequence[str]) -> bool:
    """Whether all are equal; most columns that are not show it at once."""
    first = cells[0]
    return first == cells[-1] and cells.count(first) == len(cells)


def _common_head(first: str, last: str) -> str:
    """What the first and the last of sorted texts begin with, and so all between them."""
    same = 0
    for a, b in zip(first, last, strict=False):
        if a != b:
            break
        same += 1
    return first[:same]


def _common_tail(cells: Sequence[str], head: int) -> str:
    last = cells[0]
    size = min(len(last), min(map(len, cells))) - head
    tail = last[len(last) - size :] if size > 0 else ""
    for cell in cells:
        if not tail:
            return ""
        while not cell.endswith(tail):
            tail = tail[1:]
    found = _AFTER_A_VALUE.search(tail)
    return tail[found.start() :] if found else ""
