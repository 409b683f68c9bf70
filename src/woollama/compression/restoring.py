"""Reading lossless results: back to exactly what they were made of. The grammar is in `notation`."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator

from woollama.compression import diff_notation
from woollama.compression.json_layout import LONGEST_INDENT, laid_out
from woollama.compression.notation import BRACKETS, BREAKS, DITTO, HEAD, LABELS, encoded
from woollama.compression.templates import Slot, Template

LARGEST = 2**26
"""Characters that a result may come to: a text that only looks like ours must not fill the memory."""
TOO_MUCH = f"it comes to more than {LARGEST} characters"


class NotOurs(ValueError):
    """A text that is no lossless result, or no longer the one that was written."""


def is_lossless(text: str) -> bool:
    return HEAD.match(text) is not None


def restore(text: str) -> str:
    """The original of a lossless result; any other text as it is. Raises `NotOurs` if it was changed."""
    head = HEAD.match(text)
    if head is None:
        return text
    signs = (head[2] or f" {BRACKETS[0]}{BREAKS[0]}")[1:]
    try:
        original = "".join(_segments(_Reader(text, head.end()), signs))
    except (IndexError, ValueError, KeyError, RecursionError) as problem:
        raise NotOurs("this lossless result is damaged and cannot be restored") from problem
    if hashlib.sha256(encoded(original)).hexdigest()[:8] != head[1]:
        raise NotOurs("this lossless result was changed: what it restores to is not what was written")
    return original


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self.at = at
        self.room = LARGEST
        """Characters that may still be made."""

    def made(self, chars: int) -> None:
        """To be told of what became of what was read. Raises `ValueError` where that is too much."""
        self.room -= chars
        if self.room < 0:
            raise ValueError(TOO_MUCH)

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
            yield _rows(reader, int(count), str(json.loads(joined_by)) if joined_by else "\n", signs)
        elif kind == "@paths":
            yield _paths(reader, int(rest))
        elif kind == "@json":
            count, _, indent = rest.partition(" ")
            lines = "\n".join(reader.line() for _ in range(int(count)))
            original = laid_out(lines, str(json.loads(indent))[:LONGEST_INDENT], LARGEST)
            reader.made(len(original))
            yield original
        elif kind == "@diff":
            yield diff_notation.read(reader.line, rest)
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
    made, between = 0, len(joined_by)
    last: defaultdict[int, list[str]] = defaultdict(list)
    while len(rows) < count:
        line = reader.line()
        first = line[:1]
        if first == "|":
            rows.append(_broken(line[1:], sign))
            made += len(rows[-1]) + between
        elif first == "=":
            current = templates[line[1:]]
        elif first == "^":
            again = int(line[1:])
            if not 0 < again <= count - len(rows):
                raise ValueError("not as many rows as were announced")
            made += max(1, len(rows[-1]) + between) * again
            if made <= reader.room:
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
            made += len(rows[-1]) + between
        if made > reader.room:
            raise ValueError(TOO_MUCH)
    reader.made(made)
    return joined_by.join(rows)


def _template(shown: str, slot: re.Pattern[str]) -> Template:
    pieces = slot.split(shown)
    slots = [Slot(int(width or 0), sign == "+") for sign, width in zip(pieces[1::3], pieces[2::3], strict=True)]
    if sum(slot.width for slot in slots) > LARGEST:
        raise ValueError("a row wider than any that was written")
    return Template(tuple(pieces[0::3]), tuple(slots))


def _paths(reader: _Reader, count: int) -> str:
    lines: list[str] = []
    made = 0
    beginning = ""
    while len(lines) < count:
        line = reader.line()
        if line[:1] == "=":
            beginning = line[1:]
        else:
            lines.append(beginning + line.removeprefix("|"))
            made += len(lines[-1]) + 1
            if made > reader.room:
                raise ValueError(TOO_MUCH)
    reader.made(made)
    return "\n".join(lines)


def _broken(line: str, sign: str) -> str:
    return line.replace(sign, "\n") if sign else line
