"""CCR: compress, cache, retrieve, for programs that speak to a provider themselves.

    tools = CcrToolInjector().inject_tool(tools, "chat")
    for call in CcrResponseHandler().parse_response(response, "chat"):
        message = call.run(originals).as_message()

The daemon does the same for its recipes by a toolbox around theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from woollama.compression.originals import Originals
from woollama.compression.retrieval import part_of
from woollama.domain import retrieve_tool

Wire = Literal["chat", "responses", "anthropic"]
_PARTS = ("query", "lines", "rows", "path", "max_tokens")


@dataclass(frozen=True, slots=True)
class CcrToolResult:
    """What goes back to the model. `is_error`: there was nothing like it, and `text` says why."""

    call_id: str
    text: str
    wire: Wire
    is_error: bool = False

    def as_message(self) -> dict[str, Any]:
        """The item that the dialect wants for it."""
        match self.wire:
            case "chat":
                return {"role": "tool", "tool_call_id": self.call_id, "content": self.text}
            case "responses":
                return {"type": "function_call_output", "call_id": self.call_id, "output": self.text}
            case "anthropic":
                block = {"type": "tool_result", "tool_use_id": self.call_id, "content": self.text}
                return {"role": "user", "content": [{**block, "is_error": True} if self.is_error else block]}


@dataclass(frozen=True, slots=True)
class CcrToolCall:
    """A model's wish to have something back."""

    id: str
    arguments: Mapping[str, Any]
    wire: Wire

    @property
    def ref(self) -> str:
        return str(self.arguments.get("ref", ""))

    def run(self, originals: Originals, refs: Sequence[str] | None = None) -> CcrToolResult:
        """The part that was asked for. `refs` are those given out in this conversation; any other is refused."""
        if refs is not None and self.ref not in refs:
            return CcrToolResult(self.id, f"no result of this conversation has the ref {self.ref!r}", self.wire, True)
        text = originals.get(self.ref)
        if text is None:
            return CcrToolResult(self.id, f"nothing is stored under {self.ref!r} any more", self.wire, True)
        wish = {name: self.arguments[name] for name in _PARTS if self.arguments.get(name) is not None}
        try:
            return CcrToolResult(self.id, part_of(text, **wish), self.wire)
        except (LookupError, ValueError) as problem:
            return CcrToolResult(self.id, str(problem), self.wire, True)


class CcrToolInjector:
    def inject_tool(self, tools: Sequence[Mapping[str, Any]] | None, wire: Wire = "chat") -> list[dict[str, Any]]:
        """`tools` with the retrieve tool behind them, once."""
        given = [dict(tool) for tool in tools or ()]
        if any(_name_of(tool) == retrieve_tool.WIRE_NAME for tool in given):
            return given
        return [*given, self.tool(wire)]

    def tool(self, wire: Wire) -> dict[str, Any]:
        described = {"name": retrieve_tool.WIRE_NAME, "description": retrieve_tool.DESCRIPTION}
        match wire:
            case "chat":
                return {"type": "function", "function": {**described, "parameters": retrieve_tool.SCHEMA}}
            case "responses":
                return {"type": "function", **described, "parameters": retrieve_tool.SCHEMA}
            case "anthropic":
                return {**described, "input_schema": retrieve_tool.SCHEMA}


class CcrResponseHandler:
    def parse_response(self, response: Mapping[str, Any], wire: Wire = "chat") -> list[CcrToolCall]:
        """The calls of the retrieve tool in a whole response; calls of other tools are the program's own."""
        return [
            CcrToolCall(call_id, _arguments(arguments), wire)
            for call_id, name, arguments in _calls(response, wire)
            if name == retrieve_tool.WIRE_NAME
        ]


def _calls(response: Mapping[str, Any], wire: Wire) -> Iterator[tuple[str, str, Any]]:
    match wire:
        case "chat":
            for choice in response.get("choices") or ():
                for call in choice.get("message", {}).get("tool_calls") or ():
                    function = call.get("function") or {}
                    yield str(call.get("id", "")), str(function.get("name", "")), function.get("arguments")
        case "responses":
            for item in response.get("output") or ():
                if item.get("type") == "function_call":
                    yield str(item.get("call_id", "")), str(item.get("name", "")), item.get("arguments")
        case "anthropic":
            for block in response.get("content") or ():
                if block.get("type") == "tool_use":
                    yield str(block.get("id", "")), str(block.get("name", "")), block.get("input")


def _arguments(arguments: Any) -> Mapping[str, Any]:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return {}
    return arguments if isinstance(arguments, Mapping) else {}


def _name_of(tool: Mapping[str, Any]) -> str:
    return str((tool.get("function") or tool).get("name", ""))
