"""The events of a run to Ollama's lines: pieces of text and thought, whole calls, and at the end the cost.

Rounds in which our own tools ran are hidden. `/api/chat` and `/api/generate` differ only in where a piece stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from woollama.domain.answers import Answer
from woollama.domain.events import (
    CallClosed,
    CallOpened,
    Event,
    Failed,
    RefusalDelta,
    RoundBegan,
    Stopped,
    TextDelta,
    ThinkingDelta,
)
from woollama.domain.messages import Json, Message, Reasoning, Refusal, ToolCall
from woollama.domain.turns import Turn
from woollama.surfaces.call_input import object_of
from woollama.surfaces.footnotes import footnotes
from woollama.surfaces.ollama.words import DONE_REASONS, cost_of, encode_error_frame, line, now

Say = Callable[[str, str, Sequence[Mapping[str, Json]]], Mapping[str, Json]]
"""A piece's text, thought and calls as the members that hold them."""

BETWEEN_ROUNDS = "\n\n"


class LineEncoder:
    """The lines of one answer. Feed it every event of the run; it gives the lines that each makes."""

    def __init__(self, turn: Turn, say: Say) -> None:
        self._turn = turn
        self._say = say
        self._answer = Answer()
        self._opened: dict[int, CallOpened] = {}
        self._calls = 0
        self._spoke = False
        self._gap = False

    def encode(self, event: Event) -> list[bytes]:
        self._answer.see(event)
        match event:
            case RoundBegan():
                self._gap, self._opened = self._spoke, {}
            case TextDelta() if event.text:
                return [self._text(event.text, **({"logprobs": list(event.logprobs)} if event.logprobs else {}))]
            case RefusalDelta() if event.text:
                return [self._text(event.text)]
            case ThinkingDelta() if event.text:
                return [self._piece("", event.text)]
            case CallOpened(runs="client"):
                self._opened[event.index] = event
            case CallClosed() if event.index in self._opened:
                opened = self._opened.pop(event.index)
                self._calls += 1
                return [self._piece("", "", [call_of(opened.id, opened.name, event.arguments, self._calls - 1)])]
            case Stopped():
                return [line({**_head(self._turn), **self._say("", "", ()), **ending_of(self._answer, event)})]
            case Failed():
                return [encode_error_frame(event.error)]
            case _:
                pass
        return []

    def _text(self, text: str, **members: Json) -> bytes:
        said = BETWEEN_ROUNDS + text if self._gap else text
        self._gap, self._spoke = False, True
        return self._piece(said, "", **members)

    def _piece(self, text: str, thought: str, calls: Sequence[Mapping[str, Json]] = (), **members: Json) -> bytes:
        return line({**_head(self._turn), **self._say(text, thought, calls), "done": False, **members})


def whole(turn: Turn, answer: Answer, say: Say) -> dict[str, Json]:
    """The body of a finished answer; what the lines of its stream add up to."""
    ending = answer.ending
    if not isinstance(ending, Stopped):
        raise TypeError(f"only a stopped answer has a body, not one that ended with {ending!r}")
    items = answer.items
    texts = [*answer.texts]
    refusals = [
        part.text for item in items if isinstance(item, Message) for part in item.parts if isinstance(part, Refusal)
    ]
    thoughts = [item.text or "".join(item.summary) for item in items if isinstance(item, Reasoning)]
    asked = [item for item in items if isinstance(item, ToolCall) and item.runs == "client"]
    calls = [call_of(call.id, call.name, call.arguments, index) for index, call in enumerate(asked)]
    said = say(BETWEEN_ROUNDS.join(filter(None, [*texts, *refusals])), "".join(thoughts), calls)
    members = {"logprobs": answer.logprobs} if answer.logprobs else {}
    return {**_head(turn), **said, **members, **ending_of(answer, ending)}


def call_of(call_id: str, name: str, arguments: str, index: int) -> Mapping[str, Json]:
    return {"id": call_id, "function": {"index": index, "name": name, "arguments": object_of(arguments)}}


def ending_of(answer: Answer, ending: Stopped) -> dict[str, Json]:
    members: dict[str, Json] = {"done": True, "done_reason": DONE_REASONS[ending.reason], **cost_of(answer)}
    if notes := footnotes(answer):
        members["x_woollama"] = notes
    return members


def _head(turn: Turn) -> dict[str, Json]:
    return {"model": turn.model, "created_at": now()}
