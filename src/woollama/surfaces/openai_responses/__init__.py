"""The Responses dialect: OpenAI's, and Open Responses'.

A stream has one beginning and one end whatever happens between. Its final object and the body of the same answer
without a stream are the same, because both come from one builder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from woollama.domain.answers import Answer
from woollama.domain.errors import RouterError
from woollama.domain.events import Event, Stopped
from woollama.domain.tools import Tool
from woollama.domain.turns import Turn
from woollama.surfaces.event_repair import ResponsesRepair
from woollama.surfaces.openai_errors import encode_error
from woollama.surfaces.openai_responses.builder import ResponseBuilder
from woollama.surfaces.openai_responses.decode import decode
from woollama.surfaces.openai_responses.frames import frame_of
from woollama.surfaces.openai_responses.replay import replay
from woollama.surfaces.sse import DONE, HEARTBEAT, event_frame
from woollama.surfaces.stream_shape import StreamShape

__all__ = [
    "SHAPE",
    "ResponseBuilder",
    "StreamEncoder",
    "decode",
    "encode_answer",
    "encode_error",
    "encode_error_frame",
]

SHAPE = StreamShape(HEARTBEAT, ResponsesRepair)


class StreamEncoder:
    """The frames of one response. Feed it every event of the run; sequence numbers count from 0 without gaps."""

    def __init__(self, turn: Turn, tools: Sequence[Tool] = (), clock: Callable[[], float] = time.time) -> None:
        self._builder = ResponseBuilder(turn, tools, clock)
        self._sent = 0

    def encode(self, event: Event) -> list[bytes]:
        frames = [frame_of(wire, number) for number, wire in enumerate(self._builder.see(event), self._sent)]
        self._sent += len(frames)
        return [*frames, DONE] if isinstance(event, Stopped) else frames


def encode_answer(turn: Turn, answer: Answer, tools: Sequence[Tool] = ()) -> dict[str, Any]:
    """The Response of a finished answer; the one that its stream would end with, but for ids made on the way."""
    builder = ResponseBuilder(turn, tools)
    for event in replay(answer):
        builder.see(event)
    return builder.response()


def encode_error_frame(error: RouterError) -> bytes:
    """The error of a stream that we did not make ourselves, or have not begun: its number in the stream is unknown."""
    body = encode_error(error)["error"]
    said = {key: body[key] for key in ("code", "message", "param")}
    return event_frame("error", {"type": "error", "sequence_number": 0, **said, "error": body})
