"""`/v1/responses` as a WebSocket: many turns over one connection, each asked for with a `response.create` message.

What a turn with `store: false` said is remembered for as long as the connection lives, in memory and bounded, so that
the next one can continue it by its id. After a reconnect such an id is unknown.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.domain.errors import BadRequest, InternalFault, RouterError, UnsupportedField
from woollama.domain.events import Failed
from woollama.domain.state import Raw
from woollama.domain.turns import Caller
from woollama.domain.wire_json import dumps
from woollama.surfaces.bodies import parse_json
from woollama.surfaces.openai_errors import encode_error
from woollama.surfaces.openai_responses.endpoint import Responses, Told
from woollama.surfaces.openai_responses.frames import data_of
from woollama.surfaces.sse import DONE

MOST_TURNS = 64
"""Whose words one connection remembers; those asked for longest ago go first."""
MOST_WAITING = 16
GOING_AWAY = 1001
_OF_HTTP = ("stream", "stream_options", "background")
_log = logging.getLogger("woollama.websocket")


class ResponsesSocket:
    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    def __repr__(self) -> str:
        return f"<ResponsesSocket of {self._responses!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until the client leaves; a turn that runs then is cancelled with it."""
        await receive()
        await send({"type": "websocket.accept"})
        asked: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(MOST_WAITING)
        caller: Caller = scope["state"]["caller"]
        answering = asyncio.create_task(self._answer_all(asked, caller, send), name="websocket")
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                await asked.put(message)
        finally:
            answering.cancel()
            await asyncio.wait([answering])

    async def _answer_all(self, asked: asyncio.Queue[Mapping[str, Any]], caller: Caller, send: Send) -> None:
        memory: OrderedDict[str, Sequence[Raw]] = OrderedDict()
        while (message := await self._next(asked)) is not None:
            try:
                body = _body_in(message)
                await self._answer(body, caller, memory, send)
            except RouterError as error:
                await send(_text(_error(error)))
            except Exception:
                _log.exception("a defect in a turn of a WebSocket")
                await send(_text(_error(InternalFault("woollama met a defect of its own; its log has the details"))))

        await send({"type": "websocket.close", "code": GOING_AWAY, "reason": "woollama is shutting down"})

    async def _next(self, asked: asyncio.Queue[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The next message; None when no more turns are taken."""
        message = asyncio.create_task(asked.get())
        stopping = asyncio.create_task(self._responses.stopping.wait())
        try:
            done, _ = await asyncio.wait({message, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return message.result() if message in done else None
        finally:
            message.cancel()
            stopping.cancel()

    async def _answer(
        self, body: Mapping[str, Any], caller: Caller, memory: OrderedDict[str, Sequence[Raw]], send: Send
    ) -> None:
        before = memory.pop(continued := str(body.get("previous_response_id")), None)
        # what a failed turn was to continue is forgotten: its client is not to go on from it as if nothing had been
        recording = await self._responses.recorded(body, caller, before)
        async with self._responses.started(recording) as run:
            told = Told(recording)
            async for event in run.watch():
                if isinstance(event, Failed) and len(run.log) == 1:
                    raise event.error  # nothing has begun: an error, as over HTTP
                for frame in told.encode(event):
                    if frame != DONE:
                        await send(_text(data_of(frame)))
        response = recording.response()
        if response["status"] not in ("completed", "incomplete"):
            return
        if before is not None:
            memory[continued] = before
        if not response["store"]:
            memory[response["id"]] = [*(before or ()), *recording.inputs, *response["output"]]
            while len(memory) > MOST_TURNS:
                memory.popitem(last=False)


def _body_in(message: Mapping[str, Any]) -> Mapping[str, Any]:
    raw = message.get("bytes") or (message.get("text") or "").encode()
    body = parse_json(raw)
    if body.get("type") != "response.create":
        raise BadRequest("a message must have the type response.create", param="type")
    for name in _OF_HTTP:
        if body.get(name):
            raise UnsupportedField(
                f"`{name}` has no meaning on a WebSocket, where every response is a stream", param=name
            )
    return {name: value for name, value in body.items() if name not in ("type", *_OF_HTTP)}


def _error(error: RouterError) -> bytes:
    return dumps({"type": "error", "status": error.status_hint, **encode_error(error)})


def _text(data: bytes) -> dict[str, Any]:
    return {"type": "websocket.send", "text": data.decode()}
