"""Forms with files (`multipart/form-data`): where their small fields lie, found while the bytes pass.

A form is relayed as it came but for the value of `model`, so all that is read of it is the borders of its parts. They
may come in any order: the openai SDK sends `model` first, curl the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from woollama.domain.errors import BadRequest

VALUE_LIMIT_BYTES = 4096
HEAD_LIMIT_BYTES = 16 * 1024
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(rb';[ \t]*([\w*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')


@dataclass(frozen=True, slots=True)
class Field:
    """A field's text, and where its bytes begin and end in the body."""

    text: str
    begin: int
    end: int


class FormScanner:
    """Feed it the body; `fields` then holds those of `wanted` that are there. Raises `BadRequest` for what is no form.

    A wanted field that is given twice is refused: two readers would take two different values.
    """

    def __init__(self, content_type: str, wanted: Collection[str]) -> None:
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise BadRequest("the content type of a form must name its boundary", param="content-type")
        self._border = b"\r\n--" + (found[1] or found[2]).encode("latin-1")
        self._wanted = frozenset(wanted)
        self.fields: dict[str, Field] = {}
        # The first border has no line end of its own before it.
        self._held = bytearray(b"\r\n")
        self._at = -2
        self._in_head = False
        self._name: str | None = None
        self.complete = False

    def __repr__(self) -> str:
        return f"<FormScanner after {self._at} bytes, {', '.join(self.fields) or 'no field'} found>"

    def feed(self, chunk: bytes) -> None:
        if self.complete:
            return
        self._held += chunk
        while not self.complete and (self._head() if self._in_head else self._content()):
            pass

    def close(self) -> None:
        """The body has ended."""
        if not self.complete:
            raise BadRequest("the form is cut short: its last boundary is missing")

    def _content(self) -> bool:
        """Look for the border that ends what comes before it; False if more bytes are needed."""
        border = self._held.find(self._border)
        content = max(0, len(self._held) - len(self._border)) if border < 0 else border
        if self._name is not None:
            if content > VALUE_LIMIT_BYTES:
                raise BadRequest(f"`{self._name}` is longer than {VALUE_LIMIT_BYTES} bytes", param=self._name)
            if border >= 0:
                self._keep(self._name, border)
        if border < 0:
            if self._name is None:
                self._drop(content)
            return False
        self._drop(border + len(self._border))
        self._in_head = True
        return True

    def _head(self) -> bool:
        """Read the head of a part, from behind its border on; False if more bytes are needed."""
        if len(self._held) < 2:
            return False
        if self._held.startswith(b"--"):
            self.complete = True
            return False
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            if len(self._held) > HEAD_LIMIT_BYTES:
                raise BadRequest("a part of the form has no end of its head")
            return False
        head = bytes(self._held[:end])
        if head.partition(b"\r\n")[0].strip(b" \t"):
            raise BadRequest("a boundary of the form stands inside a line")
        name = _name_in(head)
        self._name = name if name in self._wanted else None
        self._drop(end + 4)
        self._in_head = False
        return True

    def _keep(self, name: str, length: int) -> None:
        if name in self.fields:
            raise BadRequest(f"`{name}` is given twice", param=name)
        try:
            text = bytes(self._held[:length]).decode()
        except UnicodeDecodeError:
            raise BadRequest(f"`{name}` is not UTF-8", param=name) from None
        self.fields[name] = Field(text, self._at, self._at + length)

    def _drop(self, count: int) -> None:
        del self._held[:count]
        self._at += count


def _name_in(head: bytes) -> str:
    disposition = _DISPOSITION.search(head)
    parameters = _PARAMETER.finditer(disposition[1]) if disposition else ()
    names = (found[2] or found[3] or b"" for found in parameters if found[1].lower() == b"name")
    return next(names, b"").decode("utf-8", "replace")
