"""`/api/generate`, as an `Exchange` wants a dialect: one prompt in, Ollama's lines out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from woollama.domain.answers import Answer
from woollama.domain.errors import UnsupportedField
from woollama.domain.messages import Item, Json, Message, Text
from woollama.domain.turns import Caller, Turn
from woollama.surfaces.fields import Fields
from woollama.surfaces.ollama.lines import LineEncoder, whole
from woollama.surfaces.ollama.settings import images_in, kept, params_of
from woollama.surfaces.ollama.words import SHAPE, encode_error, encode_error_frame

__all__ = ["SHAPE", "StreamEncoder", "decode", "encode_answer", "encode_error", "encode_error_frame"]

_KNOWN = frozenset({"model", "prompt", "system", "images", "stream", "variables"})
_OF_THE_PROMPT = ("suffix", "template", "raw", "context")
"""They say how the prompt is put together, which only Ollama itself can do."""


def decode(body: Mapping[str, Any], *, turn_id: str, caller: Caller) -> Turn:
    """Raises `BadRequest`, naming `param`; `UnsupportedField` for what would make another prompt of this one."""
    fields = Fields(body)
    fields.boolean("stream")
    if unsayable := next((name for name in _OF_THE_PROMPT if body.get(name)), None):
        what = f"`{unsayable}` needs a model of Ollama's, addressed without a recipe"
        raise UnsupportedField(what, param=unsayable)
    items: list[Item] = []
    if system := fields.text("system"):
        items.append(Message("system", (Text(system),)))
    items.append(Message("user", (Text(fields.text("prompt") or ""), *images_in(fields))))
    return Turn(
        id=turn_id,
        caller=caller,
        dialect="ollama",
        model=fields.model(),
        items=tuple(items),
        params=params_of(fields),
        variables=fields.strings("variables"),
        extra=kept(body, _KNOWN.union(_OF_THE_PROMPT)),
    )


class StreamEncoder(LineEncoder):
    def __init__(self, turn: Turn) -> None:
        super().__init__(turn, say)


def encode_answer(turn: Turn, answer: Answer) -> dict[str, Any]:
    return whole(turn, answer, say)


def say(text: str, thought: str, calls: Sequence[Mapping[str, Json]]) -> Mapping[str, Json]:
    """A prompt has no tools, so there are no calls."""
    return {"response": text, **({"thinking": thought} if thought else {})}
