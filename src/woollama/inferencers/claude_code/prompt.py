"""A call as what `claude` is told: a system text, one message, and what had to be changed on the way.

It takes one message of a user at a time and no history: earlier turns are told inside that message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from woollama.domain.messages import Json
from woollama.domain.turns import Call
from woollama.inferencers.anthropic.messages import Block
from woollama.inferencers.anthropic.told import one_message, text_block
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
    told = one_message(call)
    return Prompt(told.system, list(_no_commands(told.content)), (*told.rewrites, *_left_out(call)))


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
