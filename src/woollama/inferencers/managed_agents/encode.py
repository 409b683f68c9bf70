"""A call as what a hosted session is told: events of a user, and what its agent is given beside its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from woollama.domain.errors import UnsupportedField
from woollama.domain.messages import Json, ToolResult
from woollama.domain.tools import Function, Returned, images_of
from woollama.domain.turns import Call
from woollama.inferencers.anthropic.messages import Block
from woollama.inferencers.anthropic.told import one_message, text_block

EventParams = Mapping[str, Json]

_OF_NO_CONSEQUENCE = frozenset({"user", "metadata", "parallel_tool_calls", "service_tier", "response_format"})
_TAKEN: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text"}),
    "image": frozenset({"type", "source"}),
    "document": frozenset({"type", "source", "title", "context"}),
}
"""The blocks of a user's message, and what of them is more than Messages' own way of saying them."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """`system` are words for the agent beside its own."""

    system: str
    event: EventParams
    rewrites: tuple[str, ...]


def encode(call: Call) -> Prompt:
    """Raises `UnsupportedField` for what it cannot take."""
    told = one_message(call)
    event = {"type": "user.message", "content": [_taken(block) for block in told.content]}
    return Prompt(told.system, event, (*told.rewrites, *_left_out(call)))


def custom_tool(function: Function) -> Mapping[str, Json]:
    schema = {"type": "object", **(function.parameters or {"properties": {}})}
    described = function.description or function.name
    return {"type": "custom", "name": function.name, "description": described, "input_schema": schema}


def result_event(result: ToolResult) -> EventParams:
    outcome = result.outcome
    content: list[Block] = [text_block(outcome.for_model())]
    for url in images_of(outcome):
        head, _, data = url.removeprefix("data:").partition(",")
        source = {"type": "base64", "media_type": head.partition(";")[0], "data": data}
        content.append({"type": "image", "source": source})
    failed = not isinstance(outcome, Returned) or outcome.is_error
    said = {"type": "user.custom_tool_result", "custom_tool_use_id": result.call_id, "content": content}
    return {**said, "is_error": failed}


def denial(call_id: str) -> EventParams:
    why = "Nobody can be asked in this request."
    return {"type": "user.tool_confirmation", "tool_use_id": call_id, "result": "deny", "deny_message": why}


INTERRUPT: Sequence[EventParams] = ({"type": "user.interrupt"},)


def _taken(block: Block) -> Block:
    known = _TAKEN.get(block["type"])
    if known is None:
        raise UnsupportedField(f"a hosted session takes no {block['type']!r}", param="messages")
    return {name: value for name, value in block.items() if name in known}


def _left_out(call: Call) -> Iterator[str]:
    for name, _ in call.params.given():
        if name not in _OF_NO_CONSEQUENCE:
            yield f"{name} was left out: a hosted agent has its own"
    if call.tools and call.choice.mode in ("required", "named"):
        yield "tool_choice was left out: the target calls tools as it likes"
