"""The events of a Responses stream as bytes."""

from __future__ import annotations

from woollama.surfaces.openai_responses.parts import Wire
from woollama.surfaces.sse import event_frame


def frame_of(wire: Wire, number: int) -> bytes:
    """`number` counts the events of the stream from 0."""
    return event_frame(wire["type"], {**wire, "sequence_number": number})


def data_of(frame: bytes) -> bytes:
    """The JSON of a frame that `frame_of` made."""
    return frame[frame.index(b"\ndata: ") + 7 : -2]
