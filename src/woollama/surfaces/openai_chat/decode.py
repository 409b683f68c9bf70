"""Chat completions, inbound: a request body to a Turn. Every mistake is named by its path in the body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import (
    NO_EXTRA,
    Audio,
    Extra,
    File,
    Image,
    Item,
    Json,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from woollama.domain.tools import Function, Returned
from woollama.domain.turns import Caller, Params, ToolChoice, Turn
from woollama.surfaces.fields import Fields
from woollama.surfaces.response_format import decode_format
from woollama.surfaces.result_blocks import result_blocks

_SETTINGS = (
    ("temperature", float),
    ("top_p", float),
    ("top_k", int),
    ("seed", int),
    ("presence_penalty", float),
    ("frequency_penalty", float),
    ("logit_bias", dict),
    ("logprobs", bool),
    ("top_logprobs", int),
    ("reasoning_effort", str),
    ("verbosity", str),
    ("parallel_tool_calls", bool),
    ("user", str),
    ("metadata", dict),
    ("service_tier", str),
    ("options", dict),
)
_KNOWN = frozenset(name for name, _ in _SETTINGS) | {
    "model",
    "messages",
    "tools",
    "tool_choice",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "response_format",
    "n",
    "stream",
    "variables",
}
_REFUSED = {
    "functions": "use `tools` instead of the retired `functions`",
    "function_call": "use `tool_choice` instead of the retired `function_call`",
    "audio": "audio output is not available for this model; it can only be relayed",
}


def decode(body: Mapping[str, Any], *, turn_id: str, caller: Caller) -> Turn:
    fields = Fields(body)
    for name, why in _REFUSED.items():
        if fields.given(name):
            raise UnsupportedField(why, param=name)
    if fields.integer("n") not in (None, 1):
        raise UnsupportedField("`n` above 1 is not available for this model; send the request `n` times", param="n")
    fields.boolean("stream")
    messages = fields.array("messages")
    if not messages:
        raise BadRequest("`messages` must be a non-empty array", param="messages")
    items: list[Item] = []
    for index, message in enumerate(messages):
        items += _items_of(Fields.of(message, f"messages[{index}]"))
    return Turn(
        id=turn_id,
        caller=caller,
        dialect="chat",
        model=fields.model(),
        items=tuple(items),
        client_tools=tuple(_functions(fields)),
        choice=_choice(fields),
        params=_params(fields),
        variables=fields.strings("variables"),
        extra={"chat": {name: value for name, value in body.items() if name not in _KNOWN}},
    )


def usage_wanted(turn: Turn) -> bool:
    """Whether the client asked for a usage chunk at the end of its stream."""
    options = Fields(turn.extra["chat"]).object("stream_options") or {}
    return bool(Fields.of(options, "stream_options").boolean("include_usage"))


def _params(fields: Fields) -> Params:
    stop = fields.raw("stop")
    if isinstance(stop, str):
        stop = [stop]
    if stop is not None and not (isinstance(stop, list) and all(isinstance(each, str) for each in stop)):
        raise BadRequest("`stop` must be a string or an array of strings", param="stop")
    settings = {name: fields.typed(name, kind) for name, kind in _SETTINGS}
    limit = fields.integer("max_completion_tokens")
    return Params(
        max_tokens=limit if limit is not None else fields.integer("max_tokens"),
        stop=tuple(stop or ()),
        response_format=decode_format(fields, "response_format", nested=True),
        **settings,
    )


def _functions(fields: Fields) -> Iterator[Function]:
    for index, tool in enumerate(fields.array("tools") or ()):
        given = Fields.of(tool, f"tools[{index}]")
        kind = given.text("type")
        if kind != "function":
            raise UnsupportedField(
                f"a tool of type {kind!r} is not available for this model", param=f"{given.path}.type"
            )
        function = Fields.of(given.object("function") or {}, f"{given.path}.function")
        name = function.text("name")
        if not name:
            raise BadRequest("a function needs a `name`", param=f"{function.path}.name")
        yield Function(
            name, function.text("description") or "", function.object("parameters"), function.boolean("strict")
        )


def _choice(fields: Fields) -> ToolChoice | None:
    raw = fields.raw("tool_choice")
    match raw:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(raw)
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice("named", name)
        case _:
            raise BadRequest("`tool_choice` must be auto, none, required or name a function", param="tool_choice")


def _items_of(message: Fields) -> Iterator[Item]:
    role = message.text("role")
    match role:
        case "system" | "developer" | "user":
            yield Message(role, tuple(_parts(message)), extra=_name_of(message))
        case "assistant":
            thought = message.text("reasoning_content") or message.text("reasoning")
            if thought:
                yield Reasoning(thought)
            parts = tuple(_parts(message))
            if refusal := message.text("refusal"):
                parts = (*parts, Refusal(refusal))
            if audio := message.object("audio"):
                parts = (*parts, Audio(id=str(audio.get("id"))))
            calls = message.array("tool_calls") or ()
            if parts or not calls:
                yield Message("assistant", parts, extra=_name_of(message))
            for index, call in enumerate(calls):
                yield _call_of(Fields.of(call, f"{message.path}.tool_calls[{index}]"))
        case "tool":
            call_id = message.text("tool_call_id")
            if not call_id:
                raise BadRequest("a tool message needs a `tool_call_id`", param=f"{message.path}.tool_call_id")
            blocks = result_blocks(_parts(message), f"{message.path}.content")
            yield ToolResult(call_id, Returned(tuple(blocks)))
        case _:
            raise BadRequest(f"unknown role {role!r}", param=f"{message.path}.role")


def _name_of(message: Fields) -> Mapping[str, Mapping[str, Json]]:
    name = message.text("name")
    return {"chat": {"name": name}} if name else {}


def _extra(fields: Fields, *known: str) -> Extra:
    """What only this dialect's targets understand: marks for their caches, signatures of calls."""
    rest = fields.rest(*known, "index")
    return {"chat": rest} if rest else NO_EXTRA


def _call_of(call: Fields) -> ToolCall:
    function = Fields.of(call.object("function") or {}, f"{call.path}.function")
    call_id, name = call.text("id"), function.text("name")
    if not call_id or not name:
        raise BadRequest("a tool call needs an `id` and a `function.name`", param=call.path)
    return ToolCall(call_id, name, function.text("arguments") or "{}", extra=_extra(call, "id", "type", "function"))


def _parts(message: Fields) -> Iterator[Part]:
    content = message.raw("content")
    if content is None:
        return
    if isinstance(content, str):
        yield Text(content)
        return
    if not isinstance(content, list):
        raise BadRequest("`content` must be a string or an array of parts", param=f"{message.path}.content")
    for index, part in enumerate(content):
        yield _part(Fields.of(part, f"{message.path}.content[{index}]"))


def _part(part: Fields) -> Part:
    match part.text("type"):
        case "text":
            return Text(part.text("text") or "", extra=_extra(part, "type", "text"))
        case "refusal":
            return Refusal(part.text("refusal") or "")
        case "image_url":
            raw = part.raw("image_url")
            image = Fields.of({"url": raw} if isinstance(raw, str) else raw or {}, f"{part.path}.image_url")
            if not image.text("url"):
                raise BadRequest("an image needs a `url`", param=f"{image.path}.url")
            return Image(image.text("url"), image.text("detail"), extra=_extra(part, "type", "image_url"))
        case "input_audio":
            audio = Fields.of(part.object("input_audio") or {}, f"{part.path}.input_audio")
            return Audio(audio.text("data"), audio.text("format"), extra=_extra(part, "type", "input_audio"))
        case "file":
            file = Fields.of(part.object("file") or {}, f"{part.path}.file")
            extra = _extra(part, "type", "file")
            return File(file.text("filename"), file.text("file_data"), None, file.text("file_id"), extra)
        case kind:
            raise BadRequest(f"unknown content part {kind!r}", param=f"{part.path}.type")
