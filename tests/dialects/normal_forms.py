"""What two streams that say the same may differ in, dialect by dialect: every rule is one function with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Wire = Any


def normal_anthropic(wires: Iterable[Wire]) -> list[Wire]:
    """Rules: pings are silence, not content. An answer has an id of its own. A member that is null, or an empty list
    of citations, is as good as absent (the API adds such members over time). Sealed bytes carry their maker in front.
    The input of a call that the upstream runs may come in any pieces, as nobody acts on the pieces."""
    kept = [_anthropic_wire(wire) for wire in wires if wire["type"] != "ping"]
    return _joined_server_input(kept)


def _anthropic_wire(wire: Mapping[str, Any]) -> Wire:
    wire = dict(without_null(wire))
    if "message" in wire:
        wire["message"] = {key: value for key, value in wire["message"].items() if key != "id"}
    if block := wire.get("content_block"):
        block = {key: value for key, value in block.items() if (key, value) != ("citations", [])}
        wire["content_block"] = _unsealed(block, "data")
    if delta := wire.get("delta"):
        wire["delta"] = _unsealed(delta, "signature")
    if error := wire.get("error"):
        wire["error"] = {key: value for key, value in error.items() if key != "at_fault"}
    return wire


def _unsealed(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    sealed = holder.get(name)
    return {**holder, name: sealed.removeprefix("woollama:maker:")} if isinstance(sealed, str) else holder


def _joined_server_input(wires: list[Wire]) -> list[Wire]:
    joined: list[Wire] = []
    server_run: set[int] = set()
    for wire in wires:
        if wire["type"] == "content_block_start" and wire["content_block"]["type"] == "server_tool_use":
            server_run.add(wire["index"])
        last = joined[-1] if joined else {}
        if (
            wire["type"] == "content_block_delta"
            and wire["index"] in server_run
            and (last["type"], last["index"]) == ("content_block_delta", wire["index"])
        ):
            whole = last["delta"]["partial_json"] + wire["delta"]["partial_json"]
            joined[-1] = {**last, "delta": {**last["delta"], "partial_json": whole}}
        else:
            joined.append(wire)
    return [_parsed(wire) if wire.get("index") in server_run else wire for wire in joined]


def _parsed(wire: Wire) -> Wire:
    if wire["type"] != "content_block_delta":
        return wire
    return {**wire, "delta": {**wire["delta"], "partial_json": json.loads(wire["delta"]["partial_json"])}}


def normal_chat(wires: Iterable[Wire]) -> list[Wire]:
    """Rules: an answer has an id and a time of its own; `obfuscation` is padding. A member that is null, empty log
    probabilities, empty text beside other members and a count of 0 in the details of the usage are as good as absent
    (services differ in which they send). What DeepSeek says of its cache repeats `cached_tokens`."""
    return [wire if isinstance(wire, str) else _chat_wire(wire) for wire in wires]


def _chat_wire(wire: Mapping[str, Any]) -> Wire:
    wire = {key: value for key, value in wire.items() if key not in ("id", "created", "obfuscation")}
    wire["choices"] = [_chat_choice(choice) for choice in wire["choices"]]
    if usage := wire.get("usage"):
        counts = {key: value for key, value in usage.items() if not key.startswith("prompt_cache_")}
        wire["usage"] = {key: _without_zero(value) for key, value in counts.items()}
    return without_null(wire)


def _chat_choice(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    delta = {key: value for key, value in choice["delta"].items() if value != ""}
    logprobs = choice.get("logprobs") or {}
    said = logprobs if logprobs.get("content") or logprobs.get("refusal") else None
    return {**choice, "delta": delta, "logprobs": said}


def _without_zero(details: Any) -> Any:
    return {key: each for key, each in details.items() if each} if isinstance(details, Mapping) else details


def without_null(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: without_null(each) for key, each in value.items() if each is not None}
    return [without_null(each) for each in value] if isinstance(value, list) else value
