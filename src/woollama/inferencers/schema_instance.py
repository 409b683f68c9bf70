"""A small instance of a JSON Schema, with words of a text where they fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from woollama.domain.messages import Json

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORDS = re.compile(r"[^\W_]+")
_DEEPEST = 32


def instance_of(schema: Mapping[str, Json] | bool, text: str = "") -> Json:
    """The smallest value that fits, as far as types, choices, required members and limits go.

    Of several allowed or exemplary values the one that shares most words with `text` is taken; a free string becomes
    `text` itself, a number the first one in it. Patterns and formats are not honoured.
    """
    return _Instance(schema, text).of(schema, 0)


class _Instance:
    def __init__(self, root: Mapping[str, Json] | bool, text: str) -> None:
        self._root = root
        self._text = text
        self._words = _words_of(text)

    def of(self, schema: Mapping[str, Json] | bool, depth: int) -> Json:
        if depth > _DEEPEST:
            raise RecursionError("the schema has no finite instance")
        if isinstance(schema, bool):
            return {}
        if "$ref" in schema:
            return self.of(self._at(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._nearest(schema["enum"])
        for branches in ("anyOf", "oneOf"):
            if branches in schema:
                return self.of({**_rest(schema, branches), **schema[branches][0]}, depth + 1)
        if "allOf" in schema:
            return self.of(_merged([_rest(schema, "allOf"), *schema["allOf"]]), depth + 1)
        return self._of_type(schema, depth)

    def _of_type(self, schema: Mapping[str, Json], depth: int) -> Json:
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        match kind[0] if isinstance(kind, list) else kind:
            case "object":
                properties = schema.get("properties") or {}
                return {name: self.of(properties.get(name, True), depth + 1) for name in schema.get("required") or ()}
            case "array":
                return [self.of(schema.get("items", True), depth + 1) for _ in range(schema.get("minItems") or 0)]
            case "integer":
                return int(self._number(schema))
            case "number":
                return self._number(schema)
            case "boolean":
                return bool(schema.get("default", False))
            case "null":
                return None
            case _:
                return self._string(schema)

    def _string(self, schema: Mapping[str, Json]) -> str:
        if schema.get("examples"):
            return str(self._nearest(schema["examples"]))
        return str(schema.get("default", self._text)).ljust(schema.get("minLength") or 0)[: schema.get("maxLength")]

    def _number(self, schema: Mapping[str, Json]) -> float:
        least, most = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
        candidates = [*map(float, _NUMBER.findall(self._text)), *schema.get("examples", ()), schema.get("default", 0)]
        fitting = (float(number) for number in candidates if least <= number <= most)
        number = next(fitting, least if least > float("-inf") else most)
        return int(number) if number == int(number) else number

    def _nearest(self, values: Sequence[Json]) -> Json:
        return max(values, key=lambda value: len(_words_of(str(value)) & self._words))

    def _at(self, reference: str) -> Mapping[str, Json] | bool:
        found: Json = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            found = found[int(name)] if isinstance(found, list) else found[name]
        return cast("Mapping[str, Json] | bool", found)


def _words_of(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORDS.findall(text))


def _rest(schema: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    return {name: value for name, value in schema.items() if name != key}


def _merged(schemas: Iterable[Mapping[str, Json]]) -> Mapping[str, Json]:
    merged: dict[str, Json] = {}
    for schema in schemas:
        for key, value in schema.items():
            if key == "properties":
                value = {**merged.get(key, {}), **value}
            elif key == "required":
                value = [*merged.get(key, ()), *value]
            merged[key] = value
    return merged
