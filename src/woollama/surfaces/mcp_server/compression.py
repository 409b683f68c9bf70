"""The tools `compress` and `retrieve`: a host makes its own texts smaller, and has back what was left out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from woollama.domain import retrieve_tool
from woollama.domain.messages import Json
from woollama.domain.ports import Shrinker

COMPRESS = "compress"
RETRIEVE = retrieve_tool.NAME
NAMES = (COMPRESS, RETRIEVE)
REMEMBERED = 20_000
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


class Refs:
    """Which refs were given out to whom: only they get the original back. The latest are kept."""

    def __init__(self) -> None:
        self._given: OrderedDict[tuple[str, str], None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Refs, {len(self._given)} given out>"

    def add(self, whom: str, ref: str) -> None:
        self._given[whom, ref] = None
        self._given.move_to_end((whom, ref))
        while len(self._given) > REMEMBERED:
            self._given.popitem(last=False)

    def has(self, whom: str, ref: str) -> bool:
        return (whom, ref) in self._given


async def call(shrinker: Shrinker, refs: Refs, whom: str, name: str, arguments: Mapping[str, Any]) -> str:
    """The text of the result. Raises `LookupError` and `ValueError`, whose message is for the model."""
    if name == RETRIEVE:
        ref = arguments.get("ref")
        if not isinstance(ref, str):
            raise ValueError("`ref` must be a text: the digits after `ref` in a shortened result")
        if not refs.has(whom, ref):
            raise LookupError(f"no text was shortened under {ref!r} here: call `compress`, or the tool, again")
        return await shrinker.retrieve(arguments, recipe="mcp")
    text, level = arguments.get("text"), arguments.get("level", "auto")
    if not isinstance(text, str):
        raise ValueError("`text` must be a text")
    if level not in _LEVELS:
        raise ValueError(f"`level` must be one of {', '.join(_LEVELS)}")
    tool, query = str(arguments.get("tool") or ""), str(arguments.get("query") or "")
    hints = shrinker.hints(tool)
    shrunk = await shrinker.shrink(text, level=level, query=query, tool=tool, recipe="mcp", hints=hints)
    for ref in shrunk.refs:
        refs.add(whom, ref)
    return shrunk.text
