"""The two tools that stand for many: one that finds tools, one that calls what was found."""

from __future__ import annotations

from typing import Any

from woollama.domain.tools import Function, Tool

SERVER = "woollama"
FIND = "woollama__find_tools"
CALL = "woollama__call_tool"
MOST_FOUND = 8

_READ_ONLY = {"readOnlyHint": True}
_FIND: dict[str, Any] = {
    "name": "find_tools",
    "inputSchema": {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What the tool should do, in a few words."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50, "description": f"At most ({MOST_FOUND})."},
        },
        "required": ["query"],
        "additionalProperties": False,
    },
    "annotations": _READ_ONLY,
}
_CALL: dict[str, Any] = {
    "name": "call_tool",
    "description": f"Call a tool that {FIND} has found.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": f"The tool's name, as {FIND} gave it."},
            "arguments": {"type": "object", "description": "Its arguments, as its parameters say."},
        },
        "required": ["name"],
        "additionalProperties": False,
    },
}


def find_function(description: str) -> Function:
    """`description` says which tools there are to find."""
    raw = {**_FIND, "description": description}
    return Function(FIND, description, raw["inputSchema"], tool=Tool(SERVER, raw["name"], raw))


CALL_FUNCTION = Function(CALL, _CALL["description"], _CALL["inputSchema"], tool=Tool(SERVER, _CALL["name"], _CALL))
