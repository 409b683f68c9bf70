"""The schema that models are shown for a tool, in words that every provider takes.

Tool servers describe their arguments in any JSON Schema; the model APIs refuse a request for a single word that they
do not know: a union at the top, a reference, a list without `items`, a key with a `$`. What is shown takes everything
that the tool's own schema takes, and sometimes more: calls are held against the server's own schema, and the model is
told what was wrong.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from woollama.domain.messages import Json

Schema = dict[str, Any]

NUMBERS = ("minimum", "maximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems")
TYPES = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})
FORMATS = frozenset({"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"})
DEEPEST = 24
MOST_SCHEMAS = 2000
"""References can make a small text an endless one. Beyond this many, and that deep, anything is taken."""
LONGEST_KEY = 64
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]")


def offered(schema: Mapping[str, Json]) -> Mapping[str, Json]:
    """A schema of an object, without references and with no union, reference or condition at its top."""
    shown = _Rewriting(schema).whole()
    if alternatives := shown.pop("anyOf", None):
        _absorb(shown, alternatives)
    properties = shown.pop("properties", {})
    required = [name for name in shown.pop("required", ()) if name in properties]
    kept = {key: value for key, value in shown.items() if key not in ("type", "enum", "default", "items")}
    names = own_names(schema)
    spelled = {own: shown_as for shown_as, own in names.items()}
    return {
        "type": "object",
        **kept,
        "properties": {spelled.get(name, name): value for name, value in properties.items()},
        **({"required": [spelled.get(name, name) for name in required]} if required else {}),
    }


def own_names(schema: Mapping[str, Json]) -> dict[str, str]:
    """Which arguments are shown under another name, because their own is one that providers refuse: shown -> own."""
    properties = schema.get("properties")
    known = set(properties) if isinstance(properties, dict) else set()
    renamed: dict[str, str] = {}
    for name in sorted(known):
        if len(name) > LONGEST_KEY or not name or _ILLEGAL.search(name):
            plain = _ILLEGAL.sub("_", name).strip("_")[:LONGEST_KEY]
            if not plain or plain in known or plain in renamed:
                plain = f"{plain[: LONGEST_KEY - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            renamed[plain] = name
    return renamed


class _Rewriting:
    """Goes through one document once."""

    def __init__(self, root: Mapping[str, Json]) -> None:
        self._root = root
        self._left = MOST_SCHEMAS
        self._open: list[str] = []
        """The references that lead to where we are."""

    def whole(self) -> Schema:
        return self._one(dict(self._root), 0)

    def _one(self, schema: Json, depth: int) -> Schema:
        self._left -= 1
        if not isinstance(schema, dict) or depth > DEEPEST or self._left < 0:
            return {}
        if isinstance(reference := schema.get("$ref") or schema.get("$dynamicRef"), str):
            beside = {key: value for key, value in schema.items() if key not in ("$ref", "$dynamicRef")}
            return _both(self._one(beside, depth), self._meant(reference, depth))
        shown = _plain(schema)
        self._properties(schema, shown, depth)
        self._items(schema, shown, depth)
        self._numbers(schema, shown)
        for each in _schemas(schema.get("allOf")):
            shown = _both(shown, self._one(each, depth + 1))
        for word in ("anyOf", "oneOf"):
            if alternatives := _schemas(schema.get(word)):
                shown = _both(shown, {"anyOf": [self._one(each, depth + 1) for each in alternatives]})
        return _one_type(shown)

    def _properties(self, schema: Schema, shown: Schema, depth: int) -> None:
        if isinstance(properties := schema.get("properties"), dict):
            shown["properties"] = {
                name: _without_title(name, self._one(each, depth + 1))
                for name, each in properties.items()
                if each is not False
            }
        more = schema.get("additionalProperties")
        if isinstance(more, bool):
            shown["additionalProperties"] = more
        elif isinstance(more, dict):
            shown["additionalProperties"] = self._one(more, depth + 1)
        if more is False and schema.get("patternProperties"):
            del shown["additionalProperties"]
        if required := [each for each in _list(schema.get("required")) if isinstance(each, str)]:
            shown["required"] = required

    def _items(self, schema: Schema, shown: Schema, depth: int) -> None:
        """Providers want to know what is in a list, and know no lists with a schema for each place."""
        items = schema.get("items")
        places = _list(schema.get("prefixItems")) or (items if isinstance(items, list) else [])
        if places:
            rest = schema.get("additionalItems") if isinstance(items, list) else items
            several = [self._one(each, depth + 1) for each in (*places, *((rest,) if isinstance(rest, dict) else ()))]
            shown["items"] = several[0] if len(several) == 1 else {"anyOf": several}
            if rest is not False and not isinstance(rest, dict):
                shown["items"] = {}
        elif isinstance(items, dict):
            shown["items"] = self._one(items, depth + 1)
        elif "array" in (schema.get("type"), *_list(schema.get("type"))):
            shown["items"] = {}

    def _numbers(self, schema: Schema, shown: Schema) -> None:
        for word, bound, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            limit = schema.get(word)
            if isinstance(limit, int | float) and not isinstance(limit, bool) and bound not in shown:
                shown[bound] = limit + step if schema.get("type") == "integer" and isinstance(limit, int) else limit

    def _meant(self, reference: str, depth: int) -> Schema:
        """What a reference leads to. Inside itself, or where it leads out of the document, anything is taken."""
        found: Any = self._root
        if not reference.startswith("#"):
            return {}
        pointer = reference[1:]
        if pointer and not pointer.startswith("/"):
            found = _anchored(self._root, pointer)
        for step in pointer.split("/")[1:] if pointer.startswith("/") else ():
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                return {}
        if reference in self._open:
            kind = found.get("type") if isinstance(found, dict) else None
            return {"type": kind} if isinstance(kind, str) and kind != "array" else {}
        self._open.append(reference)
        try:
            return self._one(found, depth + 1)
        finally:
            self._open.pop()


def _plain(schema: Schema) -> Schema:
    """The words that mean the same everywhere and hold no schema."""
    shown: Schema = {}
    kinds = [kind for kind in (schema.get("type"), *_list(schema.get("type"))) if isinstance(kind, str)]
    if kinds and set(kinds) <= TYPES:
        shown["type"] = kinds[0] if len(kinds) == 1 else kinds
    said = schema.get("description") or schema.get("title")
    if isinstance(said, str) and (" " in said or "description" in schema):  # most titles are names of types
        shown["description"] = said
    values = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
    if values:
        shown["enum"] = values
    if "default" in schema:
        shown["default"] = schema["default"]
    if schema.get("format") in FORMATS:
        shown["format"] = schema["format"]
    if isinstance(schema.get("pattern"), str):
        shown["pattern"] = schema["pattern"]
    for word in NUMBERS:
        if isinstance(limit := schema.get(word), int | float) and not isinstance(limit, bool):
            shown[word] = limit
    return shown


def _both(first: Schema, second: Schema) -> Schema:
    """What takes all that both take. Where they differ the first counts, which alone takes at least as much."""
    both = {**second, **first}
    if "properties" in first and "properties" in second:
        both["properties"] = {**second["properties"], **first["properties"]}
    if required := [*first.get("required", ()), *second.get("required", ())]:
        both["required"] = list(dict.fromkeys(required))
    if False in (first.get("additionalProperties"), second.get("additionalProperties")) and first and second:
        closed, other = (first, second) if first.get("additionalProperties") is False else (second, first)
        if set(other.get("properties", ())) - set(closed.get("properties", ())):
            both.pop("additionalProperties", None)
    return both


def _absorb(shown: Schema, alternatives: Iterable[Schema]) -> None:
    """Alternatives of a whole object as one object that takes each of them."""
    branches = [each for each in alternatives if each.get("type", "object") == "object"]
    properties: dict[str, Schema] = dict(shown.get("properties", {}))
    told = []
    for branch in branches:
        for name, schema in branch.get("properties", {}).items():
            if name in shown.get("properties", {}):
                continue
            known = properties.get(name)
            properties[name] = schema if known in (None, schema) else {"anyOf": [*_alternatives(known), schema]}
        if branch.get("required"):
            told.append(", ".join(branch["required"]))
    common = set.intersection(*(set(branch.get("required", ())) for branch in branches)) if branches else set()
    shown["properties"] = properties
    shown["required"] = [*shown.get("required", ()), *sorted(common - set(shown.get("required", ())))]
    if any(branch.get("additionalProperties") is not False for branch in branches):
        shown.pop("additionalProperties", None)
    if len(told) > 1 and len(set(told)) > 1:
        wanted = f"Needs one of: {'; '.join(dict.fromkeys(told))}."
        shown["description"] = f"{shown['description']} {wanted}" if shown.get("description") else wanted


def _alternatives(schema: Schema | None) -> list[Schema]:
    if schema is None:
        return []
    return list(schema["anyOf"]) if set(schema) == {"anyOf"} else [schema]


def _one_type(shown: Schema) -> Schema:
    """Several types are alternatives, each with its own words: not everybody takes a list of types."""
    kinds = shown.get("type")
    if not isinstance(kinds, list):
        return shown
    if len(kinds) == 1:
        return {**shown, "type": kinds[0]}
    rest = {key: value for key, value in shown.items() if key != "type"}
    if "anyOf" in rest or not kinds:
        return rest
    outside: Schema = {key: rest.pop(key) for key in ("description", "default") if key in rest}
    return {**outside, "anyOf": [_of_kind(kind, rest) for kind in kinds]}


_WORDS = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "multipleOf"},
    "integer": {"minimum", "maximum", "multipleOf"},
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties"},
}
_CHECKS: Mapping[str, Any] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "array": list,
    "object": dict,
    "null": type(None),
    "boolean": bool,
}


def _of_kind(kind: Json, rest: Schema) -> Schema:
    own = {key: value for key, value in rest.items() if key in _WORDS.get(kind, ())}
    if isinstance(rest.get("enum"), list):
        values = [value for value in rest["enum"] if isinstance(value, _CHECKS.get(kind, object))]
        if values and kind != "null":
            own["enum"] = values
    return {"type": kind, **own}


def _without_title(name: str, shown: Schema) -> Schema:
    """Without the title that libraries make from the argument's name: it says nothing, and costs in every round."""
    said = shown.get("description")
    if isinstance(said, str) and _ILLEGAL.sub("_", said).lower() == name.lower():
        return {key: value for key, value in shown.items() if key != "description"}
    return shown


def _anchored(schema: Json, name: str) -> Json:
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if name in (each.get("$anchor"), each.get("$dynamicAnchor")):
                return each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return None


def _schemas(found: Json) -> list[Schema]:
    return [each for each in _list(found) if isinstance(each, dict)]


def _list(found: Json) -> list[Any]:
    return found if isinstance(found, list) else []
