"""Messages, inbound: a request body to a Turn. Every mistake is named by its path in the body.

Fields that have no word in the vocabulary (`cache_control`, betas, the vendor's own tools) stay under
`extra["anthropic"]` of the thing that they belong to, so that a target of this dialect receives them as they came.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from woollama.domain.errors import BadRequest
from woollama.domain.messages import (
    Extra,
    File,
    Image,
    Item,
    Json,
    Message,
    Opaque,
    Part,
    Reasoning,
    Role,
    Sealed,
    Text,
    ToolCall,
    ToolResult,
    no_extra,
)
from woollama.domain.tools import Example, Function, Returned
from woollama.domain.turns import Caller, Params, ResponseFormat, ToolChoice, Turn
from woollama.surfaces.fields import Fields

_KNOWN = frozenset(
    {
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "max_tokens",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "stream",
        "variables",
    }
)
_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_CHOICES: Mapping[str, ToolChoice] = {
    "auto": ToolChoice("auto"),
    "any": ToolChoice("required"),
    "none": ToolChoice("none"),
}


class _Block(Fields):
    @property
    def whole(self) -> Mapping[str, Any]:
        return self._raw


def decode(body: Mapping[str, Any], *, turn_id: str, caller: Caller) -> Turn:
    """Raises `BadRequest`, naming `param`. Fields that nobody here knows are kept, never refused."""
    fields = Fields(body)
    fields.boolean("stream")
    messages = fields.array("messages")
    if not messages:
        raise BadRequest("`messages` must be a non-empty array", param="messages")
    items: list[Item] = []
    if fields.given("system"):
        items.append(Message("system", tuple(_texts(fields, "system"))))
    for index, message in enumerate(messages):
        items += _items_of(Fields.of(message, f"messages[{index}]"))
    return Turn(
        id=turn_id,
        caller=caller,
        dialect="anthropic",
        model=fields.model(),
        items=tuple(items),
        client_tools=tuple(_functions(fields)),
        choice=_choice(fields),
        params=_params(fields),
        variables=fields.strings("variables"),
        extra={"anthropic": _kept(fields, body)},
    )


def _params(fields: Fields) -> Params:
    limit = fields.integer("max_tokens")
    if limit is not None and limit < 1:
        raise BadRequest("`max_tokens` must be at least 1", param="max_tokens")
    stop = fields.array("stop_sequences") or ()
    if not all(isinstance(each, str) for each in stop):
        raise BadRequest("`stop_sequences` must be an array of strings", param="stop_sequences")
    choice = Fields(fields.object("tool_choice") or {}, "tool_choice")
    serial = choice.boolean("disable_parallel_tool_use")
    thinking = Fields(fields.object("thinking") or {}, "thinking")
    output = Fields(fields.object("output_config") or {}, "output_config")
    metadata = Fields(fields.object("metadata") or {}, "metadata")
    return Params(
        temperature=fields.typed("temperature", float),
        top_p=fields.typed("top_p", float),
        top_k=fields.integer("top_k"),
        max_tokens=limit,
        stop=tuple(stop),
        response_format=_format(output),
        reasoning_effort="none" if thinking.text("type") == "disabled" else output.text("effort"),
        reasoning_budget_tokens=thinking.integer("budget_tokens"),
        parallel_tool_calls=None if serial is None else not serial,
        user=metadata.text("user_id"),
    )


def _kept(fields: Fields, body: Mapping[str, Any]) -> dict[str, Json]:
    """What the Turn has no words for. An object that it can say in part is kept whole if anything else is in it."""
    thinking = fields.object("thinking") or {}
    output = fields.object("output_config") or {}
    unthinking = thinking.get("type") == "disabled"
    said_in_full = {
        "thinking": thinking.get("type") in ("enabled", "disabled") and thinking.keys() <= {"type", "budget_tokens"},
        "output_config": output.keys() <= ({"format"} if unthinking else {"format", "effort"}),
        "metadata": (fields.object("metadata") or {}).keys() <= {"user_id"},
    }
    return {
        name: value
        for name, value in body.items()
        if name not in _KNOWN and value is not None and not said_in_full.get(name)
    }


def _format(output: Fields) -> ResponseFormat | None:
    raw = output.object("format")
    if raw is None:
        return None
    given = Fields(raw, f"{output.path}.format")
    schema = given.object("schema")
    if given.text("type") != "json_schema" or schema is None:
        raise BadRequest("a format must be of type `json_schema` and carry a `schema`", param=given.path)
    return ResponseFormat("json_schema", schema=schema)


def _choice(fields: Fields) -> ToolChoice | None:
    raw = fields.object("tool_choice")
    if raw is None:
        return None
    given = Fields(raw, "tool_choice")
    kind, name = given.text("type"), given.text("name")
    if kind == "tool" and name:
        return ToolChoice("named", name)
    if kind is None or kind not in _CHOICES:
        raise BadRequest("`tool_choice` must be auto, any, none or name a tool", param="tool_choice")
    return _CHOICES[kind]


def _functions(fields: Fields) -> Iterator[Function]:
    for index, tool in enumerate(fields.array("tools") or ()):
        given = Fields.of(tool, f"tools[{index}]")
        kind, name = given.text("type"), given.text("name")
        if kind not in (None, "custom"):
            # One of the vendor's own tools: its type says all, and only a target of this dialect knows it.
            yield Function(name or str(kind), extra={"anthropic": dict(tool)})
            continue
        if not name:
            raise BadRequest("a tool needs a `name`", param=f"{given.path}.name")
        examples = given.array("input_examples") or ()
        if not all(isinstance(example, Mapping) for example in examples):
            raise BadRequest("`input_examples` must be objects", param=f"{given.path}.input_examples")
        yield Function(
            name,
            given.text("description") or "",
            given.object("input_schema"),
            given.boolean("strict"),
            examples=tuple(Example(example) for example in examples),
            extra=_rest(tool, "name", "description", "input_schema", "strict", "input_examples"),
        )


def _items_of(message: Fields) -> Iterator[Item]:
    """One message's items in its order: text and media gather to messages, everything else stands alone."""
    role = _ROLES.get(message.text("role") or "")
    if role is None:
        raise BadRequest(f"unknown role {message.text('role')!r}", param=f"{message.path}.role")
    parts: list[Part] = []
    for block in _blocks(message, "content"):
        made = _item_or_part(block, role)
        if isinstance(made, Text | Image | File):
            parts.append(made)
            continue
        if parts:
            yield Message(role, tuple(parts))
            parts = []
        yield made
    if parts:
        yield Message(role, tuple(parts))


def _item_or_part(block: _Block, role: Role) -> Text | Image | File | Item:
    raw: Mapping[str, Json] = block.whole
    match block.text("type"):
        case "text":
            return _text(block)
        case "image":
            return _image(block)
        case "document":
            return _document(block)
        case "thinking":
            signature = block.text("signature")
            sealed = Sealed.from_wire(signature) if signature else None
            return Reasoning(block.text("thinking") or "", sealed=sealed, extra=_rest(raw, "thinking", "signature"))
        case "redacted_thinking":
            return Reasoning(sealed=Sealed.from_wire(block.text("data") or ""), redacted=True)
        case "tool_use":
            call_id, name = block.text("id"), block.text("name")
            if not call_id or not name:
                raise BadRequest("a `tool_use` block needs an `id` and a `name`", param=block.path)
            arguments = json.dumps(block.object("input") or {}, ensure_ascii=False)
            return ToolCall(call_id, name, arguments, extra=_rest(raw, "id", "name", "input"))
        case "tool_result":
            return _tool_result(block)
        case None:
            raise BadRequest("a content block needs a `type`", param=f"{block.path}.type")
        case _:
            return Opaque("anthropic", {"role": role, "content": [raw]})


def _text(block: _Block) -> Text:
    text = block.text("text")
    if text is None:
        raise BadRequest("a text block needs a `text`", param=f"{block.path}.text")
    citations = tuple(block.array("citations") or ())
    return Text(text, citations, _rest(block.whole, "text", "citations"))


def _image(block: _Block) -> Image:
    source = _source(block)
    extra = _rest(block.whole, "source")
    match source.text("type"):
        case "base64":
            return Image(_data_url(source), extra=extra)
        case "url":
            return Image(source.text("url"), extra=extra)
        case "file":
            return Image(file_id=source.text("file_id"), extra=extra)
        case kind:
            raise BadRequest(f"unknown image source {kind!r}", param=f"{source.path}.type")


def _document(block: _Block) -> File:
    source, title = _source(block), block.text("title")
    extra = _rest(block.whole, "source", "title")
    match source.text("type"):
        case "base64":
            return File(title, data=_data_url(source), extra=extra)
        case "text":
            text = base64.b64encode((source.text("data") or "").encode("utf-8", "surrogatepass")).decode()
            return File(title, data=f"data:text/plain;base64,{text}", extra=extra)
        case "url":
            return File(title, url=source.text("url"), extra=extra)
        case "file":
            return File(title, file_id=source.text("file_id"), extra=extra)
        case _:
            return File(title, extra={"anthropic": {**extra.get("anthropic", {}), "source": source.whole}})


def _tool_result(block: _Block) -> ToolResult:
    """The content stays in `extra` as it came; the outcome holds what any dialect can say of it."""
    call_id = block.text("tool_use_id")
    if not call_id:
        raise BadRequest("a `tool_result` block needs a `tool_use_id`", param=f"{block.path}.tool_use_id")
    given = _blocks(block, "content") if block.given("content") else ()
    content = tuple(_mcp_block(each) for each in given)
    outcome = Returned(content, is_error=block.boolean("is_error") or False)
    return ToolResult(call_id, outcome, extra=_rest(block.whole, "tool_use_id", "is_error"))


def _mcp_block(block: _Block) -> Mapping[str, Json]:
    match block.text("type"):
        case "text":
            return {"type": "text", "text": _text(block).text}
        case "image" if (source := _source(block)).text("type") == "base64":
            return {"type": "image", "data": source.text("data"), "mimeType": source.text("media_type")}
        case _:
            return block.whole


def _source(block: Fields) -> _Block:
    return _Block.of(block.raw("source"), f"{block.path}.source")


def _data_url(source: Fields) -> str:
    data, media_type = source.text("data"), source.text("media_type")
    if not data or not media_type:
        raise BadRequest("a base64 source needs `media_type` and `data`", param=source.path)
    return f"data:{media_type};base64,{data}"


def _texts(fields: Fields, name: str) -> Iterator[Text]:
    for block in _blocks(fields, name):
        if block.text("type") != "text":
            raise BadRequest(f"`{name}` holds text only", param=f"{block.path}.type")
        yield _text(block)


def _blocks(fields: Fields, name: str) -> Iterator[_Block]:
    """A field that is a string or an array of blocks, as blocks."""
    content = fields.raw(name)
    path = f"{fields.path}.{name}" if fields.path else name
    if isinstance(content, str):
        yield _Block({"type": "text", "text": content}, path)
        return
    if not isinstance(content, list):
        raise BadRequest(f"`{path}` must be a string or an array of content blocks", param=path)
    for index, block in enumerate(content):
        yield _Block.of(block, f"{path}[{index}]")


def _rest(raw: Mapping[str, Any], *known: str) -> Extra:
    rest = {name: value for name, value in raw.items() if name not in known and name != "type" and value is not None}
    return {"anthropic": rest} if rest else no_extra()
