"""A tool call's arguments for the dialects in which they are an object."""

from __future__ import annotations

from collections.abc import Mapping

from woollama.domain.messages import Json
from woollama.domain.wire_json import loads


def object_of(arguments: str) -> Mapping[str, Json]:
    """The object that a model wrote as `arguments`; text that is none is wrapped, not lost."""
    try:
        value = loads((arguments or "{}").encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}
