"""Ollama's own words: why an answer ended, what it cost, what went wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from woollama.domain.answers import Answer
from woollama.domain.errors import RouterError, UpstreamBroke
from woollama.domain.events import StopReason
from woollama.domain.messages import Json
from woollama.domain.wire_json import dumps, loads
from woollama.surfaces.relay_repair import Tap
from woollama.surfaces.stream_shape import StreamShape

DONE_REASONS: Mapping[StopReason, str] = {
    "end": "stop",
    "length": "length",
    "tool_calls": "stop",
    "stop_sequence": "stop",
    "content_filter": "stop",
    "refusal": "stop",
    "paused": "stop",
    "max_rounds": "length",
    "cancelled": "stop",
}
_DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
_done = re.compile(rb'"done"\s*:\s*true')
_error = re.compile(rb'\A\s*\{\s*"error"\s*:')


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def cost_of(answer: Answer) -> dict[str, Json]:
    """Counts of tokens, and durations in nanoseconds: the upstream's own where one round of its was the whole answer.

    Clients of this dialect take the count of the prompt for the size of the context, so it is the last round's.
    """
    usage = answer.usage
    native = usage.last_round.native or {}
    durations = {name: native[name] for name in _DURATIONS if name in native} if len(answer.rounds) == 1 else {}
    return {
        **_measured(answer),
        **durations,
        "prompt_eval_count": usage.last_round.input_tokens,
        "eval_count": usage.total.output_tokens,
    }


def _measured(answer: Answer) -> dict[str, Json]:
    ended_s = answer.ended_s if answer.ended_s is not None else answer.began_s
    spoke_s = answer.spoke_s if answer.spoke_s is not None else ended_s
    return {
        "total_duration": _ns(ended_s - answer.began_s),
        "load_duration": 0,
        "prompt_eval_duration": _ns(spoke_s - answer.began_s),
        "eval_duration": _ns(ended_s - spoke_s),
    }


def _ns(seconds: float) -> int:
    """Never 0: clients divide by it."""
    return max(1, int(seconds * 1e9))


def encode_error(error: RouterError) -> dict[str, Any]:
    """`{"error": "what happened", "at_fault", "param"?}`: clients of this dialect read the text alone, so it names the
    field."""
    named = error.param is None or error.param in error.message
    message = error.message if named else f"{error.param}: {error.message}"
    return {"error": message, "at_fault": error.at_fault, **({"param": error.param} if error.param else {})}


def encode_error_frame(error: RouterError) -> bytes:
    """The line that ends a stream which failed; none that is done follows it."""
    return line(encode_error(error))


def line(value: Any) -> bytes:
    return dumps(value) + b"\n"


class LinesRepair:
    """Relayed lines pass as they came; a body that ends before one of them is done was cut short."""

    def __init__(self, error_frame: Callable[[RouterError], bytes]) -> None:
        self.tap = Tap()
        self.done = False
        self._error_frame = error_frame

    def repair(self, frame: bytes) -> list[bytes]:
        if self.done:
            return []
        if _error.match(frame):
            self.tap.error = frame
        elif _done.search(frame) and _is_done(frame):
            self.done = True
            self.tap.usage = usage_in(frame)
        return [frame]

    def end(self) -> list[bytes]:
        if self.done or self.tap.error is not None:
            return []
        return [self._error_frame(UpstreamBroke("the upstream ended its answer without finishing it"))]


def usage_in(body: bytes) -> Mapping[str, Any] | None:
    """What an object that is done says of its cost, under the names that the log line has for it."""
    try:
        value = loads(body)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    names = {"prompt_eval_count": "input_tokens", "eval_count": "output_tokens"}
    return {ours: value[theirs] for theirs, ours in names.items() if theirs in value}


def _is_done(frame: bytes) -> bool:
    """The words may stand in a text as well."""
    try:
        value = json.loads(frame)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("done") is True


# White space before a JSON value is part of no value: a line may begin with it, and nobody's parser minds.
SHAPE = StreamShape(b" ", LinesRepair, content_type=b"application/x-ndjson", usage=usage_in)
