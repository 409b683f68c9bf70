"""How many tokens a prompt has, roughly, where nobody who knows can be asked. Always rather too many than too few:
clients use the number to stay below a limit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import assert_never

from woollama.domain.messages import (
    Answer,
    Ask,
    Audio,
    File,
    Image,
    Item,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from woollama.domain.tools import Function, images_of
from woollama.domain.turns import Call

_ASCII_A_TOKEN = 3.5
_OTHERS_A_TOKEN = 1.0
_ITEM_TOKENS = 4
_FUNCTION_TOKENS = 12
_IMAGE_TOKENS = 1600
"""What the largest image costs that vendors do not shrink."""
_FILE_BYTES_A_TOKEN = 30
_LEAST_FILE_TOKENS = 1600


def estimated_tokens(call: Call) -> int:
    """The input of one round: its words, its history and the tools that it offers."""
    total = _text(call.system) if call.system else 0.0
    total += sum(_function(function) for function in call.tools)
    total += sum(_ITEM_TOKENS + _item(item) for item in call.items)
    return max(1, math.ceil(total))


def schema_tokens(functions: Iterable[Function]) -> int:
    """What it costs to offer these tools, in every round."""
    return math.ceil(sum(map(_function, functions)))


def _text(text: str) -> float:
    ascii_chars = sum(map(str.isascii, text)) if not text.isascii() else len(text)
    return ascii_chars / _ASCII_A_TOKEN + (len(text) - ascii_chars) / _OTHERS_A_TOKEN


def _json(value: object) -> float:
    return _text(json.dumps(value, ensure_ascii=False, default=str))


def _function(function: Function) -> float:
    described = _text(function.name) + _text(function.description)
    schema = _json(dict(function.parameters)) if function.parameters else 0.0
    return _FUNCTION_TOKENS + described + schema + sum(_json(dict(each.arguments)) for each in function.examples)


def _item(item: Item) -> float:
    match item:
        case Message():
            return _parts(item.parts)
        case Reasoning():
            thought = item.text or "".join(item.summary)
            return _text(thought) if thought else _text(item.sealed.data) if item.sealed else 0.0
        case ToolCall():
            return _FUNCTION_TOKENS + _text(item.name) + _text(item.arguments)
        case ToolResult():
            images = sum(1 for _ in images_of(item.outcome))
            return _FUNCTION_TOKENS + _text(item.outcome.for_model()) + images * _IMAGE_TOKENS
        case Opaque():
            return _json(dict(item.raw))
        case Ask() | Answer():
            return 0.0
        case _:
            assert_never(item)


def _parts(parts: Iterable[Part]) -> float:
    total = 0.0
    for part in parts:
        match part:
            case Text() | Refusal():
                total += _text(part.text)
            case Image():
                total += _IMAGE_TOKENS
            case Audio() | File():
                bytes_held = len(part.data or "") * 3 / 4
                total += max(_LEAST_FILE_TOKENS, bytes_held / _FILE_BYTES_A_TOKEN)
            case _:
                assert_never(part)
    return total
