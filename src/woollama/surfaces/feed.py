"""`GET /w1/events`: what happens now, for whoever looks on. Names, numbers and verdicts; of content only what an
approval must show.

A subscriber that reads too slowly loses the oldest events and is told how many; it never holds anybody up.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.core.runs import Run
from woollama.domain.events import Event, Failed, Rewrote, RoundBegan, Stopped, UsageMeter, UsageSeen
from woollama.domain.messages import Answer, Ask
from woollama.domain.wire_json import dumps
from woollama.surfaces.departure import Departure
from woollama.surfaces.event_stream import EventStream
from woollama.surfaces.sse import HEARTBEAT

HELD_EVENTS = 256


class Subscriber:
    """One reader's events that are still to be sent, at most `limit` of them."""

    def __init__(self, limit: int = HELD_EVENTS) -> None:
        self._held: deque[bytes] = deque()
        self._limit = limit
        self._news = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def put(self, frame: bytes) -> None:
        if len(self._held) >= self._limit:
            self._held.popleft()
            self.dropped += 1
        self._held.append(frame)
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def take(self) -> bytes | None:
        """All that has come since the last time, after a notice of what was lost; `None` at the end."""
        while not self._held:
            if self._closed:
                return None
            self._news.clear()
            await self._news.wait()
        notice = _frame("dropped", {"count": self.dropped}) if self.dropped else b""
        frames = notice + b"".join(self._held)
        self.dropped = 0
        self._held.clear()
        return frames


class Feed:
    """`scrub` takes known secrets out of every event. `request_id` tells for which request the current task works."""

    def __init__(
        self,
        *,
        heartbeat_s: float,
        scrub: Callable[[str], str] = str,
        request_id: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.heartbeat_s = heartbeat_s
        self._scrub = scrub
        self._request_id = request_id
        self._subscribers: set[Subscriber] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Feed to {len(self._subscribers)}>"

    def __len__(self) -> int:
        return len(self._subscribers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        if self._closed:
            subscriber.close()
        try:
            async with (
                Departure(receive),
                EventStream(send, heartbeat=HEARTBEAT, heartbeat_s=self.heartbeat_s) as stream,
            ):
                await stream.write(_frame("listening", {}))
                while (frames := await subscriber.take()) is not None:
                    await stream.write(frames)
                await stream.end()
        finally:
            self._subscribers.discard(subscriber)

    def tell(self, kind: str, **fields: Any) -> None:
        """Fields without a value are left out."""
        if not self._subscribers:
            return
        told = {key: value for key, value in fields.items() if value is not None}
        frame = self._scrub(_frame(kind, {**told, "request": self._request_id()}).decode()).encode()
        for subscriber in self._subscribers:
            subscriber.put(frame)

    def close(self) -> None:
        """Every stream ends, with a last event that says why."""
        self.tell("ending")
        self._closed = True
        for subscriber in self._subscribers:
            subscriber.close()

    def see_ask(self, ask: Ask, answer: Answer | None) -> None:
        """An observer of approvals. What waited and is over is told exactly once."""
        if answer is None:
            self.tell(
                "approval.asked",
                run=ask.run,
                id=ask.id,
                name=ask.name,
                args=ask.arguments,
                command_preview=ask.preview,
                caller=ask.caller,
                recipe=ask.recipe,
                expires_at=round(ask.expires_at, 3),
            )
            return
        self.tell(
            "approval.answered",
            run=ask.run,
            id=ask.id,
            name=ask.name,
            approved=answer.approved,
            by=answer.by or None,
            missing=answer.missing or None,
        )

    def see_run(self, run: Run, event: Event) -> None:
        """An observer of runs."""
        if not self._subscribers:
            return
        turn = run.turn
        if len(run.log) == 1:
            self.tell("run.began", run=turn.id, model=turn.model, dialect=turn.dialect, caller=turn.caller.name)
        match event:
            case RoundBegan():
                self.tell(
                    "round.began", run=turn.id, round=event.round, target=str(event.target), attempts=event.attempts
                )
            case Rewrote():
                self.tell("rewrote", run=turn.id, what=event.what)
            case Stopped() | Failed():
                usage = UsageMeter()
                for each in run.log:
                    if isinstance(each, UsageSeen):
                        usage.see(each)
                self.tell(
                    "run.ended",
                    run=turn.id,
                    reason=event.reason if isinstance(event, Stopped) else "failed",
                    error=event.error.kind if isinstance(event, Failed) else None,
                    message=event.error.message if isinstance(event, Failed) else None,
                    tokens_in=usage.total.input_tokens if usage.seen else None,
                    tokens_out=usage.total.output_tokens if usage.seen else None,
                    cost_usd=usage.cost_usd,
                )
            case _:
                pass


def _frame(kind: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps({"type": kind, "at": round(time.time(), 3), **fields}))
