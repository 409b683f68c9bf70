"""Whether a tool takes more than it took: the one change that a person's earlier yes must never cover."""

from __future__ import annotations

from collections.abc import Mapping

from woollama.domain.messages import Json

_REMARKS = frozenset({"$comment", "$schema", "$id", "title", "description", "default", "examples", "deprecated"})
"""Members of a schema that do not decide what fits it."""


def widened(old: Mapping[str, Json], new: Mapping[str, Json]) -> bool:
    """False only where it is certain that all that fits `new` was meant by `old`, too: fewer properties, more of them
    required, fewer choices, or other words alone. Everything else counts as more."""
    left, right = _deciding(old), _deciding(new)
    required, still_required = left.pop("required", []), right.pop("required", [])
    if not set(map(str, required)) <= set(map(str, still_required)):
        return True
    properties, now = left.pop("properties", {}), right.pop("properties", {})
    if not (isinstance(properties, dict) and isinstance(now, dict)):
        return bool(properties != now)
    if any(name not in properties or _widened(properties[name], schema) for name, schema in now.items()):
        return True
    if "enum" in right and isinstance(right["enum"], list):
        choices, fewer = left.pop("enum", None), right.pop("enum")
        if choices is not None and any(choice not in choices for choice in fewer):
            return True
    if "items" in left and "items" in right and not _widened(left["items"], right["items"]):
        del left["items"], right["items"]
    return bool(left != right)


def _widened(old: Json, new: Json) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return widened(old, new)
    return bool(old != new)


def _deciding(schema: Mapping[str, Json]) -> dict[str, Json]:
    return {member: value for member, value in schema.items() if member not in _REMARKS}
