"""`POST /v1/messages/count_tokens`: the size of a prompt, asked of those who know, else estimated and called that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from woollama.core.counting import Counting
from woollama.core.route_of import Relay, route_of
from woollama.domain.errors import UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from woollama.domain.ids import new_id
from woollama.domain.turns import Caller
from woollama.surfaces.anthropic_messages.decode import decode
from woollama.surfaces.anthropic_messages.words import encode_error
from woollama.surfaces.bodies import header_of, header_value, read_json, send_json
from woollama.surfaces.body_head import ScannedHead, scan
from woollama.surfaces.captured import Captured
from woollama.surfaces.departure import Departure
from woollama.surfaces.relay import JsonBody, Relayed
from woollama.surfaces.sse import event_frame

if TYPE_CHECKING:
    from woollama.surfaces.exchange import Surroundings

PATH = "/messages/count_tokens"
_CANNOT_COUNT = frozenset({404, 405, 501})


class CountTokens:
    """A body of this dialect goes to a target of this dialect as it came; `x_woollama` says that, and why, a number is
    an estimate."""

    def __init__(self, around: Surroundings, counting: Counting) -> None:
        self._around = around
        self._counting = counting

    def __repr__(self) -> str:
        return f"<CountTokens by {self._counting!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = await read_json(scope, receive)
        head = replace(scan(raw, "anthropic", header_of(scope, b"content-type")), stream=False)
        around = self._around
        caller: Caller = scope["state"]["caller"]
        note = scope["state"]["span"].note
        note(surface="count_tokens", model=head.model if isinstance(head.model, str) else None)
        decision = route_of(head, around.names.resolve(head.model, caller.scope), around.traits)
        note(by=type(decision).__name__.lower())
        async with Departure(receive) as departure:
            if isinstance(decision, Relay):
                answer = await self._asked(scope, raw, head, decision, departure)
                if answer is not None:
                    await answer.pass_on(send)
                    return
            turn = decode(head.body, turn_id=new_id("turn_"), caller=caller)
            counted = await self._counting.count(turn)
            note(target=str(counted.target), tokens_in=counted.input_tokens)
            body: dict[str, object] = {"input_tokens": counted.input_tokens}
            if counted.estimated is not None:
                body["x_woollama"] = {"estimated": True, "why": counted.estimated}
            path = "relay" if isinstance(decision, Relay) else f"engine; {decision.why}"
            headers = [
                (b"x-woollama-path", path.encode()),
                (b"x-woollama-target", header_value(str(counted.target))),
            ]
            await send_json(send, 200, body, headers)

    async def _asked(
        self, scope: Scope, raw: bytes, head: ScannedHead, decision: Relay, departure: Departure
    ) -> Captured | None:
        """The upstream's own answer; nothing where it has no way to count, or is not there."""
        state, answer = scope["state"], Captured()
        relayed = Relayed(
            JsonBody(raw, head),
            decision.targets,
            PATH,
            scope["headers"],
            state["caller"],
            state["span"].note,
            lambda error: event_frame("error", encode_error(error)),
        )
        try:
            await self._around.relayer.respond(relayed, answer.send, departure)
        except (UpstreamUnreachable, UpstreamTimeout):
            return None
        except UpstreamRefused as error:
            if error.status_hint in _CANNOT_COUNT:
                return None
            raise
        return None if answer.status in _CANNOT_COUNT else answer
