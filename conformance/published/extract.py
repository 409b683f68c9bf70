"""Writes the `*.json` beside it anew: what is needed of the two published descriptions of the protocol.

    python -m conformance.published.extract OPENAI.json OPEN_RESPONSES.json

The first describes OpenAI's API and is published under the MIT licence; the second is that of Open Responses.
Kept are the schemas of what is answered, with all that they refer to, and the names of the fields that a request may
have. Prose, examples and defaults are left out, and an `allOf` is made one object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parent
REF = "#/components/schemas/"

ANSWERS = {
    "openai": (
        "Response",
        "ResponseStreamEvent",
        "ResponseItemList",
        "CompactResource",
        "TokenCountsResource",
        "ConversationResource",
        "ConversationItem",
        "ConversationItemList",
        "DeletedConversationResource",
        "CreateChatCompletionResponse",
        "CreateChatCompletionStreamResponse",
        "ErrorResponse",
        "ListModelsResponse",
        "Model",
    ),
    "open_responses": ("ResponseResource", "CompactResource", "ErrorPayload", "WebSocketErrorEvent", "ItemField"),
}
REQUESTS = {
    "openai": ("CreateResponse", "CreateChatCompletionRequest", "CompactResponseMethodPublicBody", "TokenCountsBody"),
    "open_responses": ("CreateResponseBody", "CompactResponseMethodPublicBody"),
}
_PROSE = frozenset(
    {"description", "title", "example", "examples", "default", "deprecated", "externalDocs", "discriminator", "format"}
)


def extract(name: str, described: Mapping[str, Any]) -> dict[str, Any]:
    schemas = described["components"]["schemas"]
    events = [each for each in schemas if name == "open_responses" and each.endswith("StreamingEvent")]
    kept: dict[str, Any] = {}
    wanted = [*ANSWERS[name], *events]
    while wanted:
        each = wanted.pop()
        if each not in kept:
            kept[each] = one_object(bare(schemas[each]), schemas)
            wanted += refers_to(kept[each])
    requests = {each: sorted(one_object(bare(schemas[each]), schemas)["properties"]) for each in REQUESTS[name]}
    info = {"title": described["info"]["title"], "version": described["info"]["version"]}
    return {"info": info, "requests": requests, "schemas": dict(sorted(kept.items()))}


def bare(schema: Any, of_properties: bool = False) -> Any:
    """`schema` without prose. Where a property is called like a keyword, it stays."""
    if isinstance(schema, list):
        return [bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: bare(value, of_properties=key == "properties" and not of_properties)
        for key, value in schema.items()
        if of_properties or not (key in _PROSE or key.startswith("x-"))
    }
    if not of_properties and kept.pop("nullable", False):
        return {"anyOf": [kept, {"type": "null"}]}
    return kept


def one_object(schema: Any, schemas: Mapping[str, Any]) -> Any:
    """`schema` with every `allOf` in it merged, so that an object can be closed."""
    if isinstance(schema, list):
        return [one_object(each, schemas) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if list(schema) == ["allOf"] and len(parts := [each for each in schema["allOf"] if each]) == 1:
        return one_object(parts[0], schemas)
    merged = {key: one_object(value, schemas) for key, value in schema.items() if key != "allOf"}
    for part in schema.get("allOf", ()):
        whole = one_object(bare(schemas[part["$ref"].removeprefix(REF)]) if "$ref" in part else part, schemas)
        for key, value in whole.items():
            if key == "properties":
                merged["properties"] = {**merged.get("properties", {}), **value}
            elif key == "required":
                merged["required"] = sorted({*merged.get("required", ()), *value})
            else:
                merged.setdefault(key, value)
    return merged


def refers_to(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from refers_to(each)
    elif isinstance(schema, dict):
        if isinstance(name := schema.get("$ref"), str):
            yield name.removeprefix(REF)
        for value in schema.values():
            yield from refers_to(value)


def main() -> None:
    for name, path in zip(ANSWERS, sys.argv[1:], strict=True):
        extracted = extract(name, json.loads(Path(path).read_text()))
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in extracted["schemas"].items()]
        head = json.dumps({key: value for key, value in extracted.items() if key != "schemas"}, indent=1)
        whole = head.removesuffix("\n}") + ',\n "schemas": {\n' + ",\n".join(lines) + "\n}}\n"
        (SCHEMAS / f"{name}.json").write_text(whole)


if __name__ == "__main__":
    main()
