"""The tools `compress` and `retrieve`: a host makes its own texts smaller, and has back what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from woollama.domain import retrieve_tool
from woollama.domain.messages import Json
from woollama.domain.ports import Shrinker

COMPRESS = "compress"
RETRIEVE = retrieve_tool.NAME
NAMES = (COMPRESS, RETRIEVE)
_LEVELS = ("off", "lossless", "auto", "aggressive")
_SCHEMA: Json = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "output of a tool: JSON, a log, matches, a diff, a page"},
        "query": {"type": "string", "description": "what it was fetched for; what answers it stays"},
        "tool": {"type": "string", "description": "the tool that it comes from"},
        "level": {"type": "string", "enum": list(_LEVELS), "description": "lossless leaves nothing out (auto)"},
    },
    "required": ["text"],
    "additionalProperties": False,
}


def definitions() -> list[dict[str, Json]]:
    """As `tools/list` gives them."""
    return [
        {
            "name": COMPRESS,
            "title": "Make a text smaller",
            "description": (
                "Make the output of a tool smaller. What matters stays in line; a text that something was left out of"
                " begins with [woollama: ... ref ...], and `retrieve` gives back all of it or a part."
            ),
            "inputSchema": _SCHEMA,
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        },
        {**retrieve_tool.TOOL.raw},
    ]


async def call(shrinker: Shrinker, name: str, arguments: Mapping[str, Any]) -> str:
    """The text of the result. Raises `LookupError` and `ValueError`, whose message is for the model."""
    if name == RETRIEVE:
        if not isinstance(arguments.get("ref"), str):
            raise ValueError("`ref` must be a text: the digits after `ref` in a shortened result")
        return await shrinker.retrieve(arguments, recipe="mcp")
    text, level = arguments.get("text"), arguments.get("level", "auto")
    if not isinstance(text, str):
        raise ValueError("`text` must be a text")
    if level not in _LEVELS:
        raise ValueError(f"`level` must be one of {', '.join(_LEVELS)}")
    tool, query = str(arguments.get("tool") or ""), str(arguments.get("query") or "")
    hints = shrinker.hints(tool)
    shrunk = await shrinker.shrink(text, level=level, query=query, tool=tool, recipe="mcp", hints=hints)
    return shrunk.text
