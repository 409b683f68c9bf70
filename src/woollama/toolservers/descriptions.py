"""What a tool says of itself, without what is there for machines to read and for people not to see."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from woollama.domain.messages import Json

_WORDS = ("title", "description")
_DATA = ("default", "const", "enum", "examples")
"""Members of a schema whose values are data: what is in them is part of what a tool takes."""


def cleaned(raw: Mapping[str, Json]) -> dict[str, Json]:
    """MCP's Tool object; zero-width, bidirectional and control characters are taken out of all that describes."""
    return {member: _cleaned(member, value) for member, value in raw.items()}


def _cleaned(member: str, value: Json) -> Json:
    match value:
        case str():
            return legible(value) if member in _WORDS else value
        case dict() if member in ("properties", "$defs", "definitions"):  # names, each with a schema
            return {name: cleaned(schema) if isinstance(schema, dict) else schema for name, schema in value.items()}
        case dict() if member not in _DATA:
            return cleaned(value)
        case list() if member not in _DATA:
            return [_cleaned("", each) for each in value]
        case _:
            return value


def legible(text: str) -> str:
    """`text` without characters that leave no mark; line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or not _is_hidden(c))


def _is_hidden(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cf") or "\U000e0100" <= c <= "\U000e01ef"  # variation selectors
