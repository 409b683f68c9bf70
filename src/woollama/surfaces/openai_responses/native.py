"""Responses that an upstream keeps itself: its ids are used as they are, and whose they are is remembered here."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

from starlette.types import Message, Scope, Send

from woollama.core.conversations import NATIVE, Conversations
from woollama.core.route_of import Relay
from woollama.domain.errors import BadRequest, StoreUnreachable
from woollama.domain.ports import Forwarder, RequestHead
from woollama.domain.state import StoredResponse
from woollama.domain.turns import Caller, Target
from woollama.domain.wire_json import loads
from woollama.surfaces.bodies import Headers

MOST_BYTES = 4 * 2**20
"""How much of an answer is held to find its id."""
_INFERENCER = "inferencer"
_log = logging.getLogger("woollama.state")


class Overhearing:
    """`send`, with an ear for the id of the response: `heard` is called with it before the client gets to know it."""

    def __init__(self, send: Send, heard: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._heard = heard
        self._held: bytes | None = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body" and self._held is not None:
            self._held += message.get("body", b"")
            whole = not message.get("more_body", False)
            response_id = _id_in(self._held, whole=whole)
            if response_id is not None or whole or len(self._held) > MOST_BYTES:
                self._held = None
            if response_id is not None:
                await self._heard(response_id)
        await self._send(message)


class NativeResponses:
    def __init__(self, conversations: Conversations, forwarder: Forwarder, *, any_keeps_state: bool) -> None:
        """Where no inferencer keeps a state and no store is configured, nothing is looked up."""
        self._all = conversations
        self._any_keeps_state = any_keeps_state
        self._forwarder = forwarder

    async def row(self, response_id: object) -> StoredResponse | None:
        """What is remembered of a response, if that can be told."""
        if not isinstance(response_id, str) or (self._all.store is None and not self._any_keeps_state):
            return None
        if (held := self._all.unstored.get(response_id)) is not None:
            return held.response
        with contextlib.suppress(StoreUnreachable):
            return await self._all.tables.response(response_id)
        return None

    async def narrowed(self, relay: Relay, row: StoredResponse | None) -> Relay:
        """The targets that know the response to go on from: those of the inferencer that keeps it."""
        if row is None:
            return relay
        targets = tuple(target for target in relay.targets if target.inferencer == inferencer_of(row))
        if not targets:
            raise elsewhere(row)
        return Relay(targets)

    async def remember(self, target: Target, parent: object, token: str | None, response_id: str) -> None:
        row = StoredResponse(
            response_id,
            target.model,
            "completed",
            parent=parent if isinstance(parent, str) else None,
            backend=NATIVE,
            body={_INFERENCER: target.inferencer},
            created_at=self._all.now(),
            token=token,
        )
        try:
            await self._all.tables.add_response(row)
        except StoreUnreachable as error:
            _log.warning("where the response %s is kept is not remembered: %s", row.id, error.message)

    async def pass_on(self, row: StoredResponse, scope: Scope, send: Send, suffix: str, caller: Caller) -> None:
        """Ask who keeps it, and send what he answers."""
        query = scope.get("query_string", b"").decode("latin-1")
        path = f"/responses/{quote(row.id, safe='')}{suffix}" + (f"?{query}" if query else "")
        target = Target(inferencer_of(row), row.model)
        head = RequestHead(target, scope["method"], path, _without_length(scope["headers"]), key=caller.key)
        try:
            forwarding = self._forwarder.forward(head, b"")
        except KeyError:
            raise StoreUnreachable(
                f"{row.id!r} is kept by the inferencer {target.inferencer!r}, which is not configured any more"
            ) from None
        async with forwarding as answer:
            await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
            async for piece in answer.frames:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            if scope["method"] == "DELETE" and answer.status < 300:
                await self._all.tables.remove_response(row.id)


def _id_in(body: bytes, *, whole: bool) -> str | None:
    """The id of the response in a stream's first event, or in a body that is all there."""
    pieces = [frame.rpartition(b"data:")[2] for frame in body.split(b"\n\n")[:-1] if b"data:" in frame]
    for piece in pieces[:1] or ([body] if whole else []):
        with contextlib.suppress(ValueError):
            told = loads(piece)
            response = told.get("response", told) if isinstance(told, dict) else {}
            if isinstance(response, dict) and isinstance(response.get("id"), str):
                return str(response["id"])
    return None


def inferencer_of(row: StoredResponse) -> str:
    return str(row.body.get(_INFERENCER))


def elsewhere(row: StoredResponse) -> BadRequest:
    return BadRequest(
        f"{row.id!r} is kept by the inferencer {inferencer_of(row)!r} itself; only its models can continue it",
        param="previous_response_id",
    )


def _without_length(headers: Sequence[Any]) -> Headers:
    return [(name, value) for name, value in headers if name not in (b"content-length", b"content-type")]
