"""What differs between the dialects' streams when one of them is passed on: silence, soundness, the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from woollama.domain.errors import RouterError
from woollama.surfaces.relay_repair import ChatRepair, Tap, Verbatim, usage_in
from woollama.surfaces.sse import HEARTBEAT

EVENTS = b"text/event-stream; charset=utf-8"
ErrorFrame = Callable[[RouterError], bytes]


class Repair(Protocol):
    """Feed it each frame and send on what it gives; call `end` when the upstream has ended its body properly.

    When `done` is true the client has all of it: whatever the connection does afterwards is no failure.
    """

    @property
    def tap(self) -> Tap: ...

    @property
    def done(self) -> bool: ...

    def repair(self, frame: bytes) -> list[bytes]: ...

    def end(self) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class StreamShape:
    """`heartbeat` is what a client passes over, `repair` makes what mends one stream, `usage` finds the cost in a body
    that is not streamed. Unless it `commits_early`, a stream begins only when the upstream's status is known.
    """

    heartbeat: bytes
    repair: Callable[[ErrorFrame], Repair]
    content_type: bytes = EVENTS
    usage: Callable[[bytes], Mapping[str, Any] | None] = usage_in
    commits_early: bool = True


CHAT = StreamShape(HEARTBEAT, ChatRepair)
UNTENDED = StreamShape(HEARTBEAT, lambda error_frame: Verbatim(), commits_early=False)
"""Streams that end as their upstream ends them. Many of those upstreams answer a wish for a stream with one object."""
