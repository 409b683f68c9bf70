"""The relay: a request goes on with its `model` spliced, the answer comes back frame by frame.

Framing is parsed, meaning is not. So fields that nobody here has heard of survive, and a relayed answer carries the
upstream's own `model`. Names, leases, observation and errors are the engine's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.types import Message, Send

from woollama.core.attempts import RETRYABLE_STATUS, Attempts, Try
from woollama.core.lease import Gate
from woollama.core.prices import NO_PRICES, Prices
from woollama.domain.errors import RouterError, ShuttingDown, UpstreamBroke, UpstreamRefused
from woollama.domain.ports import Forwarded, Forwarder, ReplayableBody, RequestHead
from woollama.domain.turns import Caller, Target
from woollama.domain.wire_json import loads
from woollama.surfaces.bodies import Headers, header_value
from woollama.surfaces.body_head import ScannedHead, splice
from woollama.surfaces.departure import Departure
from woollama.surfaces.event_stream import COMMIT_AFTER_S, EventStream
from woollama.surfaces.relay_repair import Tap
from woollama.surfaces.stream_shape import CHAT, StreamShape
from woollama.surfaces.usage import usage_of

REFUSAL_LIMIT_BYTES = 64 * 1024
HOLD_LIMIT_BYTES = 4 * 1024 * 1024
READ_OUT_S = 1.0
_ERROR = b'"error"'


class Body(Protocol):
    """A request's body, as it can be sent to any target. `stream`: the client asked for an event stream."""

    @property
    def stream(self) -> bool: ...

    def for_model(self, model: str, extra_body: Mapping[str, Any]) -> bytes | ReplayableBody: ...


@dataclass(frozen=True, slots=True)
class JsonBody:
    raw: bytes
    head: ScannedHead

    @property
    def stream(self) -> bool:
        return self.head.stream

    def for_model(self, model: str, extra_body: Mapping[str, Any]) -> bytes:
        return splice(self.raw, self.head, model, extra_body)


@dataclass(frozen=True, slots=True)
class Relayed:
    """A request to pass on. `note` adds to its log line; `error_frame` renders an error of a stream in its dialect,
    `shape` is what else is that dialect's own."""

    body: Body
    targets: Sequence[Target]
    path: str
    headers: Headers
    caller: Caller
    note: Callable[..., None]
    error_frame: Callable[[RouterError], bytes]
    shape: StreamShape = CHAT
    method: str = "POST"


class Relayer:
    """`extra_bodies` are each inferencer's own additions to a body, used where the client says nothing. `places` are
    those of all turns at once.

    `scrub` takes known secrets out of an error of ours, `scrub_text` out of one that an upstream wrote: some repeat
    what they were sent.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        attempts: Attempts,
        extra_bodies: Mapping[str, Mapping[str, Any]],
        *,
        places: Gate,
        prices: Prices = NO_PRICES,
        heartbeat_s: float,
        commit_after_s: float = COMMIT_AFTER_S,
        scrub: Callable[[RouterError], RouterError] = lambda error: error,
        scrub_text: Callable[[str], str] = str,
    ) -> None:
        self._forwarder = forwarder
        self._attempts = attempts
        self._places = places
        self._prices = prices
        self._extra_bodies = extra_bodies
        self._heartbeat_s = heartbeat_s
        self._commit_after_s = commit_after_s
        self._scrub = scrub
        self._scrub_text = scrub_text

    def __repr__(self) -> str:
        return f"<Relayer over {self._forwarder!r}>"

    async def respond(self, request: Relayed, send: Send, departure: Departure) -> None:
        """Send the upstream's answer to the client. Raises `RouterError` if that fails before the status line."""
        if not request.body.stream:
            await self._pass_on(request, None, send)
            return
        async with EventStream(
            send,
            heartbeat=request.shape.heartbeat,
            heartbeat_s=self._heartbeat_s,
            commit_after_s=self._commit_after_s,
            commits_early=request.shape.commits_early,
            content_type=request.shape.content_type,
        ) as stream:
            try:
                await self._pass_on(request, stream, send)
            except RouterError as error:
                if not stream.begun:
                    raise
                await self._fail(request, stream, error)
            except asyncio.CancelledError:
                if stream.begun and not departure.gone:
                    await self._fail(request, stream, ShuttingDown("woollama was shut down in mid-answer"))
                raise

    async def _fail(self, request: Relayed, stream: EventStream, error: RouterError) -> None:
        request.note(error=error.kind)
        await stream.write(request.error_frame(self._scrub(error)))
        await stream.end()

    async def _pass_on(self, request: Relayed, stream: EventStream | None, send: Send) -> None:
        @asynccontextmanager
        async def attempt(trial: Try) -> AsyncIterator[Forwarded]:
            target = trial.target
            body = request.body.for_model(target.model, self._extra_bodies.get(target.inferencer, {}))
            head = RequestHead(
                target, request.method, request.path, request.headers, request.body.stream, request.caller.key
            )
            async with self._forwarder.forward(head, body) as answer:
                if answer.status in RETRYABLE_STATUS and not trial.last:
                    raise await refusal(answer, target)
                yield answer

        caller = request.caller.name
        async with (
            self._places.place(caller),
            self._attempts.first_to_answer(request.targets, caller, attempt, _failure) as found,
        ):
            trial, answer = found
            request.note(target=str(trial.target), attempts=trial.number)
            own = [
                (b"x-woollama-path", b"relay"),
                (b"x-woollama-target", header_value(str(trial.target))),
                (b"x-woollama-attempts", str(trial.number).encode()),
            ]
            if stream is not None and answer.status == 200 and _is_stream(answer):
                await stream.begin([*_without(answer.headers, b"content-type", b"cache-control"), *own])
                tap = await _pass_stream(answer, stream, request, self._scrubbed)
                request.note(**self._counted(trial.target, tap.usage))
                if tap.error:
                    request.note(error="upstream_broke")
            elif stream is None or await stream.stand_aside():
                held = await _pass_whole(answer, trial.target, own, send, self._scrubbed)
                request.note(**self._counted(trial.target, request.shape.usage(held)))
            elif answer.status == 200 and _is_json(answer):
                raise UpstreamBroke(f"{trial.target} answered in one piece where a stream was asked for")
            else:
                raise await refusal(answer, trial.target)

    def _counted(self, target: Target, said: Mapping[str, Any] | None) -> dict[str, Any]:
        usage = usage_of(said)
        return {**_tokens(said), "cost_usd": self._prices.cost_usd(target, usage) if usage else None}

    def _scrubbed(self, data: bytes) -> bytes:
        return self._scrub_text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _failure(answer: Forwarded) -> RouterError | None:
    """An upstream's own failure that was passed on as it came."""
    return UpstreamRefused("", status=answer.status) if answer.status >= 500 else None


async def _pass_stream(
    answer: Forwarded, stream: EventStream, request: Relayed, scrub: Callable[[bytes], bytes]
) -> Tap:
    repair = request.shape.repair(request.error_frame)
    try:
        async for frame in answer.frames:
            passed = b"".join(repair.repair(frame))
            await stream.write(scrub(passed) if _ERROR in passed else passed)
            if repair.done:
                await _read_out(answer)
                break
        else:
            await stream.write(b"".join(repair.end()))
    except RouterError:
        if repair.tap.error is None:
            raise  # else the upstream said itself what went wrong, and then hung up
    await stream.end()
    return repair.tap


async def _read_out(answer: Forwarded) -> None:
    """Let the upstream finish what has said all, so that its connection can be used again; not for long."""
    with suppress(TimeoutError, RouterError):
        async with asyncio.timeout(READ_OUT_S):
            async for _ in answer.frames:
                pass


def _tokens(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a usage counts, under whichever of its two names."""
    if usage is None:
        return {}
    names = {"tokens_in": ("prompt_tokens", "input_tokens"), "tokens_out": ("completion_tokens", "output_tokens")}
    counts = {key: next((usage[name] for name in among if name in usage), None) for key, among in names.items()}
    return {key: count for key, count in counts.items() if isinstance(count, int)}


async def _pass_whole(
    answer: Forwarded, target: Target, own: Headers, send: Send, scrub: Callable[[bytes], bytes]
) -> bytes:
    """An answer that is not tended to as a stream. JSON is held until it is whole, or large, so that a cut one becomes
    an error. Anything else (sound, a transcript's text or events) goes on as it arrives. Gives the body, where it was
    held.
    """
    if not _is_json(answer) and (answer.status >= 400 or _type_of(answer).startswith("text/html")):
        raise await refusal(answer, target)
    limit_bytes = HOLD_LIMIT_BYTES if _is_json(answer) else 0
    cleaned = scrub if answer.status >= 400 or _is_stream(answer) else bytes
    held: list[bytes] = []
    size, begun = 0, False
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, *own]}
    async for chunk in answer.frames:
        held.append(chunk)
        size += len(chunk)
        if begun or size > limit_bytes:
            if not begun:
                await send(start)
                begun = True
            piece = b"".join(held)
            await send({"type": "http.response.body", "body": cleaned(piece), "more_body": True})
            held = []
    rest = cleaned(b"".join(held))
    if not begun and limit_bytes and answer.status == 200 and not _is_whole_json(rest):
        raise UpstreamBroke(f"{target} answered with what is no JSON although it says so")
    if not begun:
        start["headers"] = [*start["headers"], (b"content-length", str(len(rest)).encode())]
        await send(start)
    await send({"type": "http.response.body", "body": rest, "more_body": False})
    return b"" if begun else rest


def _is_whole_json(body: bytes) -> bool:
    try:
        loads(body)
    except ValueError:
        return False
    return True


async def refusal(answer: Forwarded, target: Target) -> UpstreamRefused:
    """What an upstream's own error means, as an error of ours: its message if it can be read, and its headers."""
    raw = b""
    async for chunk in answer.frames:
        raw += chunk
        if len(raw) > REFUSAL_LIMIT_BYTES:
            break
    try:
        payload = json.loads(raw)
    except ValueError:
        payload = None
    status = answer.status if answer.status >= 400 else 502
    said = _message_in(payload) or "its answer is not JSON" + (f" but {kind}" if (kind := _type_of(answer)) else "")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return UpstreamRefused(
        f"{target} refused with status {answer.status}: {said}",
        status=status,
        payload=payload,
        headers=headers,
    )


def _message_in(payload: Any) -> str | None:
    error = payload.get("error") if isinstance(payload, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else None


def _type_of(answer: Forwarded) -> str:
    return next((value.decode("latin-1").lower() for name, value in answer.headers if name == b"content-type"), "")


def _is_stream(answer: Forwarded) -> bool:
    return _type_of(answer).startswith(("text/event-stream", "application/x-ndjson"))


def _is_json(answer: Forwarded) -> bool:
    return "json" in _type_of(answer)


def _without(headers: Headers, *names: bytes) -> Headers:
    return [(name, value) for name, value in headers if name not in names]
