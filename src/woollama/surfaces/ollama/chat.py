"""`/api/chat`, as an `Exchange` wants a dialect: a conversation in, Ollama's lines out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from woollama.domain.answers import Answer
from woollama.domain.errors import BadRequest
from woollama.domain.messages import Item, Json, Message, Part, Reasoning, Role, Text, ToolCall, ToolResult
from woollama.domain.tools import Function, Returned
from woollama.domain.turns import Caller, Turn
from woollama.surfaces.fields import Fields
from woollama.surfaces.ollama.lines import LineEncoder, whole
from woollama.surfaces.ollama.settings import images_in, kept, params_of
from woollama.surfaces.ollama.words import SHAPE, encode_error, encode_error_frame

__all__ = ["SHAPE", "StreamEncoder", "decode", "encode_answer", "encode_error", "encode_error_frame"]

_KNOWN = frozenset({"model", "messages", "tools", "stream", "variables"})
_ROLES: Mapping[str, Role] = {"system": "system", "user": "user"}


def decode(body: Mapping[str, Any], *, turn_id: str, caller: Caller) -> Turn:
    """Raises `BadRequest`, naming `param`."""
    fields = Fields(body)
    fields.boolean("stream")
    messages = fields.array("messages")
    if not messages:
        raise BadRequest("`messages` must be a non-empty array", param="messages")
    history = _History()
    for index, message in enumerate(messages):
        history.add(Fields.of(message, f"messages[{index}]"))
    return Turn(
        id=turn_id,
        caller=caller,
        dialect="ollama",
        model=fields.model(),
        items=tuple(history.items),
        client_tools=tuple(_functions(fields)),
        params=params_of(fields),
        variables=fields.strings("variables"),
        extra=kept(body, _KNOWN),
    )


class StreamEncoder(LineEncoder):
    def __init__(self, turn: Turn) -> None:
        super().__init__(turn, say)


def encode_answer(turn: Turn, answer: Answer) -> dict[str, Any]:
    return whole(turn, answer, say)


def say(text: str, thought: str, calls: Sequence[Mapping[str, Json]]) -> Mapping[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": text}
    if thought:
        message["thinking"] = thought
    if calls:
        message["tool_calls"] = list(calls)
    return {"message": message}


class _History:
    """Puts the messages together to items. Calls and results of this dialect may have no ids: a result then belongs to
    the first call of its tool, or the first of all, that has none yet."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._open: list[ToolCall] = []
        self._calls = 0

    def add(self, message: Fields) -> None:
        role = message.text("role")
        parts: tuple[Part, ...] = tuple(self._parts(message))
        match role:
            case "system" | "user":
                self.items.append(Message(_ROLES[role], parts))
            case "assistant":
                self._add_answer(message, parts)
            case "tool":
                call = self._take(message)
                self.items.append(ToolResult(call.id, Returned(tuple(_blocks(parts)))))
            case _:
                raise BadRequest(f"unknown role {role!r}", param=f"{message.path}.role")

    def _add_answer(self, message: Fields, parts: tuple[Part, ...]) -> None:
        if thought := message.text("thinking"):
            self.items.append(Reasoning(thought))
        calls = message.array("tool_calls") or ()
        if parts or not calls:
            self.items.append(Message("assistant", parts))
        for index, each in enumerate(calls):
            call = self._call(Fields.of(each, f"{message.path}.tool_calls[{index}]"))
            self._open.append(call)
            self.items.append(call)

    def _call(self, given: Fields) -> ToolCall:
        function = Fields.of(given.object("function") or {}, f"{given.path}.function")
        name, arguments = function.text("name"), function.raw("arguments")
        if not name:
            raise BadRequest("a tool call needs a `function.name`", param=f"{function.path}.name")
        self._calls += 1
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
        return ToolCall(given.text("id") or f"call_{self._calls}", name, text or "{}")

    def _take(self, message: Fields) -> ToolCall:
        call_id, name = message.text("tool_call_id"), message.text("tool_name") or message.text("name")
        fitting = [call for call in self._open if call.id == call_id]
        fitting = fitting or [call for call in self._open if call.name == name] or self._open
        if not fitting:
            raise BadRequest("a tool's message answers no call before it", param=message.path)
        call = fitting[0]
        self._open.remove(call)
        return call

    def _parts(self, message: Fields) -> Iterator[Part]:
        if text := message.text("content"):
            yield Text(text)
        yield from images_in(message)


def _blocks(parts: Sequence[Part]) -> Iterator[Mapping[str, Json]]:
    for part in parts:
        if isinstance(part, Text):
            yield {"type": "text", "text": part.text}
        else:
            head, _, data = (getattr(part, "url", "") or "").partition(";base64,")
            yield {"type": "image", "mimeType": head.removeprefix("data:"), "data": data}


def _functions(fields: Fields) -> Iterator[Function]:
    for index, tool in enumerate(fields.array("tools") or ()):
        given = Fields.of(tool, f"tools[{index}]")
        function = Fields.of(given.object("function") or {}, f"{given.path}.function")
        name = function.text("name")
        if not name:
            raise BadRequest("a function needs a `name`", param=f"{function.path}.name")
        yield Function(name, function.text("description") or "", function.object("parameters"))
