"""Where values stand in the text of a JSON document, so that one can be taken or replaced and all else stays as it
is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_SPACE = re.compile(r"[ \t\r\n]*")
_KEY = re.compile(r'"(?:[^"\\]|\\.)*"')
_DECODER = json.JSONDecoder(strict=False)


def after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def end_of(text: str, at: int) -> int:
    """Where the value ends that begins at `at`. Raises `ValueError` where there is none."""
    try:
        return _DECODER.raw_decode(text, at)[1]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """The members of the object at `at` as (key, begin, end of the value); none where there is no object."""
    if text[at : at + 1] != "{":
        return
    at = after_space(text, at + 1)
    while (key := _KEY.match(text, at)) is not None:
        at = after_space(text, key.end())
        if text[at : at + 1] != ":":
            return
        begin = after_space(text, at + 1)
        end = end_of(text, begin)
        yield json.loads(key[0], strict=False), begin, end
        at = after_space(text, end)
        if text[at : at + 1] != ",":
            return
        at = after_space(text, at + 1)


def elements(text: str, at: int) -> Iterator[tuple[int, int]]:
    """The elements of the array at `at` as (begin, end); none where there is no array."""
    if text[at : at + 1] != "[":
        return
    at = after_space(text, at + 1)
    while text[at : at + 1] not in ("]", ""):
        end = end_of(text, at)
        yield at, end
        at = after_space(text, end)
        if text[at : at + 1] != ",":
            return
        at = after_space(text, at + 1)
