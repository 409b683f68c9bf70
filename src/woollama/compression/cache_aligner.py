"""CacheAligner: keeps what a provider may have cached as it was, and says what broke it.

For programs that send their own requests. `align` puts tools in one order, whatever order they were found in, and
touches nothing else: texts and `cache_control` stay byte for byte. `compare` names the first part that differs from
the request before. The daemon watches its own prompts with `core.prefixes`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` is the first part that differs, `at_byte` where it begins in the part of the request that is cached."""

    what: str
    at_byte: int


class CacheAligner:
    def align(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request with its tools in the order of their names; one that ends a cached part keeps its place."""
        tools = request.get("tools")
        if not isinstance(tools, list) or any("cache_control" in tool for tool in tools if isinstance(tool, Mapping)):
            return dict(request)
        return {**request, "tools": sorted(tools, key=_tool_name)}

    def compare(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference | None:
        """Where `after` no longer begins as `before` did; `None`: all that was sent is still its beginning."""
        at_byte = 0
        rest = list(_parts(after))
        for index, (name, data) in enumerate(_parts(before)):
            if index >= len(rest) or rest[index][1] != data:
                return Difference(name, at_byte)
            at_byte += len(data)
        return None


def _parts(request: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for tool in request.get("tools") or ():
        yield f"tool {_tool_name(tool)}", _bytes(tool)
    for key in ("system", "instructions"):
        if key in request:
            yield key, _bytes(request[key])
    messages: Sequence[Any] = request.get("messages") or request.get("input") or ()
    for number, message in enumerate([messages] if isinstance(messages, str) else messages, 1):
        yield f"message {number}", _bytes(message)


def _tool_name(tool: Any) -> str:
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else {}
    return str(inner.get("name", "")) if isinstance(inner, Mapping) else ""


def _bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
