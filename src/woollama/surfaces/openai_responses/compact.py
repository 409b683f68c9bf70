"""`POST /v1/responses/compact`: a conversation in fewer tokens, to go on from.

The model that is to go on sums it up. What it gives is used if it is shorter and speaks of the conversation; a model
that cannot do that is not trusted with it, and the most telling sentences stand in for its summary.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from woollama.core.estimates import estimated_tokens
from woollama.core.extracts import extract, speaks_of
from woollama.core.runs import Runs
from woollama.domain.answers import Answer
from woollama.domain.errors import BadRequest, RouterError
from woollama.domain.events import Stopped, Usage
from woollama.domain.ids import new_id
from woollama.domain.messages import Item, Message, Text, ToolCall, ToolResult
from woollama.domain.turns import NO_TOOLS, Call, Target, Turn
from woollama.surfaces.openai_responses.object import encode_usage
from woollama.surfaces.openai_responses.sealed import seal_summary

_SHARE = 0.5
"""How much of what there was may be left."""
_LEAST_SUMMARY_TOKENS, _MOST_SUMMARY_TOKENS = 64, 2048
_CHARS_A_TOKEN = 3
_LEAST_CHARS = 160
"""A conversation this short is kept whole: a fact is worth more than a few tokens."""
_INTRODUCTION = "What was said so far, in short:"
_WISH = (
    "Sum up this conversation for somebody who will go on with it and has not seen it. Keep every name, number, date,"
    " decision, wish and open question, and what tools returned, in as few words as possible. Only the summary."
)


async def compacted(turn: Turn, runs: Runs) -> dict[str, Any]:
    """The compaction of a turn's items. Raises `BadRequest` where there is nothing to compact."""
    said = [item for item in turn.items if not (isinstance(item, Message) and item.role in ("system", "developer"))]
    texts = [text for item in said if (text := _text_of(item))]
    if not texts:
        raise BadRequest("there is nothing to compact", param="input")
    before = _tokens(said)
    summary, usage = await _summed_up(turn, runs, before)
    kept, how = _shortest(summary, texts, before)
    content = seal_summary(f"{_INTRODUCTION}\n{kept}")
    body = {
        "id": new_id("resp_"),
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [{"id": new_id("cmp_"), "type": "compaction", "encrypted_content": content}],
        "usage": encode_usage(usage),
    }
    return {**body, "x_woollama": {"made_by": how}}


async def _summed_up(turn: Turn, runs: Runs, before: int) -> tuple[str, Usage]:
    """What the model makes of it; nothing where it cannot."""
    most = max(_LEAST_SUMMARY_TOKENS, min(_MOST_SUMMARY_TOKENS, int(before * _SHARE)))
    wish = Message("user", (Text(_WISH),))
    asked = replace(
        turn,
        id=new_id("turn_"),
        items=(*turn.items, wish),
        client_tools=(),
        tool_grants=(),
        choice=NO_TOOLS,
        params=replace(turn.params, max_tokens=most),
    )
    answer = Answer()
    async with runs.start(asked) as run:
        async for event in run.watch():
            answer.see(event)
    if isinstance(answer.ending, Stopped):
        return answer.text.strip(), answer.usage.total
    if isinstance(error := getattr(answer.ending, "error", None), RouterError) and error.at_fault == "client":
        raise error
    return "", answer.usage.total


def _shortest(summary: str, texts: Sequence[str], before: int) -> tuple[str, str]:
    """The summary, if it is one; else sentences out of the texts. And which of the two it is."""
    allowed = before * _SHARE
    if summary and _tokens([Message("user", (Text(summary),))]) <= allowed and speaks_of(summary, texts):
        return summary, "model"
    chars = max(_LEAST_CHARS, int(allowed * _CHARS_A_TOKEN) - len(_INTRODUCTION))
    return "\n".join(extract(texts, chars)), "extraction"


def _text_of(item: Item) -> str:
    match item:
        case Message():
            return item.text
        case ToolCall():
            return f"{item.name} {item.arguments}"
        case ToolResult():
            return item.outcome.for_model()
        case _:
            return ""


def _tokens(items: Sequence[Item]) -> int:
    return estimated_tokens(Call(Target("", ""), tuple(items)))
