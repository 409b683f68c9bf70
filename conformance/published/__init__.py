"""What is answered, held against the published descriptions of the protocol, as strictly as they can be read.

A schema's objects are closed: a field that it does not name is an error, unless it is one of ours. A union of objects
that say their `type` is read by it, so that an error names the field that is wrong and not "none of thirty".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

SCHEMAS = Path(__file__).parent
REF = "#/components/schemas/"
NULL = {"type": "null"}

OURS: Mapping[str, frozenset[str]] = {
    "openai": frozenset({"x_woollama", "at_fault"}),
    "open_responses": frozenset({"x_woollama", "at_fault", "user", "conversation"}),
}
"""Fields that we add everywhere: what was done to a request, who is at fault. Open Responses lacks two of OpenAI's."""

_OF_NOTHING = {"first_id": {"type": ["string", "null"]}, "last_id": {"type": ["string", "null"]}}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_STATUS = {"enum": ["in_progress", "completed", "incomplete"]}
BEYOND: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "openai": {
        # Open Responses requires these, and the service sends them.
        "Response": {
            "store": {"type": "boolean"},
            "presence_penalty": {"type": "number"},
            "frequency_penalty": {"type": "number"},
            # OpenAI's SDK knows more reasons than its description.
            "incomplete_details": {
                "type": ["object", "null"],
                "properties": {"reason": {"enum": ["max_output_tokens", "content_filter", "max_messages"]}},
                "required": ["reason"],
            },
            # Not known before the end: Open Responses says so, and the service does so.
            "usage": {"anyOf": [{"$ref": f"{REF}ResponseUsage"}, NULL]},
        },
        # The error of a stream is said flat by OpenAI and as an object by Open Responses: we do both.
        "ResponseErrorEvent": {"error": {"type": "object"}},
        # Open Responses wants it said, and the service says null.
        "TextResponseFormatJsonSchema": {"description": {"type": ["string", "null"]}},
        "CustomToolCall": {"status": _STATUS},
        "CustomToolCallOutput": {"status": _STATUS},
        # Only the events of a stream leave out what their items have.
        "ResponseLogProb": {
            "bytes": {"type": "array", "items": {"type": "integer"}},
            "top_logprobs": {"type": "array", "items": {"$ref": f"{REF}TopLogProb"}},
        },
        # A list of nothing has no first.
        "ResponseItemList": _OF_NOTHING,
        "ConversationItemList": _OF_NOTHING,
        # What Anthropic's SDK reads of the same objects.
        "Model": {"type": {"const": "model"}, "display_name": {"type": "string"}, "created_at": {"type": "string"}},
        "ListModelsResponse": {**_OF_NOTHING, "has_more": {"const": False}},
        # What a panel lists a conversation by.
        "ConversationResource": {
            "key": {"type": ["string", "null"]},
            "title": {"type": ["string", "null"]},
            "model": {"type": ["string", "null"]},
            "backend": {"type": ["string", "null"]},
            "status": {"enum": ["active", "dead"]},
            "updated_at": {"type": "integer"},
        },
    },
    "open_responses": {
        # It says that this is null, and means the object.
        "JsonSchemaResponseFormat": {"schema": {"type": ["object", "null"]}},
        # OpenAI's description has these.
        "ReasoningBody": {"status": _STATUS},
        "ErrorStreamingEvent": {"code": _TEXT_OR_NULL, "message": {"type": "string"}, "param": _TEXT_OR_NULL},
        "FunctionCall": {"namespace": {"type": "string"}},
        "ResponseFunctionCallArgumentsDoneStreamingEvent": {"name": {"type": "string"}},
        "InputTokensDetails": {"cache_write_tokens": {"type": "integer"}},
    },
}
"""Fields beyond a schema, and what they are."""


class Invalid(AssertionError):
    """What was answered is not what is published."""


def check(source: str, name: str, value: Any) -> None:
    """Raises `Invalid` with every mistake in `value`, which should be a `name` of `source`."""
    found = [
        f"{'.'.join(map(str, error.instance_path))}: {error.message[:300]}"
        for error in _validator(source, name).iter_errors(value)
    ]
    if found:
        raise Invalid(f"no {name} of {source}:\n" + "\n".join(found) + "\n" + json.dumps(value)[:2000])


def check_response(response: Mapping[str, Any]) -> None:
    """A Response by both. Open Responses is asked about the items and tools that it knows."""
    check("openai", "Response", response)
    known = [item for item in response["output"] if item["type"] in item_types()]
    tools = [tool for tool in response["tools"] if tool["type"] == "function"]
    choice = response["tool_choice"]
    plain = choice if isinstance(choice, str) or choice["type"] in ("function", "allowed_tools") else "auto"
    check("open_responses", "ResponseResource", {**response, "output": known, "tools": tools, "tool_choice": plain})


def check_event(wire: Mapping[str, Any]) -> None:
    """An event of a stream, by both."""
    check("openai", events("openai")[wire["type"]], wire)
    if "response" in wire:
        check_response(wire["response"])
    elif (name := events("open_responses").get(wire["type"])) and wire.get("item", {}).get("type") in (
        None,
        *item_types(),
    ):
        check("open_responses", name, wire)


@cache
def described(source: str) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads((SCHEMAS / f"{source}.json").read_text())
    return whole


@cache
def events(source: str) -> Mapping[str, str]:
    """The name of each stream event's schema, by its `type`."""
    schemas = described(source)["schemas"]
    if source == "openai":
        named = [each["$ref"].removeprefix(REF) for each in schemas["ResponseStreamEvent"]["anyOf"]]
    else:
        named = [each for each in schemas if each.endswith("StreamingEvent")]
    return {kind: each for each in named for kind in _types(schemas[each])}


@cache
def item_types() -> frozenset[str]:
    """The items that Open Responses knows; all others are extensions of a provider, which it allows."""
    return frozenset(
        kind
        for each in described("open_responses")["schemas"]["ItemField"]["oneOf"]
        for kind in _types(described("open_responses")["schemas"][each["$ref"].removeprefix(REF)])
    )


@cache
def _validator(source: str, name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"{REF}{name}", "components": {"schemas": _closed_schemas(source)}})


@cache
def _closed_schemas(source: str) -> Mapping[str, Any]:
    schemas = described(source)["schemas"]
    wider = {
        name: {**schema, "properties": {**schema["properties"], **BEYOND[source][name]}}
        if name in BEYOND[source]
        else schema
        for name, schema in schemas.items()
    }
    return {name: _closed(schema, schemas, OURS[source]) for name, schema in wider.items()}


def _closed(schema: Any, schemas: Mapping[str, Any], ours: frozenset[str]) -> Any:
    if isinstance(schema, list):
        return [_closed(each, schemas, ours) for each in schema]
    if not isinstance(schema, dict):
        return schema
    for union in ("oneOf", "anyOf"):
        branches = schema.get(union, ())
        rest = {key: value for key, value in schema.items() if key != union}
        others = [each for each in branches if each != NULL]
        if len(others) == 1 and len(branches) == 2:
            one = _closed(others[0], schemas, ours)
            return {**_closed(rest, schemas, ours), "if": {"not": NULL}, "then": one}
        if by_type := _by_type(others, schemas):
            return {**_closed(rest, schemas, ours), **_switch(by_type, schemas, ours, may_be_null=NULL in branches)}
    made = {
        key: {name: _closed(each, schemas, ours) for name, each in value.items()}
        if key == "properties"
        else _closed(value, schemas, ours)
        for key, value in schema.items()
    }
    if schema.get("properties") and schema.get("additionalProperties") in (None, False):
        made["properties"] = {**dict.fromkeys(ours, True), **made["properties"]}
        made["additionalProperties"] = False
        # one resource requires a field that it does not describe
        made["required"] = [name for name in schema.get("required", ()) if name in schema["properties"]]
    return made


def _by_type(branches: Sequence[Any], schemas: Mapping[str, Any]) -> Mapping[str, list[Any]]:
    """The branches of a union by the types that they say; nothing where one says none."""
    found: dict[str, list[Any]] = {}
    for branch in branches:
        kinds = _types(schemas[branch["$ref"].removeprefix(REF)] if "$ref" in branch else branch)
        if not kinds:
            return {}
        for kind in kinds:
            found.setdefault(kind, []).append(branch)
    return found if len(found) > 1 else {}


def _switch(
    by_type: Mapping[str, list[Any]], schemas: Mapping[str, Any], ours: frozenset[str], *, may_be_null: bool
) -> dict[str, Any]:
    of_type = [
        {
            "if": {"type": "object", "properties": {"type": {"const": kind}}, "required": ["type"]},
            "then": closed[0] if len(closed) == 1 else {"anyOf": closed},
        }
        for kind, branches in by_type.items()
        if (closed := [_closed(branch, schemas, ours) for branch in branches])
    ]
    known = {
        "if": {"type": "object"},
        "then": {"properties": {"type": {"enum": sorted(by_type)}}, "required": ["type"]},
    }
    return {"type": ["object", "null"] if may_be_null else "object", "allOf": [known, *of_type]}


def _types(schema: Any) -> Sequence[str]:
    said = schema.get("properties", {}).get("type", {}) if isinstance(schema, dict) else {}
    return [said["const"]] if "const" in said else said.get("enum", ())
