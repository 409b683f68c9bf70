"""The tool with which a model has back what was left out of a result: the same in every place that offers it."""

from __future__ import annotations

from woollama.domain.messages import Json
from woollama.domain.tools import Function, Tool

SERVER = "woollama"
NAME = "retrieve"
WIRE_NAME = f"{SERVER}__{NAME}"
DESCRIPTION = (
    "Get back what was left out of a tool result. A result that begins with [woollama: ... left out, ref ...] was"
    " shortened; give its ref, and say which part you need. Without a part all of it comes back, which may be long."
)
_RANGE = {"type": "string", "pattern": r"^\s*\d+\s*(-\s*\d*\s*)?$"}
SCHEMA: Json = {
    "type": "object",
    "properties": {
        "ref": {"type": "string", "description": "the 32 digits after `ref` in the shortened result"},
        "query": {"type": "string", "description": "words to look for: gives the rows or lines that have them"},
        "rows": {**_RANGE, "description": "records or table rows a-b, counted from 1"},
        "lines": {**_RANGE, "description": "lines a-b, counted from 1"},
        "path": {"type": "string", "description": "a place in JSON, such as results[3].title"},
        "max_tokens": {"type": "integer", "minimum": 1, "description": "no more than about this"},
    },
    "required": ["ref"],
    "additionalProperties": False,
}
TOOL = Tool(
    SERVER,
    NAME,
    {
        "name": NAME,
        "title": "Get back what was left out",
        "description": DESCRIPTION,
        "inputSchema": SCHEMA,
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
)
FUNCTION = Function(WIRE_NAME, DESCRIPTION, SCHEMA, tool=TOOL)
