"""Recorded streams through our words and back: what the service sent is what we would have sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dialects.responses_stream import events_of
from tests.dialects.responses_wire import DONE, check_stream, check_wires, event_types, wires_of
from woollama.domain.events import Failed
from woollama.domain.tools import Tool
from woollama.domain.turns import INTERNAL, Target
from woollama.surfaces.openai_responses import StreamEncoder, decode

GOLDEN = Path(__file__).parents[2] / "golden" / "responses"
RECORDINGS = sorted(path.stem for path in GOLDEN.glob("*.sse"))
CUT = [name for name in RECORDINGS if name.startswith("cut_")]
WHOLE = [name for name in RECORDINGS if name not in CUT]
TARGET = Target("openai", "gpt-5")

OURS_ALONE = {"id", "model", "created_at", "completed_at", "service_tier", "user", "prompt_cache_retention"}
"""Of a Response: what belongs to one answer, to the service's routing, or is a field that it has only as null."""


def recorded(name: str) -> list[dict[str, Any]]:
    raw = (GOLDEN / f"{name}.sse").read_bytes()
    return wires_of(frame + b"\n\n" for frame in raw.split(b"\n\n") if frame)


def encoded(name: str, wires: list[dict[str, Any]]) -> list[bytes]:
    turn = decode(json.loads((GOLDEN / f"{name}.request.json").read_bytes()), turn_id="turn_1", caller=INTERNAL)
    encoder = StreamEncoder(turn, tools_in(wires))
    return [frame for event in events_of(wires, TARGET) for frame in encoder.encode(event)]


def tools_in(wires: list[dict[str, Any]]) -> list[Tool]:
    """The tools that the recorded service found on the server, as our registry would know them."""
    lists = [wire["item"] for wire in wires if wire["type"] == "response.output_item.done"]
    return [
        Tool(item["server_label"], tool["name"], {**tool, "inputSchema": tool["input_schema"]})
        for item in lists
        if item["type"] == "mcp_list_tools"
        for tool in item["tools"]
    ]


def settled(wire: dict[str, Any]) -> dict[str, Any]:
    """`wire` without what differs from one answer to the next."""
    wire = {key: value for key, value in wire.items() if key != "obfuscation"}
    if wire["type"] == "response.output_item.added":
        # the service may send the beginning of the sealed bytes here; only those of the end count
        wire["item"] = {key: value for key, value in wire["item"].items() if key != "encrypted_content"}
    if "response" in wire:
        wire["response"] = {key: value for key, value in wire["response"].items() if key not in OURS_ALONE}
    for item in [wire.get("item"), *wire.get("response", {}).get("output", ())]:
        if item and item["type"] == "mcp_list_tools":
            item["id"] = "mcpl_"
    if wire["type"].startswith("response.mcp_list_tools."):
        wire["item_id"] = "mcpl_"
    return wire


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_what_the_sdk_would_accept(name: str) -> None:
    for number, wire in enumerate(recorded(name)):
        assert wire["sequence_number"] == number
        event_types()[wire["type"]].model_validate(wire, strict=False)


@pytest.mark.parametrize("name", WHOLE)
def test_a_recorded_stream_comes_back_as_it_was(name: str) -> None:
    wires = recorded(name)
    frames = encoded(name, wires)

    assert frames[-1] == DONE
    assert [settled(wire) for wire in check_stream(frames)] == [settled(wire) for wire in wires]


@pytest.mark.parametrize("name", CUT)
def test_a_cut_stream_ends_in_a_failure_and_in_nothing_that_looks_like_success(name: str) -> None:
    wires = recorded(name)
    assert isinstance(events_of(wires, TARGET)[-1], Failed)
    frames = encoded(name, wires)

    again = wires_of(frames)
    assert [settled(wire) for wire in again[:-1]] == [settled(wire) for wire in wires]
    check_stream(frames)
    failed = again[-1]["response"]
    assert again[-1]["type"] == "response.failed"
    assert (failed["status"], failed["error"]["code"], failed["completed_at"]) == ("failed", "server_error", None)
    assert failed["output"][-1]["status"] == "incomplete"
    assert DONE not in frames


def test_the_checks_can_fail() -> None:
    wires = recorded("text_with_annotations")
    with pytest.raises(AssertionError):
        check_wires([{**wires[0], "sequence_number": 1}])
    frames = encoded("text_with_annotations", wires)
    with pytest.raises(AssertionError):
        check_stream([*frames[:5], *frames[6:]])
