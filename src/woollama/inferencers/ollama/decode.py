"""The lines of Ollama's `/api/chat`, each a JSON object, to the events of a round.

Ollama tells calls whole, with their arguments as an object and, in older versions, without an id. It ends a round with
calls in `stop` like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from woollama.domain.call_deltas import arguments_text
from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    RoundBegan,
    SealedSeen,
    Stopped,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageSeen,
)
from woollama.domain.ids import new_id
from woollama.domain.messages import Sealed
from woollama.domain.turns import Target
from woollama.inferencers.http.refusals import refused_in_stream

_REASONS: Mapping[str, StopReason] = {
    "stop": "end",
    "length": "length",
    "load": "end",
    "unload": "end",
    "tool_calls": "tool_calls",
}
"""What each `done_reason` means. A word that is not here ends the round too, and is kept as the detail."""

_OF_THE_ANSWER = ("remote_model", "remote_host")
_OF_THE_COST = (
    "prompt_eval_count",
    "eval_count",
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
)


class OllamaStreamDecoder:
    """`feed` each object, then `close`: that tells a whole answer from one cut short. An answer that is not streamed
    is fed as one object."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._opened: str | None = None
        self._call_ids: list[str] = []
        self.began = False
        self.done = False

    def feed(self, obj: Any) -> list[Event]:
        """The events that `obj` tells, often none. Raises `UpstreamRefused` for an error in an answer's place, and
        `UpstreamBroke` for what is no piece of an answer."""
        if not isinstance(obj, dict):
            raise UpstreamBroke(f"{self._target} sent something that is not an object")
        if obj.get("error"):
            raise refused_in_stream(self._target, obj)
        return [] if self.done else list(self._events_of(obj))

    def close(self) -> None:
        """Raises `UpstreamBroke` unless the upstream has said that it is done."""
        if not self.done:
            raise UpstreamBroke(f"{self._target} ended its answer without finishing it")

    def _events_of(self, obj: Mapping[str, Any]) -> Iterator[Event]:
        if not self.began:
            self.began = True
            extra = {name: obj[name] for name in _OF_THE_ANSWER if obj.get(name)}
            yield RoundBegan(0, self._target, None, _text(obj.get("model")), {"ollama": extra} if extra else {})
        message = obj.get("message")
        if isinstance(message, dict):
            yield from self._message(message, tuple(_objects(obj.get("logprobs"))))
        if obj.get("done") is True:
            self.done = True
            yield from self._ending(obj)

    def _message(self, message: Mapping[str, Any], logprobs: tuple[Mapping[str, Any], ...]) -> Iterator[Event]:
        thought, text = _text(message.get("thinking")), _text(message.get("content"))
        if thought:
            yield from self._enter("reasoning")
            yield ThinkingDelta(thought)
        if text:
            yield from self._enter("message")
            yield TextDelta(text, logprobs)
        for call in _objects(message.get("tool_calls")):
            yield from self._call(call)

    def _call(self, call: Mapping[str, Any]) -> Iterator[Event]:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        if (name := _text(function.get("name"))) is None:
            raise UpstreamBroke(f"{self._target} called a tool without naming it")
        native_id, index = _text(call.get("id")), len(self._call_ids)
        call_id = native_id if native_id and native_id not in self._call_ids else new_id("call_")
        arguments = arguments_text(function.get("arguments")) or "{}"
        yield from self._leave_reasoning()
        self._opened = None
        self._call_ids.append(call_id)
        yield CallOpened(index, call_id, name)
        yield ArgumentsDelta(index, arguments)
        yield CallClosed(index, arguments)

    def _ending(self, obj: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._leave_reasoning()
        if cost := {name: obj[name] for name in _OF_THE_COST if name in obj}:
            usage = Usage(_count(obj.get("prompt_eval_count")), _count(obj.get("eval_count")), native=cost)
            yield UsageSeen(0, usage)
        word = _text(obj.get("done_reason"))
        reason = _REASONS.get(word or "stop", "end")
        if self._call_ids and reason == "end":
            reason = "tool_calls"
        elif reason == "tool_calls" and not self._call_ids:
            reason = "end"
        yield Stopped(reason, word)

    def _enter(self, kind: str) -> Iterator[Event]:
        if self._opened == kind:
            return
        yield from self._leave_reasoning()
        self._opened = kind
        yield ItemOpened("reasoning" if kind == "reasoning" else "message")

    def _leave_reasoning(self) -> Iterator[Event]:
        """What was thought belongs to its maker: it alone gets it back."""
        if self._opened == "reasoning":
            self._opened = None
            yield SealedSeen(Sealed("", self._target.inferencer))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else 0
