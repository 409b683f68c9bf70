"""The wish for an answer of some form, which OpenAI's two dialects say almost alike."""

from __future__ import annotations

from woollama.domain.errors import BadRequest
from woollama.domain.turns import ResponseFormat
from woollama.surfaces.fields import Fields


def decode_format(fields: Fields, name: str, *, nested: bool) -> ResponseFormat | None:
    """What stands under `name`. A schema and its name are in a `json_schema` of their own where `nested`."""
    raw = fields.object(name)
    if raw is None:
        return None
    given = Fields.of(raw, f"{fields.path}.{name}" if fields.path else name)
    match given.text("type"):
        case "text":
            return ResponseFormat("text")
        case "json_object":
            return ResponseFormat("json_object")
        case "json_schema":
            named = Fields.of(given.object("json_schema") or {}, f"{given.path}.json_schema") if nested else given
            schema = named.object("schema")
            if schema is None:
                raise BadRequest("a json_schema format needs a `schema`", param=f"{named.path}.schema")
            strict, description = named.boolean("strict"), named.text("description")
            return ResponseFormat("json_schema", named.text("name"), schema, strict, description)
        case other:
            raise BadRequest(f"unknown format {other!r}", param=f"{given.path}.type")
