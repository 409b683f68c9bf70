"""The schema that models are shown: in words that every provider takes, and taking all that the tool takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import jsonschema
import pytest
from hypothesis import given, settings

from woollama.toolservers.offered import MOST_SCHEMAS, offered, own_names

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
REF = {"$ref": "#/$defs/t"}
DEFS = {"$defs": {"t": {**TEXT, "description": "the type's own"}}}
WORDS = {
    *("type", "properties", "required", "items", "enum", "anyOf", "additionalProperties", "description", "default"),
    *("format", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "multipleOf"),
}
"""What OpenAI's, Anthropic's and Google's APIs all take."""


def schemas_in(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
        for each in (*inner, schema.get("items"), schema.get("additionalProperties")):
            yield from schemas_in(each)


def require_plain(schema: Any) -> None:
    """What the strictest of them wants of a function's parameters."""
    assert schema["type"] == "object"
    assert isinstance(schema["properties"], dict)
    assert not {"anyOf", "enum"} & set(schema)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) for name in schema["properties"])
    for each in schemas_in(schema):
        assert set(each) <= WORDS, each
        assert isinstance(each.get("type", "string"), str)
        assert each.get("type") != "array" or "items" in each
        assert each.get("required", ["x"])


@pytest.mark.parametrize(
    ("schema", "properties"),
    [
        ({}, {}),
        ({"type": "object"}, {}),
        ({"$schema": "http://x/draft-07/schema#", "properties": {"a": {"const": 3}}}, {"a": {"enum": [3]}}),
        ({"properties": {"a": {"type": ["string", "null"]}}}, {"a": {"anyOf": [TEXT, {"type": "null"}]}}),
        ({"properties": {"a": {"type": "array"}}}, {"a": {"type": "array", "items": {}}}),
        ({"properties": {"a": {"type": "array", "items": [TEXT], "additionalItems": False}}}, {"a": TEXTS}),
        ({"properties": {"a": {"oneOf": [TEXT, {"type": "null"}]}}}, {"a": {"anyOf": [TEXT, {"type": "null"}]}}),
        (
            {"properties": {"a": {"allOf": [REF], "description": "said"}}, **DEFS},
            {"a": {**TEXT, "description": "said"}},
        ),
        ({"properties": {"a": {"$ref": "#/definitions/t"}}, "definitions": {"t": TEXT}}, {"a": TEXT}),
        ({"properties": {"a": {"$ref": "#word"}}, "$defs": {"t": {**TEXT, "$anchor": "word"}}}, {"a": TEXT}),
        ({"properties": {"a": {"$ref": "http://elsewhere.example/t.json"}}}, {"a": {}}),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, {"a": {}}),
        ({"properties": {"a": {"type": "integer", "exclusiveMinimum": 0}}}, {"a": {"type": "integer", "minimum": 1}}),
        ({"properties": {"repo_path": {**TEXT, "title": "Repo Path"}}}, {"repo_path": TEXT}),
        ({"properties": {"a": {"type": "string", "format": "uint32"}}}, {"a": TEXT}),
        ({"properties": {"a": {"type": "any"}, "b": True}}, {"a": {}, "b": {}}),
    ],
)
def test_what_a_provider_refuses_is_said_in_other_words(schema: dict[str, Any], properties: dict[str, Any]) -> None:
    shown = offered(schema)
    require_plain(shown)
    assert shown["properties"] == properties


def test_alternatives_of_all_arguments_are_arguments_of_one_call() -> None:
    by_name = {"properties": {"name": TEXT, "kind": TEXT}, "required": ["name", "kind"]}
    by_id = {"properties": {"id": {"type": "integer"}, "kind": TEXT}, "required": ["id", "kind"]}
    shown = offered({"type": "object", "description": "Finds it.", "oneOf": [by_name, by_id]})
    require_plain(shown)
    assert list(shown["properties"]) == ["name", "kind", "id"]
    assert shown["required"] == ["kind"]
    assert shown["description"] == "Finds it. Needs one of: name, kind; id, kind."


def test_a_schema_that_contains_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "value": TEXT}}
    shown = offered({"properties": {"list": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}})
    require_plain(shown)
    assert shown["properties"]["list"]["properties"]["next"] == {"type": "object"}
    require_plain(offered({"$ref": "#"}))


def test_references_that_would_become_endless_are_cut() -> None:
    levels = {f"l{n}": {"properties": {key: {"$ref": f"#/$defs/l{n + 1}"} for key in "abcdefgh"}} for n in range(12)}
    shown = offered({"properties": {"a": {"$ref": "#/$defs/l0"}}, "$defs": {**levels, "l12": TEXT}})
    require_plain(shown)
    assert len(json.dumps(shown)) < 60 * MOST_SCHEMAS


def test_a_name_that_providers_refuse_is_another_and_leads_back() -> None:
    names = ["$filter", "filter", "a b", "x" * 80, "ü"]
    schema = {"type": "object", "properties": dict.fromkeys(names, TEXT), "required": ["$filter", "a b"]}
    shown, own = offered(schema), own_names(schema)
    require_plain(shown)
    assert [own.get(name, name) for name in shown["properties"]] == names
    assert [own[name] for name in shown["required"]] == ["$filter", "a b"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)
KINDS = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])


def _schema(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": KINDS | st.lists(KINDS, min_size=1, max_size=3, unique=True),
            "properties": st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=2),
            "required": st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True),
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(st.just("^a"), inner, max_size=1),
            "items": inner,
            "prefixItems": several,
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "not": inner,
            "const": JSON,
            "enum": st.lists(JSON, min_size=1, max_size=3),
            "minimum": st.integers(-2, 2),
            "exclusiveMinimum": st.integers(-2, 2),
            "maxLength": st.integers(0, 2),
            "$ref": st.sampled_from(["#/$defs/x", "#/$defs/none"]),
        },
    )


SCHEMAS = st.recursive(st.booleans() | _schema(st.booleans()), _schema, max_leaves=6)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_the_tool_takes_fits_what_the_model_is_shown(data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS.filter(lambda each: isinstance(each, dict)))
    schema = {**schema, "$defs": {"x": data.draw(SCHEMAS)}}
    arguments = data.draw(st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON, max_size=3))
    shown = offered(schema)
    require_plain(shown)
    try:
        is_taken = jsonschema.Draft202012Validator(schema).is_valid(arguments)
    except Exception:  # a reference to nowhere, or to itself
        return
    if is_taken:
        jsonschema.validate(arguments, shown, jsonschema.Draft202012Validator)
