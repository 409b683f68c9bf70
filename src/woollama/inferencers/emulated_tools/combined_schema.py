"""One JSON Schema that allows calls of several tools, each with arguments of its own schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from woollama.domain.messages import Json
from woollama.domain.tools import Function

NO_ARGUMENTS: Mapping[str, Json] = {"type": "object", "properties": {}, "additionalProperties": False}

_MAPS_OF_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"const", "enum", "default", "examples", "example"})
_OF_A_DOCUMENT = frozenset({"$schema", "$id"})
_SHAPES = frozenset({"properties", "patternProperties", "additionalProperties", "$ref", "anyOf", "oneOf", "allOf"})


def calls_schema(functions: Sequence[Function], *, least: int, most: int) -> Mapping[str, Json]:
    """Fits `{"calls": [{"name": …, "arguments": {…}}, …]}` with `least` to `most` calls of `functions`."""
    one_call = [
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "const": function.name},
                "arguments": {"$ref": f"#/$defs/{function.name}"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for function in functions
    ]
    calls = {"type": "array", "items": {"anyOf": one_call}, "minItems": least, "maxItems": most}
    return {
        "type": "object",
        "properties": {"calls": calls},
        "required": ["calls"],
        "additionalProperties": False,
        "$defs": {
            function.name: moved(arguments_schema(function), f"#/$defs/{function.name}") for function in functions
        },
    }


def arguments_schema(function: Function) -> Mapping[str, Json]:
    """The schema of a function's arguments; without properties of any kind it allows `{}` alone.

    JSON Schema would allow everything there, and a model that may write anything does.
    """
    schema = function.exemplified
    return schema if any(schema.get(key) for key in _SHAPES) else NO_ARGUMENTS


def moved(schema: Mapping[str, Json], place: str) -> Json:
    """`schema` as it must read at `place` in a larger document: its references to itself follow it there."""
    return _moved(schema, str(schema.get("$id") or ""), place)


def _moved(schema: Json, own_id: str, place: str) -> Json:
    if isinstance(schema, list):
        return [_moved(each, own_id, place) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    result: dict[str, Json] = {}
    for key, value in schema.items():
        if key in _OF_A_DOCUMENT:
            continue
        if key == "$ref" and isinstance(value, str):
            result[key] = _followed(value, own_id, place)
        elif key in _DATA:
            result[key] = value
        elif key in _MAPS_OF_SCHEMAS and isinstance(value, Mapping):
            # The keys are names that somebody chose: a property may be called "$ref" or "enum".
            result[key] = {name: _moved(each, own_id, place) for name, each in value.items()}
        else:
            result[key] = _moved(value, own_id, place)
    return result


def _followed(reference: str, own_id: str, place: str) -> str:
    local = reference.removeprefix(own_id) if own_id else reference
    if local == "" or local == "#":
        return place
    return place + local[1:] if local.startswith("#/") else reference
