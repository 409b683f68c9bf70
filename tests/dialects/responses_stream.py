"""Recorded Responses streams, read into the events that make them: the encoder's counterpart, for round trips."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    Failed,
    ItemOpened,
    RefusalDelta,
    RoundBegan,
    SealedSeen,
    Stopped,
    StopReason,
    TextDelta,
    ThinkingDelta,
    ToolReturned,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import ToolResult
from woollama.domain.tools import wire_name
from woollama.domain.turns import Target
from woollama.surfaces.fields import Fields
from woollama.surfaces.openai_responses.items import decode_items
from woollama.surfaces.openai_responses.sealed import unseal
from woollama.surfaces.openai_responses.tools import custom_arguments, function_name

INCOMPLETE: Mapping[str, StopReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "max_messages": "max_rounds",
}
CUSTOM_OPENING = '{"input": "'


def events_of(wires: Iterable[Mapping[str, Any]], target: Target) -> list[Event]:
    """The events behind `wires`; a stream without an end ends in `Failed`."""
    decoder = _Decoder(target)
    for wire in wires:
        decoder.read(wire)
    if not decoder.ended:
        decoder.events.append(Failed(UpstreamBroke("the upstream closed the stream before its end")))
    return decoder.events


class _Decoder:
    def __init__(self, target: Target) -> None:
        self.events: list[Event] = []
        self.ended = False
        self._target = target
        self._calls: dict[str, int] = {}
        self._texts: set[int] = set()
        self._reasoning: dict[str, int] = {}

    def read(self, wire: Mapping[str, Any]) -> None:
        self.events += self._events(wire)

    def _events(self, wire: Mapping[str, Any]) -> Iterator[Event]:
        match wire["type"]:
            case "response.created":
                response = wire["response"]
                yield RoundBegan(0, self._target, response["id"], response["model"])
            case "response.output_item.added":
                yield from self._added(wire["item"])
            case "response.output_item.done":
                yield from self._done(wire["item"])
            case "response.output_text.delta":
                yield TextDelta(wire["delta"], tuple(wire["logprobs"]))
            case "response.output_text.annotation.added":
                yield TextDelta("", annotations=(wire["annotation"],))
            case "response.refusal.delta":
                yield RefusalDelta(wire["delta"])
            case "response.reasoning_text.delta":
                yield ThinkingDelta(wire["delta"])
            case "response.reasoning_summary_text.delta":
                yield ThinkingDelta(wire["delta"], summary=True, part=wire["summary_index"])
            case "response.function_call_arguments.delta" | "response.mcp_call_arguments.delta":
                yield ArgumentsDelta(self._calls[wire["item_id"]], wire["delta"])
            case "response.function_call_arguments.done" | "response.mcp_call_arguments.done":
                yield CallClosed(self._calls[wire["item_id"]], wire["arguments"])
            case "response.custom_tool_call_input.delta":
                index = self._calls[wire["item_id"]]
                opening = "" if index in self._texts else CUSTOM_OPENING
                self._texts.add(index)
                yield ArgumentsDelta(index, opening + json.dumps(wire["delta"])[1:-1])
            case "response.custom_tool_call_input.done":
                yield CallClosed(self._calls[wire["item_id"]], custom_arguments(wire["input"]))
            case "response.completed" | "response.incomplete":
                yield from self._ended(wire["response"])
            case "response.failed":
                self.ended = True
                yield Failed(UpstreamBroke(wire["response"]["error"]["message"]))
            case _:
                pass

    def _added(self, item: Mapping[str, Any]) -> Iterator[Event]:
        match item["type"]:
            case "message":
                yield ItemOpened("message", item["id"], item.get("phase"))
            case "reasoning":
                self._reasoning[item["id"]] = len(self.events)
                yield ItemOpened("reasoning", item["id"])
            case "function_call" | "custom_tool_call":
                name = function_name(item["name"], item.get("namespace"))
                yield CallOpened(self._index(item), item["call_id"], name, item_id=item["id"])
            case "mcp_call":
                label, tool = item["server_label"], item["name"]
                yield CallOpened(
                    self._index(item), item["id"], wire_name(label, tool), "server", item["id"], server=label, tool=tool
                )
            case _:
                pass

    def _done(self, item: Mapping[str, Any]) -> Iterator[Event]:
        if item["type"] == "reasoning" and item.get("encrypted_content"):
            sealed, redacted = unseal(item["encrypted_content"])
            opened = self._reasoning[item["id"]]  # only the end of the item says that it is redacted
            self.events[opened] = replace(self.events[opened], redacted=redacted)
            yield SealedSeen(sealed)
        elif item["type"] == "mcp_call" and item["status"] in ("completed", "failed"):
            for result in decode_items(Fields({"input": [item]})):
                if isinstance(result, ToolResult):
                    yield ToolReturned(result.call_id, result.outcome)

    def _index(self, item: Mapping[str, Any]) -> int:
        self._calls[item["id"]] = index = len(self._calls)
        return index

    def _ended(self, response: Mapping[str, Any]) -> Iterator[Event]:
        self.ended = True
        if usage := response["usage"]:
            taken, given = usage["input_tokens_details"], usage["output_tokens_details"]
            yield UsageSeen(
                0,
                Usage(
                    input_tokens=usage["input_tokens"],
                    output_tokens=usage["output_tokens"],
                    cached_tokens=taken["cached_tokens"],
                    cache_write_tokens=taken.get("cache_write_tokens", 0),
                    reasoning_tokens=given["reasoning_tokens"],
                ),
            )
        if details := response["incomplete_details"]:
            yield Stopped(INCOMPLETE[details["reason"]])
        elif any(item["type"] in ("function_call", "custom_tool_call") for item in response["output"]):
            yield Stopped("tool_calls")
        else:
            yield Stopped("end")
