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
    @end

Eight digits of the original's SHA-256 stand in the first line, and what was decoded is held against them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from woollama.compression.families import Family
from woollama.compression.templates import Slot, Template

MAGIC = "[woollama lossless "
LEGEND = 'Rows fill the <slots> of their template; a line after "|" is verbatim.'
_HEAD = re.compile(r"\[woollama lossless ([0-9a-f]{8})( [^\]]{1,8})?\] [^\n]*\n")
_BRACKETS = ("<>", "«»", "‹›", "⟨⟩", "⟦⟧")
_BREAKS = "⏎␤⤶"
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RESERVED = "|=^#"
LARGEST = 2**26
"""Characters; nothing larger is written, so nothing larger is read."""
ANCHOR_EACH = 10
DITTO = '"'


class Unwritable(Exception):
    """The data holds every sign that the notation could use."""


class NotOurs(ValueError):
    """A text that is no lossless result, or no longer the one that was written."""


class Writer:
    """Writes one result. `breaks` stands for a line break inside a row, `brackets` around a slot."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._brackets = next((pair for pair in _BRACKETS if pair[0] not in text and pair[1] not in text), None)
        self._brackets = self._brackets or next((p for p in _BRACKETS[1:] if p[0] not in text and p[1] not in text), "")
        self._break = next((sign for sign in _BREAKS if sign not in text), "")
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

    def finish(self) -> str:
        digest = hashlib.sha256(_encoded(self._text)).hexdigest()[:8]
        signs = self._brackets + self._break
        said = "" if signs == _BRACKETS[0] + _BREAKS[0] else f" {signs}"
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
        left, right = self._brackets
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


def is_lossless(text: str) -> bool:
    return _HEAD.match(text) is not None


def restore(text: str) -> str:
    """The original of a lossless result; any other text as it is. Raises `NotOurs` if it was changed."""
    head = _HEAD.match(text)
    if head is None:
        return text
    signs = (head[2] or f" {_BRACKETS[0]}{_BREAKS[0]}")[1:]
    try:
        original = "".join(_segments(_Reader(text, head.end()), signs))
    except (IndexError, ValueError, KeyError, StopIteration, RuntimeError) as problem:
        raise NotOurs("this lossless result is damaged and cannot be restored") from problem
    if hashlib.sha256(_encoded(original)).hexdigest()[:8] != head[1]:
        raise NotOurs("this lossless result was changed: what it restores to is not what was written")
    return original


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self.at = at

    def line(self) -> str:
        end = self._text.find("\n", self.at)
        if end < 0:
            end = len(self._text)
            if self.at > end:
                raise ValueError("the text ends too soon")
        line = self._text[self.at : end]
        self.at = end + 1
        return line

    def take(self, count: int) -> str:
        taken = self._text[self.at : self.at + count]
        if len(taken) != count:
            raise ValueError("the text ends too soon")
        self.at += count + 1
        return taken


def _segments(reader: _Reader, signs: str) -> Iterator[str]:
    while (line := reader.line()) != "@end":
        kind, _, rest = line.partition(" ")
        if kind == "@text":
            yield reader.take(int(rest))
        elif kind == "@rows":
            count, _, joined_by = rest.partition(" ")
            yield _rows(reader, int(count), json.loads(joined_by) if joined_by else "\n", signs)
        elif kind == "@paths":
            yield _paths(reader, int(rest))
        else:
            raise ValueError(f"no such part: {kind}")


def _rows(reader: _Reader, count: int, joined_by: str, signs: str) -> str:
    brackets, sign = signs[:2], signs[2:]
    slot = re.compile(f"{re.escape(brackets[0])}(?:([+-])(\\d+))?{re.escape(brackets[1])}")
    templates: dict[str, Template] = {}
    separator = " "
    start = reader.at
    while (line := reader.line())[1:3] == ": " and line[0] in LABELS:
        templates[line[0]] = _template(_broken(line[3:], sign), slot)
    if templates:
        separator = "\t" if line == "-- tab" else " "
    else:
        reader.at = start
    current = templates.get(LABELS[0])
    rows: list[str] = []
    last: defaultdict[int, list[str]] = defaultdict(list)
    while len(rows) < count:
        line = reader.line()
        first = line[:1]
        if first == "|":
            rows.append(_broken(line[1:], sign))
        elif first == "=":
            current = templates[line[1:]]
        elif first == "^":
            again = int(line[1:])
            if again > min(count - len(rows), LARGEST // (len(rows[-1]) + 1)):
                raise ValueError("more rows than were announced")
            rows += [rows[-1]] * again
        elif first != "#":
            if current is None:
                raise ValueError("a row without a template")
            cells = line.split(separator) if current.slots else []
            if DITTO in cells:
                above = last[id(current)]
                cells = [above[i] if cell == DITTO and above else cell for i, cell in enumerate(cells)]
            last[id(current)] = cells
            rows.append(current.fill(cells))
    return joined_by.join(rows)


def _template(shown: str, slot: re.Pattern[str]) -> Template:
    pieces = slot.split(shown)
    slots = [Slot(int(width or 0), sign == "+") for sign, width in zip(pieces[1::3], pieces[2::3], strict=True)]
    return Template(tuple(pieces[0::3]), tuple(slots))


def _paths(reader: _Reader, count: int) -> str:
    lines: list[str] = []
    beginning = ""
    while len(lines) < count:
        line = reader.line()
        if line[:1] == "=":
            beginning = line[1:]
        else:
            lines.append(beginning + line.removeprefix("|"))
    return "\n".join(lines)


def _broken(line: str, sign: str) -> str:
    return line.replace(sign, "\n") if sign else line


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
