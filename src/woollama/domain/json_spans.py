"""Where values stand in the text of a JSON document, so that one can be taken or replaced and all else stays as it
is."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from functools import cached_property
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_KEY = re.compile(r'"(?:[^"\\]|\\.)*"')
_DECODER = json.JSONDecoder(strict=False)


def after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def value_at(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at `at`, and where it ends. Raises `ValueError` where there is none."""
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def end_of(text: str, at: int) -> int:
    """Where the value ends that begins at `at`. Raises `ValueError` where there is none."""
    return value_at(text, at)[1]


def members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """The members of the object at `at` as (key, begin, end of the value); none where there is no object."""
    return ((member.key, member.begin, member.end) for member in _walk(text, at))


def begin_of(text: str, at: int, names: Container[str]) -> int | None:
    """Where the value of the first key that is one of `names` begins in the object at `at`. It is not read itself."""
    return next((member.begin for member in _walk(text, at) if member.key in names), None)


class _Member:
    """Its value is read when its end is asked for, and once."""

    def __init__(self, text: str, key: str, begin: int) -> None:
        self._text = text
        self.key = key
        self.begin = begin

    @cached_property
    def end(self) -> int:
        return end_of(self._text, self.begin)


def _walk(text: str, at: int) -> Iterator[_Member]:
    if text[at : at + 1] != "{":
        return
    at = after_space(text, at + 1)
    while (key := _KEY.match(text, at)) is not None:
        at = after_space(text, key.end())
        if text[at : at + 1] != ":":
            return
        member = _Member(text, json.loads(key[0], strict=False), after_space(text, at + 1))
        yield member
        at = after_space(text, member.end)
        if text[at : at + 1] != ",":
            return
        at = after_space(text, at + 1)


def elements(text: str, at: int) -> Iterator[tuple[int, int]]:
    """The elements of the array at `at` as (begin, end); none where there is no array."""
    return ((begin, end) for begin, end, _ in values(text, at))


def values(text: str, at: int) -> Iterator[tuple[int, int, Any]]:
    """The same as (begin, end, value)."""
    if text[at : at + 1] != "[":
        return
    at = after_space(text, at + 1)
    while text[at : at + 1] not in ("]", ""):
        value, end = value_at(text, at)
        yield at, end, value
        at = after_space(text, end)
        if text[at : at + 1] != ",":
            return
        at = after_space(text, at + 1)
