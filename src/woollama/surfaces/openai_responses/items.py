"""The input items of a Responses request, as items of ours. Every mistake is named by its path in the body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import (
    Answer,
    Ask,
    Item,
    Message,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from woollama.domain.tools import Cancelled, Returned, ToolOutcome, wire_name
from woollama.surfaces.fields import Fields
from woollama.surfaces.openai_responses.input_parts import decode_parts
from woollama.surfaces.openai_responses.resuming import WAITS_FOR
from woollama.surfaces.openai_responses.sealed import summary_of, unseal
from woollama.surfaces.openai_responses.tools import OUR_LABEL, SHOWN, custom_arguments, function_name, needed
from woollama.surfaces.result_blocks import result_blocks

_HOSTED_CALLS = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_list_tools"}
)
"""Told to targets of this dialect, and left out towards others: each holds all that there is to know of it."""


def decode_items(body: Fields, name: str = "input") -> tuple[Item, ...]:
    """The items under `name`; a bare string is what the user says."""
    raw = body.raw(name)
    if raw is None:
        return ()
    if isinstance(raw, str):
        return (Message("user", (Text(raw),)),)
    if not isinstance(raw, list):
        raise BadRequest(f"`{name}` must be a string or an array of items", param=name)
    items: list[Item] = []
    for index, each in enumerate(raw):
        items += _items_of(Fields.of(each, f"{name}[{index}]"), each)
    return tuple(items)


def _items_of(item: Fields, raw: Mapping[str, Any]) -> Iterator[Item]:
    match item.text("type") or ("message" if item.given("role") else "item_reference"):
        case "message":
            yield _message(item)
        case "function_call":
            yield _call(item, item.text("arguments") or "{}")
        case "custom_tool_call":
            yield _call(item, custom_arguments(item.text("input") or ""))
        case "function_call_output" | "custom_tool_call_output":
            yield _result(item)
        case "reasoning":
            yield _reasoning(item)
        case "mcp_call":
            yield from _server_call(item)
        case "mcp_approval_request":
            label, name = needed(item, "server_label"), needed(item, "name")
            yield Ask(needed(item, "id"), "", label, name, item.text("arguments") or "{}")
        case "mcp_approval_response":
            yield _answer(item)
        case "compaction":
            yield Message("user", (Text(summary_of(needed(item, "encrypted_content"), item.path)),), id=item.text("id"))
        case "item_reference":
            raise UnsupportedField(
                f"`{item.path}` refers to a stored item and nothing is stored: send the item itself", param=item.path
            )
        case kind if kind in _HOSTED_CALLS:
            yield Opaque("responses", raw)
        case kind:
            raise UnsupportedField(f"an item of type {kind!r} is not available", param=f"{item.path}.type")


def _message(item: Fields) -> Message:
    role = needed(item, "role")
    if role not in ("user", "assistant", "system", "developer"):
        raise BadRequest(f"unknown role {role!r}", param=f"{item.path}.role")
    if not item.given("content"):
        raise BadRequest("a message needs `content`", param=f"{item.path}.content")
    # the membership above is what makes `role` a Role
    known: Any = role
    return Message(known, decode_parts(item, "content"), id=item.text("id"), phase=item.text("phase"))


def _call(item: Fields, arguments: str) -> ToolCall:
    name = function_name(needed(item, "name"), item.text("namespace"))
    return ToolCall(needed(item, "call_id"), name, arguments, item_id=item.text("id"))


def _result(item: Fields) -> ToolResult:
    if not item.given("output"):
        raise BadRequest("an output needs `output`", param=f"{item.path}.output")
    outcome = Returned(tuple(result_blocks(decode_parts(item, "output"), f"{item.path}.output")))
    return ToolResult(needed(item, "call_id"), outcome, item_id=item.text("id"))


def _reasoning(item: Fields) -> Reasoning:
    sealed, redacted = (None, False)
    if encrypted := item.text("encrypted_content"):
        sealed, redacted = unseal(encrypted)
    return Reasoning(
        text="".join(_texts(item, "content")),
        id=item.text("id"),
        sealed=sealed,
        summary=tuple(_texts(item, "summary")),
        redacted=redacted,
    )


def _texts(item: Fields, name: str) -> Iterator[str]:
    for index, part in enumerate(item.array(name) or ()):
        yield Fields.of(part, f"{item.path}.{name}[{index}]").text("text") or ""


def _server_call(item: Fields) -> Iterator[Item]:
    """A call that we ran, with its outcome; without one if it still waits for a person's yes."""
    label, name = needed(item, "server_label"), needed(item, "name")
    ours = label == OUR_LABEL
    waits_for = item.text(WAITS_FOR)
    call = ToolCall(
        id=needed(item, "id"),
        name=name if ours else wire_name(label, name),
        arguments=item.text("arguments") or "{}",
        runs="server",
        item_id=item.text("id"),
        extra={"responses": {WAITS_FOR: waits_for}} if waits_for else {},
        server=None if ours else label,
        tool=None if ours else name,
    )
    yield call
    outcome = _outcome(item)
    if outcome is not None or not waits_for:
        yield ToolResult(call.id, outcome or Cancelled())


def _outcome(item: Fields) -> ToolOutcome | None:
    match item.raw("error"):
        case None:
            output = item.text("output")
            shown = Fields.of(item.object(SHOWN) or {}, f"{item.path}.{SHOWN}").array("content")
            if shown and all(isinstance(block, Mapping) for block in shown):
                return Returned(tuple(shown))
            return None if output is None else Returned.of_text(output)
        case {"type": "mcp_tool_execution_error", "content": list(blocks)} if all(isinstance(b, dict) for b in blocks):
            return Returned(tuple(blocks), is_error=True)
        case {"message": str(message)} | str(message):
            return Returned.of_text(message, is_error=True)
        case _:
            raise BadRequest("an error of a call is a string or an object", param=f"{item.path}.error")


def _answer(item: Fields) -> Answer:
    approve = item.boolean("approve")
    if approve is None:
        raise BadRequest("`approve` must be a boolean", param=f"{item.path}.approve")
    reason = item.text("reason")
    return Answer(needed(item, WAITS_FOR), approve, {"reason": reason} if reason else None, by="client")
