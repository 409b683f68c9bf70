"""Items as the messages of a small store that knows roles and texts alone: one for each item, with the item in it.

A store that is shared with other programs may hold messages that are not ours; they are read as what somebody said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from woollama.domain.messages import Json
from woollama.domain.state import Raw

OURS = "woollama"
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})


def message_of(item: Raw) -> dict[str, Json]:
    """`{"role", "content", "woollama": the item}`; what has no text has an empty one."""
    kind = item.get("type")
    role = "tool" if kind in _OUTPUTS else "assistant"
    if kind == "message":
        role = item.get("role") or "user"
    return {"role": role, "content": _text(item), OURS: dict(item)}


def items_of(thread: str, messages: Sequence[Any]) -> list[Raw]:
    return [_item(thread, number, message) for number, message in enumerate(messages) if isinstance(message, Mapping)]


def _item(thread: str, number: int, message: Mapping[str, Json]) -> Raw:
    ours = message.get(OURS)
    if isinstance(ours, Mapping) and isinstance(ours.get("id"), str):
        return ours
    role = message.get("role") if message.get("role") in ("assistant", "system", "developer") else "user"
    kind = "output_text" if role == "assistant" else "input_text"
    # an id of its place: the same at every reading
    digest = hashlib.sha256(f"{thread} {number}".encode()).hexdigest()[:24]
    part: dict[str, Json] = {"type": kind, "text": str(message.get("content") or "")}
    if role == "assistant":
        part |= {"annotations": [], "logprobs": []}
    return {"id": f"msg_{digest}", "type": "message", "role": role, "status": "completed", "content": [part]}


def _text(item: Raw) -> str:
    said = item.get("content") or item.get("output") or item.get("summary") or ""
    if isinstance(said, str):
        return said
    parts = (part.get("text") or part.get("refusal") or "" for part in said if isinstance(part, Mapping))
    return "\n".join(filter(None, parts))
