"""Frames of a Responses stream, read as strictly as the SDK's types and the specification's rules allow."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Union, get_args, get_origin

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

from conformance import published

DONE = b"data: [DONE]\n\n"

_FIELDS = (
    "id object created_at completed_at status incomplete_details model previous_response_id instructions output error"
    " tools tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty top_logprobs"
    " temperature reasoning usage max_output_tokens max_tool_calls store background service_tier metadata"
    " safety_identifier prompt_cache_key"
)
_NEVER_NULL = (
    "temperature top_p presence_penalty frequency_penalty top_logprobs tool_choice truncation tools text background"
    " store service_tier parallel_tool_calls output metadata"
)
RESPONSE_FIELDS = frozenset(_FIELDS.split())
NEVER_NULL = frozenset(_NEVER_NULL.split())
BEYOND_THE_SDK = frozenset(
    {
        ("Response", "store"),
        ("Response", "presence_penalty"),
        ("Response", "frequency_penalty"),
        ("Response", "user"),
        ("Response", "x_woollama"),
        ("McpCall", "x_woollama"),
        ("ResponseError", "at_fault"),
        ("ResponseErrorEvent", "error"),
        ("ResponseFunctionCallArgumentsDoneEvent", "name"),
        ("ResponseCustomToolCall", "status"),
        ("Logprob", "bytes"),
        ("LogprobTopLogprob", "bytes"),
    }
)
"""Where Open Responses requires, the real service sends, or we promise more than the SDK's types know."""


def wires_of(frames: Iterable[bytes]) -> list[dict[str, Any]]:
    """The events in `frames`. Each frame is whole: an event line, a data line, a blank line."""
    wires: list[dict[str, Any]] = []
    for frame in frames:
        if frame == DONE:
            continue
        event, data, *rest = frame.decode().split("\n")
        assert rest == ["", ""], frame
        wire = json.loads(data.removeprefix("data: "))
        assert event == f"event: {wire['type']}"
        wires.append(wire)
    return wires


@cache
def event_types() -> Mapping[str, type[BaseModel]]:
    union = get_args(ResponseStreamEvent)[0]
    assert get_origin(union) in (Union, types.UnionType)
    return {get_args(each.model_fields["type"].annotation)[0]: each for each in get_args(union)}


def check_stream(frames: Iterable[bytes]) -> list[dict[str, Any]]:
    """The events of a whole stream, after every one was found valid and in its place."""
    wires = wires_of(frames)
    check_wires(wires)
    begun = [wire["type"] for wire in wires if wire["type"] != "response.queued"]
    assert begun[:2] == ["response.created", "response.in_progress"]
    assert wires[0]["type"] == begun[0], "what waits was created before"
    ends = [wire["type"] for wire in wires if wire["type"] in ENDS]
    assert ends == [wires[-1]["type"]], "one end, and it is the last event"
    assert sum(wire["type"] == "response.created" for wire in wires) == 1
    _check_items(wires)
    return wires


ENDS = ("response.completed", "response.incomplete", "response.failed")


def check_wires(wires: Iterable[Mapping[str, Any]]) -> None:
    for number, wire in enumerate(wires):
        assert wire["sequence_number"] == number
        published.check_event(wire)
        read = event_types()[wire["type"]].model_validate(wire, strict=True)
        assert not (found := set(unknown(read)) - BEYOND_THE_SDK), found
        if "response" in wire:
            _check_response(wire["response"])


def check_response(response: Mapping[str, Any]) -> None:
    published.check_response(response)
    _check_response(response)


def _check_response(response: Mapping[str, Any]) -> None:
    read = Response.model_validate(response, strict=True)
    assert not (found := set(unknown(read)) - BEYOND_THE_SDK), found
    assert not (missing := RESPONSE_FIELDS - set(response)), missing
    assert not (null := {key for key in NEVER_NULL if response[key] is None}), null
    assert response["text"]["format"]["type"]
    for tool in response["tools"]:
        if tool["type"] == "function":
            assert {"name", "description", "parameters", "strict"} <= set(tool)
    for item in response["output"]:
        if item["type"] == "reasoning":
            assert item.get("encrypted_content", "") is not None
    if response["usage"] is not None:
        assert {"input_tokens_details", "output_tokens_details"} <= set(response["usage"])
    assert (response["status"] == "failed") == (response["error"] is not None)
    assert (response["status"] == "completed") == (response["completed_at"] is not None)


def unknown(value: Any) -> Iterator[tuple[str, str]]:
    """The fields that a type of the SDK does not know, as (type, field)."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield type(value).__name__, name
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from unknown(each)


def _check_items(wires: list[dict[str, Any]]) -> None:
    """Ids and indexes agree; each item is added once, done at most once, and the final object shows it as it ended."""
    added: dict[int, str] = {}
    done: dict[int, Mapping[str, Any]] = {}
    for wire in wires:
        index = wire.get("output_index")
        if wire["type"] == "response.output_item.added":
            assert index == len(added)
            added[index] = wire["item"]["id"]
        elif wire["type"] == "response.output_item.done":
            assert index not in done
            assert wire["item"]["id"] == added[index]
            done[index] = wire["item"]
        elif index is not None:
            assert wire["item_id"] == added[index]
            assert index not in done, "nothing happens to an item that is done"
    assert len(set(added.values())) == len(added)
    final = wires[-1]["response"]["output"]
    assert [item["id"] for item in final] == [added[index] for index in range(len(added))]
    for index, item in done.items():
        assert final[index] == item
    if wires[-1]["type"] != "response.failed":
        assert set(done) == set(added)
