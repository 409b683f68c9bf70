"""Server-sent events, outbound: every function gives whole frames."""

from __future__ import annotations

from typing import Any

from woollama.domain.wire_json import dumps

DONE = b"data: [DONE]\n\n"
HEARTBEAT = b": heartbeat\n\n"


def data_frame(value: Any) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"


def event_frame(event: str, value: Any) -> bytes:
    """A frame with its type in an `event` line, as the dialects with named events want it."""
    return b"event: " + event.encode() + b"\ndata: " + dumps(value) + b"\n\n"
