"""A call as what `claude` is told: a system text, one message, and what had to be changed on the way.

It takes one message of a user at a time and no history: earlier turns are told inside that message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from woollama.domain.errors import UnsupportedField
from woollama.domain.messages import Json
from woollama.domain.turns import Call
from woollama.inferencers.anthropic.messages import Block, Transcript
from woollama.inferencers.claude_code.command import EFFORTS

HISTORY_TOLD = "earlier turns were told inside the last message: the target takes no history"
_CARRIED = frozenset({"max_tokens", "reasoning_effort", "reasoning_budget_tokens"})
_OF_NO_CONSEQUENCE = frozenset({"user", "metadata", "parallel_tool_calls", "service_tier"})
_BEFORE = "Earlier in this conversation:\n\n"
_NOW = "What follows is new.\n\n"


@dataclass(frozen=True, slots=True)
class Prompt:
    system: str
    content: Sequence[Block]
    rewrites: tuple[str, ...]

    @property
    def line(self) -> Mapping[str, Json]:
        return {"type": "user", "message": {"role": "user", "content": list(self.content)}}


def encode(call: Call) -> Prompt:
    """Raises `UnsupportedField` for what it cannot take."""
    if call.params.response_format is not None and call.params.response_format.kind != "text":
        raise UnsupportedField(f"{call.target} cannot be held to a form of JSON", param="response_format")
    transcript = Transcript(call)
    messages = transcript.messages
    if not messages or messages[-1]["role"] != "user":
        raise UnsupportedField(f"{call.target} answers a user: the last message must be one's", param="messages")
    *earlier, last = messages
    rewrites = [*transcript.rewrites, *_left_out(call)]
    now = list(_told(last["content"]))
    if earlier:
        rewrites.append(HISTORY_TOLD)
        now = [_text(_BEFORE), *_history(earlier), _text(_NOW), *now]
    system = "\n\n".join(block["text"] for block in transcript.system if block["type"] == "text")
    return Prompt(system, list(_no_commands(_joined(now))), tuple(rewrites))


def _left_out(call: Call) -> Iterator[str]:
    for name, _ in call.params.given():
        if name not in _CARRIED and name not in _OF_NO_CONSEQUENCE and name != "response_format":
            yield f"{name} was left out: the target has no such setting"
    effort = call.params.reasoning_effort
    if effort not in (None, "none", *EFFORTS):
        yield f"reasoning_effort was left out: it may be none, {', '.join(EFFORTS)}"
    if call.tools and call.choice.mode in ("required", "named"):
        yield "tool_choice was left out: the target calls tools as it likes"


def _history(messages: Sequence[Mapping[str, Json]]) -> Iterator[Block]:
    for message in messages:
        yield _text(f"<{message['role']}>\n")
        yield from _told(message["content"])
        yield _text(f"\n</{message['role']}>\n\n")


def _told(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        match block["type"]:
            case "tool_use":
                arguments = json.dumps(block["input"], ensure_ascii=False)
                yield _text(f"<tool_call name={json.dumps(block['name'])}>{arguments}</tool_call>\n")
            case "tool_result":
                content = block["content"]
                parts = [_text(content)] if isinstance(content, str) else content
                yield _text("<tool_result>\n")
                yield from parts
                yield _text("\n</tool_result>\n")
            case "thinking" | "redacted_thinking":
                pass  # it keeps its thoughts to itself, and needs none of them after an answer
            case _:
                yield block


def _joined(blocks: Sequence[Block]) -> list[Block]:
    """Neighbouring texts as one: that is how they were written."""
    joined: list[Block] = []
    for block in blocks:
        if block["type"] == "text" and joined and joined[-1]["type"] == "text":
            joined[-1] = _text(joined[-1]["text"] + block["text"])
        else:
            joined.append(_text(block["text"]) if block["type"] == "text" else block)
    return joined


def _no_commands(blocks: Sequence[Block]) -> Iterator[Block]:
    """A text that begins with a slash would be a command to it, and not for the model."""
    for block in blocks:
        yield _text("\n" + block["text"]) if block["type"] == "text" and block["text"].startswith("/") else block


def _text(text: str) -> Block:
    return {"type": "text", "text": text}
