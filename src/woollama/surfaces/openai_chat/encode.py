"""Chat completions, outbound: events to chunks, or an answer to one body.

The rounds in which our own tools ran are hidden: the client sees one message, one `finish_reason` and the sum of all
usage. What it could not see otherwise stands under `x_woollama` in the last object.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from woollama.domain.answers import Answer
from woollama.domain.errors import RouterError
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    Failed,
    RefusalDelta,
    RoundBegan,
    Stopped,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from woollama.domain.ids import new_id
from woollama.domain.messages import Json, Message, Reasoning, Refusal, ToolCall
from woollama.domain.turns import Turn
from woollama.surfaces.footnotes import footnotes
from woollama.surfaces.openai_chat.decode import usage_wanted
from woollama.surfaces.openai_errors import encode_error
from woollama.surfaces.sse import DONE, data_frame

FINISH_REASONS: Mapping[StopReason, str] = {
    "end": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "stop_sequence": "stop",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "paused": "stop",
    "max_rounds": "length",
    "cancelled": "stop",
}
BETWEEN_ROUNDS = "\n\n"


def encode_error_frame(error: RouterError) -> bytes:
    """The frame that ends a stream which failed; no `[DONE]` follows it."""
    return data_frame(encode_error(error))


class StreamEncoder:
    """The chunks of one answer. Feed it every event of the run; it gives the frames that each makes."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._answer = Answer()
        self._usage_wanted = usage_wanted(turn)
        self._base = {
            "id": new_id("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": turn.model,
        }
        self._began = False
        self._spoke = False
        self._gap = False
        self._indexes: dict[int, int] = {}
        self._told: set[int] = set()
        self._calls = 0

    def encode(self, event: Event) -> list[bytes]:
        self._answer.see(event)
        match event:
            case RoundBegan():
                self._gap, self._indexes, self._told = self._spoke, {}, set()
                self._base |= event.extra.get("chat", {})
                return self._begin()
            case TextDelta():
                text = BETWEEN_ROUNDS + event.text if self._gap and event.text else event.text
                if event.text:
                    self._gap, self._spoke = False, True
                logprobs = {"content": list(event.logprobs), "refusal": None} if event.logprobs else None
                return [*self._begin(), self._chunk({"content": text}, logprobs=logprobs)]
            case ThinkingDelta():
                return [*self._begin(), self._chunk({"reasoning_content": event.text})]
            case RefusalDelta():
                return [*self._begin(), self._chunk({"refusal": event.text})]
            case CallOpened(runs="client"):
                self._indexes[event.index] = index = self._calls
                self._calls += 1
                call = {"index": index, "id": event.id, "type": "function", **event.extra.get("chat", {})}
                return [*self._begin(), self._call_chunk({**call, "function": {"name": event.name, "arguments": ""}})]
            case ArgumentsDelta() if event.index in self._indexes:
                self._told.add(event.index)
                return [self._arguments_chunk(event.index, event.text)]
            case CallClosed() if event.index in self._indexes and event.index not in self._told:
                return [self._arguments_chunk(event.index, event.arguments)]
            case Stopped():
                return [*self._begin(), *self._end(event)]
            case Failed():
                return [encode_error_frame(event.error)]
            case _:
                return []

    def _begin(self) -> list[bytes]:
        if self._began:
            return []
        self._began = True
        return [self._chunk({"role": "assistant", "content": "", "refusal": None})]

    def _end(self, stopped: Stopped) -> list[bytes]:
        last: dict[str, Json] = {}
        if notes := footnotes(self._answer):
            last["x_woollama"] = notes
        frames = [self._chunk({}, finish=FINISH_REASONS[stopped.reason], **({} if self._usage_wanted else last))]
        if self._usage_wanted:
            usage = {**self._base, "choices": [], "usage": encode_usage(self._answer.usage.total), **last}
            frames.append(data_frame(usage))
        return [*frames, DONE]

    def _arguments_chunk(self, index: int, text: str) -> bytes:
        return self._call_chunk({"index": self._indexes[index], "function": {"arguments": text}})

    def _call_chunk(self, call: Mapping[str, Json]) -> bytes:
        return self._chunk({"tool_calls": [call]})

    def _chunk(
        self, delta: Mapping[str, Json], *, finish: str | None = None, logprobs: Json = None, **more: Json
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        chunk = {**self._base, "choices": [choice], **more}
        if self._usage_wanted:
            chunk["usage"] = None
        return data_frame(chunk)


def encode_answer(turn: Turn, answer: Answer) -> dict[str, Any]:
    """The body of a finished answer; the same message that the chunks of its stream add up to."""
    ending = answer.ending
    if not isinstance(ending, Stopped):
        raise TypeError(f"only a stopped answer has a body, not one that ended with {ending!r}")
    said = [item for item in answer.items if isinstance(item, Message)]
    refusals = [part.text for message in said for part in message.parts if isinstance(part, Refusal)]
    thoughts = [item.text or "".join(item.summary) for item in answer.items if isinstance(item, Reasoning)]
    calls = [item for item in answer.items if isinstance(item, ToolCall) and item.runs == "client"]
    content = BETWEEN_ROUNDS.join(filter(None, answer.texts))
    message: dict[str, Json] = {
        "role": "assistant",
        "content": content if content or not (calls or refusals) else None,
        "refusal": "".join(refusals) or None,
        "annotations": [],
    }
    if thought := "".join(thoughts):
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = [
            {
                **call.extra.get("chat", {}),
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    body: dict[str, Json] = {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": turn.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": {"content": answer.logprobs, "refusal": None} if answer.logprobs else None,
                "finish_reason": FINISH_REASONS[ending.reason],
            }
        ],
        "usage": encode_usage(answer.usage.total),
    }
    for began in answer.rounds:
        body |= began.extra.get("chat", {})
    if notes := footnotes(answer):
        body["x_woollama"] = notes
    return body


def encode_usage(usage: Usage) -> dict[str, Json]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
