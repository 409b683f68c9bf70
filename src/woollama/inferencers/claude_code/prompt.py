"""A call as what `claude` is told: a system text, one message, and what had to be changed on the way.

It takes one message of a user at a time and no history: earlier turns are told inside that message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from woollama.domain.errors import UnsupportedField
from woollama.domain.messages import Json
from woollama.domain.turns import Call
from woollama.inferencers.anthropic.messages import Block, Transcript
from woollama.inferencers.anthropic.told import HISTORY_TOLD, text_block, told
from woollama.inferencers.claude_code.command import EFFORTS

_CARRIED = frozenset({"max_tokens", "reasoning_effort", "reasoning_budget_tokens"})
_OF_NO_CONSEQUENCE = frozenset({"user", "metadata", "parallel_tool_calls", "service_tier"})


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
    rewrites = [*transcript.rewrites, *_left_out(call), *([HISTORY_TOLD] if len(messages) > 1 else ())]
    system = "\n\n".join(block["text"] for block in transcript.system if block["type"] == "text")
    return Prompt(system, list(_no_commands(told(messages))), tuple(rewrites))


def _left_out(call: Call) -> Iterator[str]:
    for name, _ in call.params.given():
        if name not in _CARRIED and name not in _OF_NO_CONSEQUENCE and name != "response_format":
            yield f"{name} was left out: the target has no such setting"
    effort = call.params.reasoning_effort
    if effort not in (None, "none", *EFFORTS):
        yield f"reasoning_effort was left out: it may be none, {', '.join(EFFORTS)}"
    if call.tools and call.choice.mode in ("required", "named"):
        yield "tool_choice was left out: the target calls tools as it likes"


def _no_commands(blocks: Sequence[Block]) -> Iterator[Block]:
    """A text that begins with a slash would be a command to it, and not for the model."""
    for block in blocks:
        yield text_block("\n" + block["text"]) if block["type"] == "text" and block["text"].startswith("/") else block
