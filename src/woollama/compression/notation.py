"""The notation of lossless results: one grammar, written here and read here.

    [woollama lossless 5f1c33a0] Rows fill the <slots> of their template; a line after "|" is verbatim.
    @text 14                      the next 14 characters, then a line break
    @rows 1000 ", "               1000 rows that were joined by ", " (by line breaks where nothing is said)
    A: {"id": <>, "name": "<>"}   templates; <+7> is padded to 7 on the left, <-7> on the right
    17 Ada                        a row of the only template, or
    =B                            of the template that was named last
    17 "                          a ditto: the cell above, in the row before of that template
    |{"id": null}                 a row as it is
    ^3                            the row before, three more times
    #10                           the next row is the tenth
    @paths 90                     90 lines; what stands after "=" is put before the lines that follow it
    @json 30 "  "                 JSON in 30 lines that was printed with this indent, as `json_layout` says
    @diff 40                      a diff of 40 lines, as `diff_notation` says
    @end

Eight digits of the original's SHA-256 stand in the first line, and what was decoded is held against them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from woollama.compression import diff_notation
from woollama.compression.families import Family
from woollama.compression.templates import Template

MAGIC = "[woollama lossless "
LEGEND = 'Rows fill the <slots> of their template; a line after "|" is verbatim.'
HEAD = re.compile(r"\[woollama lossless ([0-9a-f]{8})( [^\]]{1,8})?\] [^\n]*\n")
BRACKETS = ("<>", "«»", "‹›", "⟨⟩", "⟦⟧")
BREAKS = "⏎␤⤶"
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RESERVED = "|=^#"

ANCHOR_EACH = 10
DITTO = '"'


class Unwritable(Exception):
    """The data holds every sign that the notation could use."""


class Writer:
    """Writes one result. `breaks` stands for a line break inside a row, `brackets` around a slot."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._brackets = next((pair for pair in BRACKETS if pair[0] not in text and pair[1] not in text), "")
        self._break = next((sign for sign in BREAKS if sign not in text), "")
        self._out: list[str] = []

    def text(self, text: str) -> None:
        if text:
            self._out.append(f"@text {len(text)}\n{text}\n")

    def rows(self, rows: Sequence[str], found: Sequence[Family], joined_by: str, *, anchors: bool) -> None:
        """`rows` as written, with their families; those that have none stand verbatim."""
        if not self._brackets:
            raise Unwritable
        found = sorted(found, key=lambda family: -family.saved)[: len(LABELS)]
        said = "" if joined_by == "\n" else f" {json.dumps(joined_by)}"
        self._out.append(f"@rows {len(rows)}{said}\n")
        separator = " " if _plain(found) else "\t"
        cells: dict[int, tuple[str, str]] = {}
        for label, family in zip(LABELS, found, strict=False):
            self._out.append(f"{label}: {self._one_line(self._shown(family.template))}\n")
            for number, row in zip(family.numbers, _with_dittos(family, anchors), strict=True):
                if (line := _row(row, separator)) is not None:
                    cells[number] = label, line
        if found:
            self._out.append("--\n" if separator == " " else "-- tab\n")
        self._out.append(self._lines(rows, cells, anchors))

    def paths(self, lines: Sequence[tuple[str, str]]) -> None:
        """Lines as (beginning, rest), where consecutive ones share their beginning."""
        out = [f"@paths {len(lines)}\n"]
        current = ""
        for beginning, rest in lines:
            if beginning != current:
                out.append(f"={beginning}\n")
                current = beginning
            out.append(f"|{rest}\n" if rest[:1] in ("=", "|") else f"{rest}\n")
        self._out.append("".join(out))

    def diff(self, lines: Sequence[str]) -> None:
        self._out.append(diff_notation.written(lines))

    def json(self, folded: str, indent: str) -> None:
        self._out.append(f"@json {folded.count(chr(10)) + 1} {json.dumps(indent)}\n{folded}\n")

    def finish(self) -> str:
        digest = hashlib.sha256(encoded(self._text)).hexdigest()[:8]
        signs = self._brackets + self._break
        said = "" if signs == BRACKETS[0] + BREAKS[0] else f" {signs}"
        legend = LEGEND.replace("<slots>", f"{self._brackets[:1]}slots{self._brackets[1:]}")
        return f"{MAGIC}{digest}{said}] {legend}\n{''.join(self._out)}@end"

    def _lines(self, rows: Sequence[str], cells: dict[int, tuple[str, str]], anchors: bool) -> str:
        out: list[str] = []
        label = LABELS[0]
        before: str | None = None
        again = 0
        for number, row in enumerate(rows):
            if row == before and not anchors:
                again += 1
                continue
            if again:
                out.append(f"^{again}\n")
                again = 0
            before = row
            if anchors and (number + 1) % ANCHOR_EACH == 0:
                out.append(f"#{number + 1}\n")
            if number in cells:
                its, line = cells[number]
                if its != label:
                    out.append(f"={its}\n")
                    label = its
                out.append(line + "\n")
            else:
                out.append(f"|{self._one_line(row)}\n")
        if again:
            out.append(f"^{again}\n")
        return "".join(out)

    def _one_line(self, text: str) -> str:
        if "\n" not in text:
            return text
        if not self._break:
            raise Unwritable
        return text.replace("\n", self._break)

    def _shown(self, template: Template) -> str:
        left, right = self._brackets[:1], self._brackets[1:]
        pieces = [template.constants[0]]
        for slot, constant in zip(template.slots, template.constants[1:], strict=True):
            sign = f"{'+' if slot.right else '-'}{slot.width}" if slot.width else ""
            pieces += (f"{left}{sign}{right}", constant)
        return "".join(pieces)


def _plain(found: Sequence[Family]) -> bool:
    return not any(" " in cell for family in found for row in family.cells for cell in row)


def _with_dittos(family: Family, anchors: bool) -> Sequence[Sequence[str]]:
    """The cells of a family, where a long cell that is often the one above it is a ditto mark below the first.

    Where there are anchors, each of them starts anew: every row is then near to its own words.
    """
    columns = [list(column) for column in zip(*family.cells, strict=True)]
    changed = False
    for column in columns:
        same = sum(map(str.__eq__, column, column[1:]))
        if DITTO in column or same * len(column[0]) < 3 * len(column) or same * 2 < len(column):
            continue
        changed = True
        for index in range(len(column) - 1, 0, -1):
            again = not anchors or _stretch(family.numbers[index]) == _stretch(family.numbers[index - 1])
            if again and column[index] == column[index - 1] and len(column[index]) > 2:
                column[index] = DITTO
    return list(zip(*columns, strict=True)) if changed else family.cells


def _stretch(number: int) -> int:
    """The anchor that the row of this number stands after."""
    return (number + 1) // ANCHOR_EACH


def _row(cells: Sequence[str], separator: str) -> str | None:
    """The cells in one line, or nothing if they could not be told apart again."""
    line = separator.join(cells)
    taken = line != "" and line[0] in _RESERVED
    return None if taken or "\n" in line or line.count(separator) != max(len(cells) - 1, 0) else line


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
