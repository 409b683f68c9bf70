"""A relayed stream whose events have names: Messages, Responses. Its events pass as they came; its end is watched."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from woollama.domain.errors import RouterError, UpstreamBroke
from woollama.domain.frames import data_of
from woollama.domain.wire_json import loads
from woollama.surfaces.relay_repair import Tap
from woollama.surfaces.sse import event_frame

_type = re.compile(rb'"type"\s*:\s*"([\w.]+)"')
_INPUTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class ResponsesRepair:
    """`ends` are the events after which nothing more comes; a body that ends before one of them was cut short."""

    ends: frozenset[str] = frozenset({"response.completed", "response.incomplete", "response.failed"})

    def __init__(self, error_frame: Callable[[RouterError], bytes]) -> None:
        self.tap = Tap()
        self.done = False
        self._error_frame = error_frame

    def repair(self, frame: bytes) -> list[bytes]:
        if self.done:
            return []
        kind = _kind_of(frame)
        if kind == "error":
            self.tap.error = _opened(frame)
        elif kind in self.ends:
            self.done = True
        if b'"usage"' in frame:
            self._see_usage(_opened(frame))
        return [frame]

    def end(self) -> list[bytes]:
        if self.done or self.tap.error is not None:
            return []
        return [self._error_frame(UpstreamBroke("the upstream ended its answer without finishing it"))]

    def _see_usage(self, event: Mapping[str, Any]) -> None:
        response = event.get("response")
        if isinstance(response, dict) and isinstance(usage := response.get("usage"), dict):
            self.tap.usage = usage


class MessagesRepair(ResponsesRepair):
    """A stream that gave its stop reason but not its `message_stop` is whole, and gets one."""

    ends = frozenset({"message_stop"})

    def end(self) -> list[bytes]:
        if self.tap.finish is None or self.tap.error is not None or self.done:
            return super().end()
        self.done = True
        return [event_frame("message_stop", {"type": "message_stop"})]

    def _see_usage(self, event: Mapping[str, Any]) -> None:
        delta, message = event.get("delta"), event.get("message")
        if isinstance(delta, dict) and isinstance(finish := delta.get("stop_reason"), str):
            self.tap.finish = finish
        usage = message.get("usage") if isinstance(message, dict) else event.get("usage")
        if isinstance(usage, dict):
            counted = messages_usage({**(self.tap.usage or {}), **usage})
            self.tap.usage = counted


def messages_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """`usage` of Messages with what `prompt_tokens` says elsewhere, the cached part of the input included."""
    counts = [value for name in _INPUTS if isinstance(value := usage.get(name), int)]
    return {**usage, "prompt_tokens": sum(counts)} if counts else dict(usage)


def _kind_of(frame: bytes) -> str:
    """The event's name: that of its `event` line, or where a look-alike forgot that, the type in its data."""
    if frame.startswith(b"event:"):
        return frame[len(b"event:") :].split(b"\n", 1)[0].strip().decode("latin-1")
    found = _type.search(frame)
    return found[1].decode("latin-1") if found else ""


def _opened(frame: bytes) -> Mapping[str, Any]:
    try:
        event = loads(data_of(frame) or b"")
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
