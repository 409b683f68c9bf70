"""Turns that no request's line tells of: of a background response, of a WebSocket, of MCP's `chat`, of `compact`.

Each is logged and counted when it is over, as a request to a model is. What tool servers ask a model for tells of
itself.
"""

from __future__ import annotations

import logging
import time

from woollama.core.runs import Run
from woollama.domain.events import Event, Failed, RoundBegan, Stopped, UsageMeter, UsageSeen
from woollama.surfaces.metrics import Field, Metrics

_log = logging.getLogger("woollama.turns")


class TurnLog:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __repr__(self) -> str:
        return "<TurnLog>"

    def see(self, run: Run, event: Event) -> None:
        """An observer of runs."""
        if isinstance(event, Stopped | Failed) and not (run.is_told or run.turn.caller.depth):
            fields = _fields(run, event)
            _log.info("turn", extra={"fields": fields})
            self._metrics.see_turn(fields, run.turn.caller.label)


def _fields(run: Run, ending: Stopped | Failed) -> dict[str, Field]:
    turn, usage, began = run.turn, UsageMeter(), None
    for event in run.log:
        if isinstance(event, UsageSeen):
            usage.see(event)
        elif isinstance(event, RoundBegan):
            began = event
    failed = ending.error if isinstance(ending, Failed) else None
    tried = (failed.target, failed.attempts or None) if failed else (None, None)
    target, attempts = (str(began.target), began.attempts) if began else tried
    return {
        "surface": turn.dialect,
        "model": turn.model,
        "target": target,
        "attempts": attempts,
        "tokens_in": usage.total.input_tokens if usage.seen else None,
        "tokens_out": usage.total.output_tokens if usage.seen else None,
        "cost_usd": usage.cost_usd,
        "ms": round((time.monotonic() - run.began_at) * 1000),
        "error": failed.kind if failed else "cancelled" if ending == Stopped("cancelled") else None,
        "caller": turn.caller.name,
        "via": turn.caller.via,
    }
