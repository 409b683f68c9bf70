"""Items as they are kept and shown: the wire form of this dialect, whole, each with an id of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from woollama.domain.ids import new_id
from woollama.domain.messages import Item
from woollama.domain.state import Raw
from woollama.surfaces.fields import Fields
from woollama.surfaces.openai_responses.items import decode_items

_PREFIXES = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "reasoning": "rs_",
    "mcp_call": "mcp_",
    "mcp_list_tools": "mcpl_",
    "mcp_approval_request": "mcpr_",
    "mcp_approval_response": "mcpa_",
    "compaction": "cmp_",
}
_WITH_STATUS = frozenset(
    {"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"}
)
_TITLE_CHARS = 80


def stored_items(given: object) -> list[Raw]:
    """What a request gave as its items, after `decode_items` has found them sound, in the form that is kept."""
    if isinstance(given, str):
        return [_whole({"role": "user", "content": given})]
    return [_whole(each) for each in given] if isinstance(given, Sequence) else []


def replayed(items: Sequence[Raw]) -> tuple[Item, ...]:
    """Stored items as what a model is told."""
    return decode_items(Fields({"history": list(items)}), "history")


def new_items(history: Sequence[Raw], given: Sequence[Raw]) -> list[Raw]:
    """Those of `given` that are not in the history: what was sent again, or referred to, is left out.

    Another item by the id of one that is there is no repetition, and gets an id of its own.
    """
    known = {item["id"]: item for item in history}
    new: list[Raw] = []
    for item in given:
        earlier = known.get(item["id"])
        if earlier is not None:
            if replayed([item]) == replayed([earlier]):
                continue
            item = {**item, "id": _new_id(item["type"])}
        known[item["id"]] = item
        new.append(item)
    return new


def title_of(items: Sequence[Raw]) -> str | None:
    """The first words of the first user."""
    for item in items:
        if item.get("type") == "message" and item.get("role") == "user":
            said = " ".join(part.get("text") or "" for part in item["content"] if isinstance(part, Mapping))
            words = " ".join(said.split())
            if words:
                return words if len(words) <= _TITLE_CHARS else f"{words[: _TITLE_CHARS - 1]}…"
    return None


def _whole(item: Mapping[str, Any]) -> Raw:
    kind = item.get("type") or "message"
    whole: dict[str, Any] = {**item, "id": item.get("id") or _new_id(kind), "type": kind}
    if kind in _WITH_STATUS and not item.get("status"):
        whole["status"] = "completed"
    if kind == "message":
        whole["content"] = _parts(item)
    elif kind == "reasoning":
        whole = {key: value for key, value in whole.items() if value is not None}
        whole.setdefault("summary", [])
    return whole


def _new_id(kind: str) -> str:
    return new_id(_PREFIXES.get(kind, "it_"))


def _parts(message: Mapping[str, Any]) -> list[Any]:
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    own = "output_text" if message.get("role") == "assistant" else "input_text"
    return [_part(part, own) for part in parts]


def _part(part: Mapping[str, Any], own: str) -> Mapping[str, Any]:
    kind = part.get("type")
    if kind not in ("text", "input_text", "output_text"):
        return {"detail": "auto", **part} if kind == "input_image" else part
    named = {**part, "type": own}
    return {"annotations": [], "logprobs": [], **named} if own == "output_text" else named
