"""What a relayed chat stream is spared: tool calls that no client can put together, and an end that is none.

Every frame passes as it came. Only where a byte search finds something to tend to is a frame opened: pieces of tool
calls, a usage, a finish, an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from woollama.domain.call_deltas import CallDeltas, PlacedCall, arguments_text
from woollama.domain.errors import RouterError, UpstreamBroke
from woollama.domain.frames import data_of, with_data
from woollama.domain.wire_json import dumps, loads
from woollama.surfaces.sse import DONE, data_frame

# A value that is null or empty is no reason to open a frame: many upstreams put such members into every one.
_telling = re.compile(
    rb'"(?:tool_calls"\s*:\s*\[(?:\s|data:)*\{|usage"\s*:\s*\{|finish_reason"\s*:\s*"|error"\s*:\s*["{]'
    rb'|object"\s*:\s*"error")'
)
_usage = re.compile(rb'"usage"\s*:\s*(?=\{)')
_USAGE_LIMIT_BYTES = 8192


@dataclass(slots=True)
class Tap:
    """What was seen in passing, for metrics. `finish` is the upstream's own word."""

    finish: str | None = None
    usage: Mapping[str, Any] | None = None
    calls: int = 0
    error: Any = None


class ChatRepair:
    """Feed it each frame and send on what it gives; call `end` when the upstream has ended its body properly.

    When `done` is true the client has all of it: whatever the connection does afterwards is no failure.
    """

    def __init__(self, error_frame: Callable[[RouterError], bytes]) -> None:
        self.tap = Tap()
        self.done = False
        self._error_frame = error_frame
        self._first: bytes | None = None
        self._calls: dict[int, CallDeltas] = {}

    def repair(self, frame: bytes) -> list[bytes]:
        if self.done:
            return []
        if _telling.search(frame):
            return [self._tended(frame)]
        if b"[DONE]" in frame and data_of(frame) == b"[DONE]":
            return self._finished(frame)
        if self._first is None and b"choices" in frame:
            self._first = frame
        return [frame]

    def end(self) -> list[bytes]:
        """What is still owed to the client after a proper end."""
        if self.done or self.tap.error is not None:
            return []
        if self.tap.finish is None:
            return [self._error_frame(UpstreamBroke("the upstream ended its answer without finishing it"))]
        self.done = True
        return [DONE]

    def _finished(self, done: bytes) -> list[bytes]:
        if self.tap.error is not None:
            return []  # a success marker after an error would hide it
        if self.tap.finish is not None:
            self.done = True
            return [done]
        first = self._opened(self._first) if self._first else None
        if first is None:
            return []  # nothing was said: `end` will report it
        self.done = True
        self.tap.finish = "tool_calls" if self._calls else "stop"
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": self.tap.finish}
        return [data_frame({**first, "choices": [choice]}), done]

    def _tended(self, frame: bytes) -> bytes:
        chunk = self._opened(frame)
        if chunk is None:
            return frame
        if error := chunk.get("error") or (chunk.get("object") == "error" and chunk):
            self.tap.error = error
            return frame
        if self._first is None:
            self._first = frame
        if isinstance(usage := chunk.get("usage"), dict):
            self.tap.usage = usage
        changed = False
        for choice in _objects(chunk.get("choices")):
            if isinstance(finish := choice.get("finish_reason"), str) and finish:
                self.tap.finish = self.tap.finish or finish
            delta = choice.get("delta")
            pieces = _objects(delta.get("tool_calls")) if isinstance(delta, dict) else []
            if pieces:
                calls = self._calls.setdefault(_number(choice.get("index")) or 0, CallDeltas())
                for piece in pieces:
                    changed |= _mended(piece, calls)
        self.tap.calls = sum(len(deltas.calls) for deltas in self._calls.values())
        return with_data(frame, dumps(chunk)) if changed else frame

    @staticmethod
    def _opened(frame: bytes) -> dict[str, Any] | None:
        try:
            chunk = loads(data_of(frame) or b"")
        except ValueError:
            return None
        return chunk if isinstance(chunk, dict) else None


def usage_in(raw: bytes) -> Mapping[str, Any] | None:
    """The last object called `usage` in a JSON text, found without reading the rest of it."""
    found = _usage.match(raw, at) if (at := raw.rfind(b'"usage"')) >= 0 else None
    if found is None:
        return None
    text = raw[found.end() : found.end() + _USAGE_LIMIT_BYTES].decode("utf-8", "replace")
    try:
        usage: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    except ValueError:
        return None
    return usage


class Verbatim:
    """The same for streams that end without a `[DONE]`: every frame passes, and the end of the body is the end."""

    def __init__(self) -> None:
        self.tap = Tap()
        self.done = False

    def repair(self, frame: bytes) -> list[bytes]:
        self.tap.usage = usage_in(frame) or self.tap.usage
        return [frame]

    def end(self) -> list[bytes]:
        return []


def _mended(piece: dict[str, Any], calls: CallDeltas) -> bool:
    """Give `piece` of a tool call what it lacks; True if it lacked anything."""
    before = dict(piece)
    function = piece.get("function")
    function = dict(function) if isinstance(function, dict) else {}
    known = len(calls.calls)
    native_id = piece.get("id") if isinstance(piece.get("id"), str) else None
    name = function.get("name") if isinstance(function.get("name"), str) else None
    text = arguments_text(function.get("arguments"))
    call: PlacedCall = calls.place(_number(piece.get("index")), native_id, name, text)
    piece["index"] = call.index
    if len(calls.calls) > known:
        piece["id"] = call.id
        piece.setdefault("type", "function")
        piece["function"] = {**function, "arguments": text}
    elif "arguments" in function:
        piece["function"] = {**function, "arguments": text}
    if native_id and native_id == call.native_id:
        piece["id"] = call.id
    return piece != before


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
