"""How a route is described: what it is for, what it takes, what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]
JSON = "application/json"
EVENTS = "text/event-stream"
FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Answer:
    """`contents` by media type; a media type without a schema carries bytes or text of its own kind."""

    description: str
    contents: Mapping[str, Schema] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Body:
    contents: Mapping[str, Schema]
    example: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """`parameters` says what the parts of the path in braces are, `query` what may stand behind it.

    `unix_only`: refused over TCP. `error` is the shape of its errors.
    """

    tag: str
    summary: str
    description: str = ""
    body: Body | None = None
    answers: Mapping[int, Answer] = field(default_factory=dict)
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    query: Mapping[str, Schema] = field(default_factory=dict)
    unix_only: bool = False
    error: str = "Error"


def ref(name: str) -> Schema:
    """A schema of `shapes`, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def answers(schema: Schema, description: str = "The answer") -> Mapping[int, Answer]:
    return {200: Answer(description, {JSON: schema})}


def table(
    description: str = "", /, *, opened: bool = False, optional: Mapping[str, Schema] | None = None, **needed: Schema
) -> dict[str, Any]:
    """An object with these members; an `opened` one may have others beside them."""
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "properties": {**needed, **(optional or {})},
        **({"required": list(needed)} if needed else {}),
        **({} if opened else {"additionalProperties": False}),
    }


def array(items: Schema) -> dict[str, Any]:
    return {"type": "array", "items": items}


def text(description: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "string", **({"description": description} if description else {}), **more}


def whole(description: str = "") -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, **({"description": description} if description else {})}


def number(description: str) -> dict[str, Any]:
    return {"type": "number", "description": description}


def maybe(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def flag(description: str = "") -> dict[str, Any]:
    return {"type": "boolean", **({"description": description} if description else {})}
