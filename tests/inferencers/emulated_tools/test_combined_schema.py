from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from woollama.domain.tools import Function
from woollama.inferencers.emulated_tools.combined_schema import arguments_schema, calls_schema

POINT = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"], "additionalProperties": False}
MOVE = Function(
    "move",
    parameters={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.test/move",
        "type": "object",
        "properties": {
            "to": {"$ref": "#/$defs/Point"},
            "via": {"type": "array", "items": {"$ref": "https://example.test/move#/$defs/Point"}},
            "$ref": {"type": "string", "enum": ["#/$defs/Point"]},
        },
        "required": ["to"],
        "additionalProperties": {"type": "integer"},
        "$defs": {"Point": POINT},
    },
)
PLANT = Function(
    "plant",
    parameters={
        "type": "object",
        "properties": {"root": {"$ref": "#/definitions/Point"}, "branches": {"type": "array", "items": {"$ref": "#"}}},
        "additionalProperties": False,
        "definitions": {"Point": {"type": "string"}},
    },
)
STOP = Function("stop")


def fits(calls: list[dict[str, Any]], least: int = 0, most: int = 4) -> bool:
    schema = calls_schema([MOVE, PLANT, STOP], least=least, most=most)
    Draft202012Validator.check_schema(schema)
    try:
        Draft202012Validator(schema).validate({"calls": calls})
    except ValidationError:
        return False
    return True


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def test_no_call_and_several_calls_fit() -> None:
    assert fits([])
    assert fits([call("move", to={"x": 1}), call("plant"), call("stop")])


def test_the_number_of_calls_is_bounded() -> None:
    assert not fits([], least=1)
    assert not fits([call("stop")] * 2, most=1)


def test_an_unknown_tool_or_one_without_arguments_does_not_fit() -> None:
    assert not fits([call("dance")])
    assert not fits([{"name": "stop"}])


@pytest.mark.parametrize("wrong", [{"to": {"y": 1}}, {"to": {"x": 1, "z": 1}}, {}, {"to": {"x": 1}, "more": "text"}])
def test_each_tools_own_schema_decides_about_its_arguments(wrong: dict[str, Any]) -> None:
    assert not fits([call("move", **wrong)])


def test_extra_properties_of_the_declared_kind_fit() -> None:
    assert fits([call("move", to={"x": 1}, more=3)])


def test_equal_names_of_definitions_stay_apart_and_recursion_stays_inside_its_tool() -> None:
    assert fits([call("plant", root="deep", branches=[{"root": "a", "branches": [{}]}])])
    assert not fits([call("plant", root={"x": 1})])
    assert not fits([call("plant", branches=[{"to": {"x": 1}}])])
    assert not fits([call("move", to={"x": 1}, via=["deep"])])


def test_a_property_named_like_a_keyword_is_a_property() -> None:
    assert fits([{"name": "move", "arguments": {"to": {"x": 1}, "$ref": "#/$defs/Point"}}])
    assert not fits([{"name": "move", "arguments": {"to": {"x": 1}, "$ref": "other"}}])


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}, {"type": "object", "properties": {}}])
def test_a_tool_without_parameters_takes_nothing(parameters: dict[str, Any] | None) -> None:
    assert arguments_schema(Function("stop", parameters=parameters))["additionalProperties"] is False
