"""A Messages stream, event by event as plain JSON objects, to the events of a round. No SDK, no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    OpaqueSeen,
    RoundBegan,
    SealedSeen,
    Stopped,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Extra, Json, Opaque, Sealed, no_extra
from woollama.domain.turns import Target
from woollama.inferencers.anthropic.errors import refusal_of

REASON_OF_WORD: Mapping[str, StopReason] = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "paused",
    "refusal": "refusal",
}
"""What each `stop_reason` means. A word that is not here ends the turn too, and is kept as the detail."""

_MESSAGE_WORDS = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
_CALL_WORDS = frozenset({"type", "id", "name", "input"})


@dataclass(slots=True)
class _Block:
    kind: Literal["text", "thinking", "call", "opaque"]
    raw: Mapping[str, Json]
    call_index: int = 0
    arguments: list[str] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)


class MessagesStreamDecoder:
    """`feed` it every event of one stream in order, then `close` it: that tells a whole answer from one cut short."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage: dict[str, Json] = {}
        self._native_id: str | None = None
        self._ending: Stopped | None = None
        self._ended = False

    def feed(self, obj: Mapping[str, Any]) -> list[Event]:
        """The events that `obj` tells, often none. Raises `UpstreamRefused` for an `error` event, and `UpstreamBroke`
        for one of a known kind in an unknown shape.

        Events of a kind that nobody has heard of are passed over, as the API's versioning asks of clients.
        """
        try:
            return self._events_of(obj)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UpstreamBroke(f"{self._target} said what nobody can read") from error

    def _events_of(self, obj: Mapping[str, Any]) -> list[Event]:
        match obj.get("type"):
            case "message_start":
                return self._message_start(obj.get("message") or {})
            case "content_block_start":
                return self._block_start(int(obj.get("index", 0)), obj.get("content_block") or {})
            case "content_block_delta":
                return self._block_delta(int(obj.get("index", 0)), obj.get("delta") or {})
            case "content_block_stop":
                return self._block_stop(int(obj.get("index", 0)))
            case "message_delta":
                return self._message_delta(obj)
            case "message_stop":
                return self.close()
            case "error":
                raise refusal_of(obj)
            case _:
                return []

    def close(self) -> list[Event]:
        """What was still to be said when the stream ended. Raises `UpstreamBroke` if it ended in the middle.

        A stream that gave its stop reason but not its `message_stop` is whole.
        """
        if self._ended:
            return []
        if self._ending is None:
            raise UpstreamBroke(f"{self._target} broke off in the middle of its answer")
        self._ended = True
        return [self._ending]

    def _message_start(self, message: Mapping[str, Any]) -> list[Event]:
        self._native_id = message.get("id")
        extra = _extra_of(message, _MESSAGE_WORDS)
        began = RoundBegan(0, self._target, self._native_id, message.get("model"), extra=extra)
        return [began, *self._usage_seen(message.get("usage"))]

    def _message_delta(self, obj: Mapping[str, Any]) -> list[Event]:
        delta = obj.get("delta") or {}
        if word := delta.get("stop_reason"):
            self._ending = Stopped(
                REASON_OF_WORD.get(word, "end"),
                detail=word,
                native_id=self._native_id,
                stop_sequence=delta.get("stop_sequence"),
                extra=_extra_of(delta, frozenset({"stop_reason", "stop_sequence"})),
            )
        return self._usage_seen(obj.get("usage"))

    def _usage_seen(self, usage: Mapping[str, Any] | None) -> list[Event]:
        """Counts are cumulative, and a later object leaves out what has not changed."""
        if not usage:
            return []
        self._usage |= {name: value for name, value in usage.items() if value is not None}
        return [UsageSeen(0, usage_of(self._usage))]

    def _block_start(self, index: int, raw: Mapping[str, Any]) -> list[Event]:
        match raw.get("type"):
            case "text":
                self._blocks[index] = _Block("text", raw)
                annotations = tuple(raw.get("citations") or ())
                opening = [TextDelta(raw.get("text") or "", annotations=annotations)] if raw.get("text") else []
                return [ItemOpened("message"), *opening]
            case "thinking":
                self._blocks[index] = block = _Block("thinking", raw)
                block.signature.append(raw.get("signature") or "")
                thought = raw.get("thinking")
                return [ItemOpened("reasoning"), *([ThinkingDelta(thought)] if thought else [])]
            case "redacted_thinking":
                sealed = Sealed(str(raw.get("data") or ""), self._target.inferencer)
                return [ItemOpened("reasoning", redacted=True), SealedSeen(sealed)]
            case "tool_use":
                self._blocks[index] = block = _Block("call", raw, call_index=self._calls)
                self._calls += 1
                return [
                    CallOpened(
                        block.call_index,
                        str(raw.get("id") or ""),
                        str(raw.get("name") or ""),
                        extra=_extra_of(raw, _CALL_WORDS),
                    )
                ]
            case _:
                self._blocks[index] = _Block("opaque", raw)
                return []

    def _block_delta(self, index: int, delta: Mapping[str, Any]) -> list[Event]:
        block = self._blocks.get(index)
        if block is None:
            return []
        match delta.get("type"):
            case "text_delta" if delta.get("text"):
                return [TextDelta(delta["text"])]
            case "citations_delta" if delta.get("citation"):
                return [TextDelta("", annotations=(delta["citation"],))]
            case "thinking_delta" if delta.get("thinking"):
                return [ThinkingDelta(delta["thinking"])]
            case "signature_delta":
                block.signature.append(delta.get("signature") or "")
            case "input_json_delta" if delta.get("partial_json"):
                block.arguments.append(delta["partial_json"])
                return [ArgumentsDelta(block.call_index, delta["partial_json"])] if block.kind == "call" else []
        return []

    def _block_stop(self, index: int) -> list[Event]:
        block = self._blocks.pop(index, None)
        if block is None:
            return []
        match block.kind:
            case "thinking":
                # Look-alikes of the API sign nothing; their thoughts still go back to nobody but them.
                return [SealedSeen(Sealed("".join(block.signature), self._target.inferencer))]
            case "call":
                return self._call_stop(block)
            case "opaque":
                raw = dict(block.raw)
                if block.arguments:
                    raw["input"] = json.loads("".join(block.arguments))
                return [OpaqueSeen(Opaque("anthropic", {"role": "assistant", "content": [raw]}))]
            case _:
                return []

    def _call_stop(self, block: _Block) -> list[Event]:
        if block.arguments:
            return [CallClosed(block.call_index, "".join(block.arguments))]
        # No pieces: a call without arguments, or a look-alike of the API that gives the whole input at once.
        arguments = json.dumps(block.raw.get("input") or {}, ensure_ascii=False)
        return [ArgumentsDelta(block.call_index, arguments), CallClosed(block.call_index, arguments)]


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Messages counts cached input beside `input_tokens`; here it is a part of it."""
    read = int(usage.get("cache_read_input_tokens") or 0)
    written = int(usage.get("cache_creation_input_tokens") or 0)
    return Usage(
        input_tokens=int(usage.get("input_tokens") or 0) + read + written,
        output_tokens=int(usage.get("output_tokens") or 0),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=int((usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0),
        native=dict(usage),
    )


def _extra_of(raw: Mapping[str, Any], known: frozenset[str]) -> Extra:
    rest = {name: value for name, value in raw.items() if name not in known and value is not None}
    return {"anthropic": rest} if rest else no_extra()
