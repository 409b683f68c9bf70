"""JSON-RPC messages as bytes: what is one, and what can be read of it all the same."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

Message = dict[str, Any]

SHOWN_CHARS = 200


class NotAMessage(Exception):
    """What is no JSON-RPC message, such as something that a program printed. The session goes on without it."""

    def __init__(self, text: bytes) -> None:
        super().__init__(repr(text[:SHOWN_CHARS].decode(errors="replace")))


def encoded(message: Message) -> bytes:
    """In one line. Half an emoji, which no wire can carry, is replaced."""
    try:
        return to_json(message)
    except (PydanticSerializationError, UnicodeEncodeError):
        return json.dumps(message, ensure_ascii=False).encode(errors="replace")


def message_of(text: bytes) -> Message:
    """Raises `NotAMessage`. A response has a `result` or an `error` of the right shape, and an `id` of any."""
    try:
        message = from_json(text)
    except ValueError:
        try:
            # Half an emoji (a lone surrogate) or bytes that are no UTF-8 would cost the whole answer: replaced.
            sound = json.dumps(json.loads(text.decode(errors="replace")), ensure_ascii=False)
            message = from_json(sound.encode(errors="replace"))
        except (ValueError, RecursionError):
            raise NotAMessage(text) from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or not _has_shape(message):
        raise NotAMessage(text)
    return message


def _has_shape(message: Message) -> bool:
    if "method" in message:
        params = message.get("params")
        has_id = "id" not in message or _is_id(message["id"])
        return isinstance(message["method"], str) and has_id and (params is None or isinstance(params, dict))
    if "result" in message:
        return isinstance(message["result"], dict) and _is_id(message.get("id"))
    error = message.get("error")
    return isinstance(error, dict) and _is_whole(error.get("code")) and isinstance(error.get("message"), str)


def _is_id(value: object) -> bool:
    return isinstance(value, str) or _is_whole(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
