"""Messages, Anthropic's dialect: what the other modules of this name's family do, and the body of a whole answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from woollama.domain.answers import Answer
from woollama.domain.errors import RouterError
from woollama.domain.events import Stopped
from woollama.domain.ids import new_id
from woollama.domain.messages import Item, Json, Message, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from woollama.domain.turns import Turn
from woollama.surfaces.anthropic_messages.decode import decode
from woollama.surfaces.anthropic_messages.stream import HEARTBEAT, SUMMARY_GAP, StreamEncoder, citations_in
from woollama.surfaces.anthropic_messages.words import (
    STOP_REASONS,
    encode_error,
    final_usage,
    starting_usage,
    stop_reason,
)
from woollama.surfaces.call_input import object_of
from woollama.surfaces.event_repair import MessagesRepair, messages_usage
from woollama.surfaces.footnotes import footnotes
from woollama.surfaces.relay_repair import usage_in
from woollama.surfaces.sse import event_frame
from woollama.surfaces.stream_shape import StreamShape

__all__ = [
    "SHAPE",
    "STOP_REASONS",
    "StreamEncoder",
    "decode",
    "encode_answer",
    "encode_error",
    "encode_error_frame",
]

SHAPE = StreamShape(HEARTBEAT, MessagesRepair, usage=lambda body: messages_usage(usage_in(body) or {}))


def encode_error_frame(error: RouterError) -> bytes:
    """The frame that ends a stream which failed; no `message_stop` follows it."""
    return event_frame("error", encode_error(error))


def encode_answer(turn: Turn, answer: Answer) -> dict[str, Any]:
    """The body of a finished answer; the same message that the frames of its stream add up to."""
    ending = answer.ending
    if not isinstance(ending, Stopped):
        raise TypeError(f"only a stopped answer has a body, not one that ended with {ending!r}")
    items = answer.items
    refused = any(isinstance(part, Refusal) for item in items if isinstance(item, Message) for part in item.parts)
    began = answer.rounds[0].extra.get("anthropic", {}) if answer.rounds else {}
    body: dict[str, Json] = {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": [block for item in items for block in _blocks_of(item)],
        "stop_reason": stop_reason(ending, refused=refused),
        "stop_sequence": ending.stop_sequence,
        "usage": starting_usage(answer.usage.last_round) | final_usage(answer.usage),
        **began,
        **ending.extra.get("anthropic", {}),
    }
    if notes := footnotes(answer):
        body["x_woollama"] = notes
    return body


def _blocks_of(item: Item) -> Iterator[Mapping[str, Json]]:
    match item:
        case Message():
            for part in item.parts:
                yield from _text_block(part)
        case Reasoning(redacted=True):
            if item.sealed:
                yield {"type": "redacted_thinking", "data": item.sealed.to_wire()}
        case Reasoning():
            thinking = item.text or SUMMARY_GAP.join(item.summary)
            signature = item.sealed.to_wire() if item.sealed else ""
            if thinking or signature:
                yield {"type": "thinking", "thinking": thinking, "signature": signature}
        case ToolCall(runs="client"):
            block = {"type": "tool_use", "id": item.id, "name": item.name, "input": object_of(item.arguments)}
            yield {**block, **item.extra.get("anthropic", {})}
        case Opaque(dialect="anthropic"):
            yield from item.raw["content"]
        case _:
            return


def _text_block(part: Part) -> Iterator[Mapping[str, Json]]:
    match part:
        case Text(text=text) if text:
            citations = citations_in(part.annotations)
            yield {"type": "text", "text": text, **({"citations": citations} if citations else {})}
        case Refusal(text=text) if text:
            yield {"type": "text", "text": text}
        case _:
            return
