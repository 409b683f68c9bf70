"""Answers of Ollama's `/api/chat`, line by line. Pure bytes and objects, for decoders and for `tests.upstream`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.chat_wire import MODEL, pieces

CONTENT_TYPE = "application/x-ndjson"
COST = {"total_duration": 5_000_000, "prompt_eval_count": 11, "eval_count": 7}


def line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def piece(content: str = "", *, done: bool = False, members: Mapping[str, Any] | None = None, **message: Any) -> Any:
    """One object. `message` are further members of the message, `members` those of the object itself."""
    said = {"role": "assistant", "content": content, **message}
    return {
        "model": MODEL,
        "created_at": "2026-01-02T03:04:05.678Z",
        "message": said,
        "done": done,
        **(members or {}),
    }


def call(name: str, arguments: Any, **members: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **members}


def answer(
    text: str = "", *, thinking: str = "", calls: Sequence[tuple[str, Any]] = (), reason: str = "stop"
) -> list[dict[str, Any]]:
    """The objects of one answer: thoughts, words, all calls in one message, and the end with its cost."""
    made = [piece(thinking=each) for each in pieces(thinking) if each]
    made += [piece(each) for each in pieces(text) if each]
    if calls:
        made.append(piece(tool_calls=[call(name, arguments) for name, arguments in calls]))
    return [*made, piece(done=True, members={"done_reason": reason, **COST})]


def lines(text: str = "", **how: Any) -> list[bytes]:
    """`lines("Hello there", calls=[("now", {"timezone": "Asia/Tokyo"})])`; see `answer`."""
    return list(map(line, answer(text, **how)))
