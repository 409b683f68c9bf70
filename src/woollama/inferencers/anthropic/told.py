"""A history inside one message, for those that take one message of a user at a time and no history."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from woollama.domain.errors import UnsupportedField
from woollama.domain.messages import Json
from woollama.domain.turns import Call
from woollama.inferencers.anthropic.messages import Block, Transcript

HISTORY_TOLD = "earlier turns were told inside the last message: the target takes no history"
_BEFORE = "Earlier in this conversation:\n\n"
_NOW = "What follows is new.\n\n"


@dataclass(frozen=True, slots=True)
class Told:
    """All of a call in one message: `system` words, the message's `content`, and what was changed on the way."""

    system: str
    content: list[Block]
    rewrites: tuple[str, ...]


def one_message(call: Call) -> Told:
    """Raises `UnsupportedField` for what those who take one message cannot take."""
    if call.params.response_format is not None and call.params.response_format.kind != "text":
        raise UnsupportedField(f"{call.target} cannot be held to a form of JSON", param="response_format")
    transcript = Transcript(call)
    messages = transcript.messages
    if not messages or messages[-1]["role"] != "user":
        raise UnsupportedField(f"{call.target} answers a user: the last message must be one's", param="messages")
    system = "\n\n".join(block["text"] for block in transcript.system if block["type"] == "text")
    rewrites = (*transcript.rewrites, *([HISTORY_TOLD] if len(messages) > 1 else ()))
    return Told(system, _all_of(messages), rewrites)


def _all_of(messages: Sequence[Mapping[str, Json]]) -> list[Block]:
    """The content of the last message, which tells the earlier ones first if there are any."""
    *earlier, last = messages
    now = list(_told(last["content"]))
    if earlier:
        now = [text_block(_BEFORE), *_history(earlier), text_block(_NOW), *now]
    return _joined(now)


def text_block(text: str) -> Block:
    return {"type": "text", "text": text}


def _history(messages: Sequence[Mapping[str, Json]]) -> Iterator[Block]:
    for message in messages:
        yield text_block(f"<{message['role']}>\n")
        yield from _told(message["content"])
        yield text_block(f"\n</{message['role']}>\n\n")


def _told(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        match block["type"]:
            case "tool_use":
                arguments = json.dumps(block["input"], ensure_ascii=False)
                yield text_block(f"<tool_call name={json.dumps(block['name'])}>{arguments}</tool_call>\n")
            case "tool_result":
                content = block["content"]
                parts = [text_block(content)] if isinstance(content, str) else content
                yield text_block("<tool_result>\n")
                yield from parts
                yield text_block("\n</tool_result>\n")
            case "thinking" | "redacted_thinking":
                pass  # it keeps its thoughts to itself, and needs none of them after an answer
            case _:
                yield block


def _joined(blocks: Sequence[Block]) -> list[Block]:
    """Neighbouring texts as one: that is how they were written."""
    joined: list[Block] = []
    for block in blocks:
        if block["type"] == "text" and joined and joined[-1]["type"] == "text":
            joined[-1] = text_block(joined[-1]["text"] + block["text"])
        else:
            joined.append(text_block(block["text"]) if block["type"] == "text" else block)
    return joined
