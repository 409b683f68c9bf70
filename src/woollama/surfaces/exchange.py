"""One request that a model answers, whatever its dialect: read, decide, relay or run, send.

The only path from a client to a model. A dialect is a module with four functions; everything that all dialects share
(reading, errors, the status line, heartbeats, departures, headers) is here once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from woollama.core.names import Names, Route
from woollama.core.route_of import Engine, Relay, Traits, route_of
from woollama.core.runs import Run, Runs
from woollama.domain.answers import Answer
from woollama.domain.errors import NoStateOwner, RouterError
from woollama.domain.events import Event, Failed, Rewrote, RoundBegan, ToolsListed, UsageMeter, UsageSeen
from woollama.domain.ids import new_id
from woollama.domain.messages import Dialect
from woollama.domain.turns import Caller, Turn
from woollama.surfaces.bodies import Headers, header_of, header_value, read_json, send_json
from woollama.surfaces.body_head import ScannedHead, scan
from woollama.surfaces.departure import Departure
from woollama.surfaces.event_stream import COMMIT_AFTER_S, EventStream
from woollama.surfaces.relay import JsonBody, Relayed, Relayer
from woollama.surfaces.shrunk_body import ShrunkBodies
from woollama.surfaces.stream_shape import StreamShape

DEFAULT_HEARTBEAT_S = 15.0
_IMAGE = re.compile(rb'"type"\s*:\s*"(?:image_url|input_image|image)"|"images"\s*:\s*\[\s*"')
Note = Callable[..., None]
"""Adds what is known of a request to its log line."""


class Encoder(Protocol):
    def encode(self, event: Event) -> list[bytes]: ...


class Codec(Protocol):
    """A dialect: a module of this shape."""

    @property
    def SHAPE(self) -> StreamShape: ...  # noqa: N802

    @property
    def StreamEncoder(self) -> Callable[[Turn], Encoder]: ...  # noqa: N802

    def decode(self, body: Mapping[str, Any], *, turn_id: str, caller: Caller) -> Turn: ...

    def encode_answer(self, turn: Turn, answer: Answer) -> dict[str, Any]: ...

    def encode_error(self, error: RouterError) -> dict[str, Any]: ...

    def encode_error_frame(self, error: RouterError) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every exchange works with. `shrunk` makes results in bodies smaller for clients that ask; `scrub` takes
    known secrets out of an error."""

    names: Names
    runs: Runs
    traits: Mapping[str, Traits]
    relayer: Relayer
    shrunk: ShrunkBodies | None = None
    scrub: Callable[[RouterError], RouterError] = lambda error: error
    heartbeat_s: float = DEFAULT_HEARTBEAT_S
    commit_after_s: float = COMMIT_AFTER_S


class Exchange:
    """The endpoint of one dialect. `upstream_path` is where a relayed request goes, below the base URL."""

    def __init__(self, dialect: Dialect, codec: Codec, upstream_path: str, around: Surroundings) -> None:
        self._dialect: Dialect = dialect
        self._codec = codec
        self._path = upstream_path
        self._around = around

    def __repr__(self) -> str:
        return f"<Exchange {self._dialect}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = await read_json(scope, receive)
        if self._around.shrunk is not None:
            raw = await self._around.shrunk.of(raw, scope["headers"])
        head = scan(raw, self._dialect, header_of(scope, b"content-type"))
        around = self._around
        note: Note = scope["state"]["span"].note
        note(surface=self._dialect, model=head.model if isinstance(head.model, str) else None)
        caller: Caller = scope["state"]["caller"]
        route = around.names.resolve(head.model, caller.scope, needs=_needs_of(head, raw))
        decision = await self._decide(head, route, caller)
        note(by=type(decision).__name__.lower())
        async with _told_on_failure(decision, note), Departure(receive) as departure:
            if isinstance(decision, Relay):
                body, path = JsonBody(raw, head), self._path + _passed_query(scope)
                frame, shape = self._codec.encode_error_frame, self._codec.SHAPE
                relayed = Relayed(body, decision.targets, path, scope["headers"], caller, note, frame, shape)
                await self._relay(relayed, head, send, departure)
            elif (at_once := self.without_a_model(head)) is not None:
                await at_once(send)
            else:
                await self._ask(head, caller, decision, send, note)

    async def _decide(self, head: ScannedHead, route: Route, caller: Caller) -> Relay | Engine:
        return route_of(head, route, self._around.traits)

    async def _relay(self, relayed: Relayed, head: ScannedHead, send: Send, departure: Departure) -> None:
        await self._around.relayer.respond(relayed, send, departure)

    async def _ask(self, head: ScannedHead, caller: Caller, decision: Engine, send: Send, note: Note) -> None:
        """Answer a request by the engine."""
        turn = self._codec.decode(head.body, turn_id=new_id("turn_"), caller=caller)
        await self.play(turn, decision, send, note, stream=head.stream)

    def without_a_model(self, head: ScannedHead) -> Callable[[Send], Awaitable[None]] | None:
        """What answers a request that asks nothing of its model; none does in most dialects."""
        return None

    async def play(self, turn: Turn, decision: Engine, send: Send, note: Note, *, stream: bool) -> None:
        """Run a turn and send its answer."""
        _refuse_state(turn)
        async with self._around.runs.start(turn) as run:
            if stream:
                await self._stream_run(run, self._codec.StreamEncoder(turn), decision, send, note)
            else:
                await self._answer_run(run, partial(self._codec.encode_answer, turn), decision, send, note)

    async def _stream_run(self, run: Run, encoder: Encoder, decision: Engine, send: Send, note: Note) -> None:
        run.is_told = not run.background  # which goes on when its request is over
        usage = UsageMeter()
        early: list[Event] = []
        frames: list[bytes] = []
        async with self._stream(send) as stream:
            async for event in run.watch():
                _tell(note, event)
                if isinstance(event, UsageSeen):
                    usage.see(event)
                if isinstance(event, Failed):
                    if not stream.begun:
                        raise event.error
                    event = Failed(self._around.scrub(event.error))
                frames += encoder.encode(event)
                if not stream.begun:
                    early.append(event)
                    if isinstance(event, Rewrote | ToolsListed):
                        continue  # it belongs into the headers, and the target is not known yet
                    await stream.begin(_headers(early, decision))
                await stream.write(b"".join(frames))
                frames.clear()
            if run.is_told:
                _tell_usage(note, usage)
            await stream.end()

    async def _answer_run(
        self, run: Run, encode: Callable[[Answer], dict[str, Any]], decision: Engine, send: Send, note: Note
    ) -> None:
        run.is_told = True
        answer = Answer()
        events: list[Event] = []
        async for event in run.watch():
            answer.see(event)
            _tell(note, event)
            if isinstance(event, RoundBegan | Rewrote):
                events.append(event)
        _tell_usage(note, answer.usage)
        if isinstance(answer.ending, Failed):
            raise answer.ending.error
        await send_json(send, 200, encode(answer), _headers(events, decision))

    def _stream(self, send: Send) -> EventStream:
        around = self._around
        return EventStream(
            send,
            heartbeat=self._codec.SHAPE.heartbeat,
            heartbeat_s=around.heartbeat_s,
            commit_after_s=around.commit_after_s,
            content_type=self._codec.SHAPE.content_type,
        )


def _needs_of(head: ScannedHead, raw: bytes) -> Collection[str]:
    """The capabilities that a body asks for. Where it is run here, the engine looks again, at what it means."""
    needs = {"chat"}
    if head.body.get("tools"):
        needs.add("tools")
    if _IMAGE.search(raw):
        needs.add("vision")
    return needs


def _refuse_state(turn: Turn) -> None:
    state = turn.state
    wishes = ("previous_response_id", "conversation", "key", "background", "store")
    if wish := next((name for name in wishes if getattr(state, name)), None):
        raise NoStateOwner(
            f"nobody keeps the state that `{wish}` asks for: {turn.model!r} is stateless here;"
            " send the whole history in `input`, and `store: false`",
            param=wish,
        )


@asynccontextmanager
async def _told_on_failure(decision: Relay | Engine, note: Note) -> AsyncIterator[None]:
    """An error that leaves here says which way its request went, and the log line which target failed."""
    try:
        yield
    except RouterError as error:
        error.path = path_of(decision)
        _tell_target(note, error)
        raise


def _passed_query(scope: Scope) -> str:
    """Clients of Messages ask for betas here; anything else in a query may be a secret."""
    return "?beta=true" if b"beta=true" in scope.get("query_string", b"").split(b"&") else ""


def path_of(decision: Relay | Engine) -> str:
    return f"engine; {decision.why}" if isinstance(decision, Engine) else "relay"


def _headers(events: list[Event], decision: Engine) -> Headers:
    began = next((event for event in events if isinstance(event, RoundBegan)), None)
    rewrites = [event.what for event in events if isinstance(event, Rewrote)]
    headers = [(b"x-woollama-path", path_of(decision).encode())]
    if began is not None:
        headers.append((b"x-woollama-target", header_value(str(began.target))))
        headers.append((b"x-woollama-attempts", str(began.attempts).encode()))
    if rewrites:
        headers.append((b"x-woollama-rewrites", header_value("; ".join(rewrites))))
    return headers


def _tell(note: Note, event: Event) -> None:
    if isinstance(event, RoundBegan):
        note(target=str(event.target), attempts=event.attempts)
    elif isinstance(event, Failed):
        note(error=event.error.kind)
        _tell_target(note, event.error)


def _tell_target(note: Note, error: RouterError) -> None:
    """Where it happened, if it got that far."""
    if error.target is not None:
        note(target=error.target, attempts=error.attempts)


def _tell_usage(note: Note, usage: UsageMeter) -> None:
    if usage.seen:
        note(tokens_in=usage.total.input_tokens, tokens_out=usage.total.output_tokens, cost_usd=usage.cost_usd)
