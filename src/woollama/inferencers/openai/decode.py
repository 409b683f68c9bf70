"""A chat completion stream, chunk by chunk, to the events of a round. Upstreams' oddities end here.

Calls come out one after the other, whole, even where an upstream interleaves them: later ones wait until the one
before is complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from woollama.domain.call_deltas import CallDeltas, arguments_text
from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    RefusalDelta,
    Rewrote,
    RoundBegan,
    SealedSeen,
    Stopped,
    StopReason,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
)
from woollama.domain.messages import Sealed
from woollama.domain.turns import Target
from woollama.inferencers.http.refusals import refused_in_stream
from woollama.inferencers.openai.usage import usage_in

_REASONS: Mapping[str, StopReason] = {
    "stop": "end",
    "eos": "end",
    "end_turn": "end",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "stop_sequence": "stop_sequence",
}
_BREAKDOWNS = frozenset({"error", "insufficient_system_resource"})
_OF_THE_ANSWER = ("system_fingerprint", "service_tier")
_OF_EVERY_CALL = frozenset({"index", "id", "type", "function"})


class ChatStreamDecoder:
    """`feed` each chunk, then `close`. A body that is not streamed is fed as one chunk."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._deltas = CallDeltas()
        self._opened: str | None = None
        self._details: list[Any] = []
        self._live = 0
        self._sent = 0
        self._call_extras: dict[int, dict[str, Any]] = {}
        self._usage: Mapping[str, Any] | None = None
        self._noted_audio = False
        self.began = False
        self.finish: str | None = None

    def feed(self, chunk: Any) -> list[Event]:
        """Raises `UpstreamBroke` for what is no chunk, `UpstreamRefused` for an error in a chunk's place."""
        if not isinstance(chunk, dict):
            raise UpstreamBroke(f"{self._target} sent a chunk that is not an object")
        if chunk.get("error") or chunk.get("object") == "error":
            raise refused_in_stream(self._target, chunk)
        events: list[Event] = []
        if not self.began:
            self.began = True
            extra = {name: chunk[name] for name in _OF_THE_ANSWER if chunk.get(name) is not None}
            native_id, model = _text(chunk.get("id")), _text(chunk.get("model"))
            events.append(RoundBegan(0, self._target, native_id, model, {"chat": extra} if extra else {}))
        choice = next((each for each in _objects(chunk.get("choices")) if not each.get("index")), {})
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            events += self._delta(delta, choice)
        if finish := _text(choice.get("finish_reason")):
            if finish in _BREAKDOWNS:
                raise UpstreamBroke(f"{self._target} gave up in the middle of its answer: {finish}")
            events += [*self._leave_reasoning(), *self._close_calls()]
            self.finish = self.finish or finish
        usage = usage_in(chunk, choice)
        if usage and usage.native != self._usage:
            self._usage = usage.native
            events.append(UsageSeen(0, usage))
        return events

    def close(self, *, done: bool) -> list[Event]:
        """The end of the stream; `done` when the upstream said so. Raises `UpstreamBroke` when it is no end."""
        if self.finish is None and not (done and self.began):
            raise UpstreamBroke(f"{self._target} ended its answer without finishing it")
        events: list[Event] = [*self._leave_reasoning(), *self._close_calls()]
        called = bool(self._deltas.calls)
        reason = _REASONS.get((self.finish or "stop").lower(), "end")
        if called and reason == "end":
            reason = "tool_calls"
        elif reason == "tool_calls" and not called:
            reason = "end"
        return [*events, Stopped(reason, self.finish)]

    def _delta(self, delta: Mapping[str, Any], choice: Mapping[str, Any]) -> Iterator[Event]:
        thought = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        details = _objects(delta.get("reasoning_details"))
        content = delta.get("content")
        text = _text(content) or ""
        if isinstance(content, list):
            thought = thought or "".join(_texts_of(content, "thinking"))
            text = "".join(_texts_of(content, "text"))
        if thought or details:
            yield from self._enter("reasoning")
            self._details += details
            if thought:
                yield ThinkingDelta(thought)
        annotations = tuple(_objects(delta.get("annotations")))
        logprobs = tuple(_objects((choice.get("logprobs") or {}).get("content")))
        if text or annotations or logprobs:
            yield from self._enter("message")
            yield TextDelta(text, logprobs, annotations)
        if refusal := _text(delta.get("refusal")):
            yield from self._enter("message")
            yield RefusalDelta(refusal)
        if delta.get("audio") and not self._noted_audio:
            self._noted_audio = True
            yield Rewrote("audio output was left out")
        pieces = _objects(delta.get("tool_calls"))
        if isinstance(retired := delta.get("function_call"), dict):
            pieces = [*pieces, {"index": 0, "function": retired}]
        for piece in pieces:
            yield from self._piece(piece)

    def _piece(self, piece: Mapping[str, Any]) -> Iterator[Event]:
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        index = piece.get("index")
        text = arguments_text(function.get("arguments"))
        native_index = index if isinstance(index, int) else None
        call = self._deltas.place(native_index, _text(piece.get("id")), _text(function.get("name")), text)
        if extra := {key: value for key, value in piece.items() if key not in _OF_EVERY_CALL}:
            self._call_extras.setdefault(call.index, {}).update(extra)
        yield from self._leave_reasoning()
        while self._live < call.index and self._deltas.calls[self._live].whole:
            yield from self._close_live()
        if call.index == self._live:
            yield from self._show_live()

    def _show_live(self) -> Iterator[Event]:
        call = self._deltas.calls[self._live]
        if not call.name:
            return
        if self._opened != "call":
            self._opened = "call"
            extra = self._call_extras.get(call.index)
            yield CallOpened(call.index, call.id, call.name, extra={"chat": extra} if extra else {})
        for text in call.arguments[self._sent :]:
            yield ArgumentsDelta(call.index, text)
        self._sent = len(call.arguments)

    def _close_live(self) -> Iterator[Event]:
        call = self._deltas.calls[self._live]
        if not call.name:
            raise UpstreamBroke(f"{self._target} called a tool without naming it")
        if not call.text.strip():
            call.arguments.append("{}")  # a call without arguments; its clients parse them all the same
        yield from self._show_live()
        yield CallClosed(call.index, call.text)
        self._live, self._sent, self._opened = self._live + 1, 0, None

    def _close_calls(self) -> Iterator[Event]:
        while self._live < len(self._deltas.calls):
            yield from self._close_live()

    def _enter(self, kind: str) -> Iterator[Event]:
        if self._opened == kind:
            return
        yield from self._leave_reasoning()
        yield from self._close_calls()
        self._opened = kind
        yield ItemOpened("reasoning" if kind == "reasoning" else "message")

    def _leave_reasoning(self) -> Iterator[Event]:
        """What was thought belongs to its maker: it alone gets it back."""
        if self._opened != "reasoning":
            return
        self._opened = None
        data = json.dumps(self._details, ensure_ascii=False) if self._details else ""
        self._details = []
        yield SealedSeen(Sealed(data, self._target.inferencer))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _objects(values: Any) -> Sequence[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _texts_of(parts: list[Any], kind: str) -> Iterator[str]:
    """The texts of the content parts of one kind; a thinking part holds text parts itself."""
    for part in _objects(parts):
        if part.get("type") == kind:
            inner = part.get(kind)
            if isinstance(inner, str):
                yield inner
            elif isinstance(inner, list):
                yield from _texts_of(inner, "text")
