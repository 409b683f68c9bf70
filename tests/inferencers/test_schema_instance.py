from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from woollama.inferencers.schema_instance import instance_of

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name", "kids"],
}


@pytest.mark.parametrize(
    ("schema", "text", "instance"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "", {}),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, "words", {"a": "words"}),
        ({"properties": {"n": {"type": "integer", "minimum": 5}}, "required": ["n"]}, "3 or 7", {"n": 7}),
        ({"type": "integer", "minimum": 5}, "", 5),
        ({"type": "integer", "maximum": -5}, "", -5),
        ({"type": "number"}, "about 2.5 of 3", 2.5),
        ({"type": ["null", "string"]}, "", None),
        ({"type": "boolean"}, "", False),
        ({"type": "string", "maxLength": 3}, "long", "lon"),
        ({"type": "string", "minLength": 3}, "x", "x  "),
        ({"type": "array", "items": {"const": 1}, "minItems": 2}, "", [1, 1]),
        ({"enum": ["red", "dark blue"]}, "a Blue one", "dark blue"),
        ({"type": "string", "examples": ["Asia/Tokyo", "America/New_York"]}, "in New York?", "America/New_York"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "", 0),
        ({"allOf": [{"required": ["a"]}, {"properties": {"a": {"const": 1}}, "required": ["a"]}]}, "", {"a": 1}),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": "found"}}}, "", "found"),
        (TREE, "oak", {"name": "oak", "kids": []}),
        (True, "", {}),
    ],
)
def test_the_instance_is_small_and_fits(schema: Any, text: str, instance: Any) -> None:
    assert instance_of(schema, text) == instance
    Draft202012Validator(schema).validate(instance)


def test_a_schema_that_nothing_finite_fits_is_an_error() -> None:
    with pytest.raises(RecursionError):
        instance_of({"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]})
