"""What a client of each dialect understands of a stream: read plainly, with none of the code under test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.dialects.recordings import DONE
from woollama.domain.messages import Dialect

Ending = Literal["done", "length", "calls", "filtered", "failed"]


@dataclass
class Said:
    """`begins` and `ends` count the frames that open and close an answer; an error frame is the end of a failed one."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: dict[Any, list[str]] = field(default_factory=dict)
    ending: Ending | None = None
    begins: int = 0
    ends: int = 0

    @property
    def called(self) -> list[tuple[str, str, Any]]:
        """The calls in order, each as id, name and arguments."""
        return [(call_id, name, meaning_of(arguments)) for call_id, name, arguments in self.calls.values()]


def meaning_of(arguments: str) -> Any:
    """Their JSON value; the text itself if the stream was cut inside it."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def read(dialect: Dialect, wires: Sequence[Any]) -> Said:
    said = Said()
    reader = {"anthropic": _anthropic, "chat": _chat, "responses": _responses}[dialect]
    for wire in wires:
        reader(said, wire)
    return said


def _anthropic(said: Said, wire: Any) -> None:
    match wire:
        case {"type": "message_start"}:
            said.begins += 1
        case {"type": "content_block_start", "index": index, "content_block": {"type": "tool_use"} as block}:
            said.calls[index] = [block["id"], block["name"], ""]
        case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}:
            said.text += text
        case {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": text}}:
            said.reasoning += text
        case {"type": "content_block_delta", "index": index, "delta": {"partial_json": text}} if index in said.calls:
            said.calls[index][2] += text
        case {"type": "message_delta", "delta": {"stop_reason": word}}:
            words: dict[str, Ending] = {"max_tokens": "length", "tool_use": "calls", "refusal": "filtered"}
            said.ending = words.get(word, "done")
        case {"type": "message_stop"}:
            said.ends += 1
        case {"type": "error"}:
            said.ends += 1
            said.ending = "failed"


def _chat(said: Said, wire: Any) -> None:
    if wire == DONE:
        said.ends += 1
        return
    if "error" in wire:
        said.ends += 1
        said.ending = "failed"
        return
    for choice in wire["choices"]:
        delta = choice["delta"]
        said.begins += "role" in delta
        said.text += delta.get("content") or ""
        said.refusal += delta.get("refusal") or ""
        said.reasoning += delta.get("reasoning_content") or ""
        for call in delta.get("tool_calls") or ():
            if "id" in call:
                said.calls[call["index"]] = [call["id"], call["function"]["name"], ""]
            said.calls[call["index"]][2] += call["function"]["arguments"]
        if word := choice["finish_reason"]:
            assert said.ending is None, "one finish_reason, no more"
            words: dict[str, Ending] = {"stop": "done", "tool_calls": "calls", "content_filter": "filtered"}
            said.ending = words.get(word, word)


def _responses(said: Said, wire: Any) -> None:
    match wire:
        case {"type": "response.created"}:
            said.begins += 1
        case {"type": "response.output_item.added", "item": {"type": "function_call" | "custom_tool_call"} as item}:
            said.calls[item["id"]] = [item["call_id"], item["name"], ""]
        case {"type": "response.output_text.delta", "delta": text}:
            said.text += text
        case {"type": "response.refusal.delta", "delta": text}:
            said.refusal += text
        case {"type": "response.reasoning_text.delta" | "response.reasoning_summary_text.delta", "delta": text}:
            said.reasoning += text
        case {"type": "response.function_call_arguments.delta", "item_id": item, "delta": text}:
            said.calls[item][2] += text
        case {"type": "response.custom_tool_call_input.done", "item_id": item, "input": text}:
            said.calls[item][2] = json.dumps({"input": text})  # free text, which other dialects wrap in an object
        case {"type": "response.completed"}:
            said.ends += 1
            said.ending = "calls" if said.calls else "done"
        case {"type": "response.incomplete", "response": {"incomplete_details": {"reason": word}}}:
            said.ends += 1
            said.ending = "filtered" if word == "content_filter" else "length"
        case {"type": "response.failed"}:
            said.ends += 1
            said.ending = "failed"
