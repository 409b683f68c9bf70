"""Endpoints that are only ever relayed: of what they say, `model` alone is ours to understand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from woollama.domain.errors import UnsupportedField
from woollama.domain.turns import Caller
from woollama.surfaces.bodies import header_of, read_body
from woollama.surfaces.body_head import scan
from woollama.surfaces.departure import Departure
from woollama.surfaces.openai_chat import encode_error_frame
from woollama.surfaces.relay import Relayed

if TYPE_CHECKING:
    from woollama.surfaces.exchange import Surroundings


class Passage:
    """`path` is below an inferencer's base URL (`/embeddings`). A recipe's name stands for its targets alone."""

    def __init__(self, path: str, around: Surroundings) -> None:
        self._path = path
        self._around = around

    def __repr__(self) -> str:
        return f"<Passage {self._path}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = await read_body(receive)
        head = scan(raw, "chat", header_of(scope, b"content-type"))
        around = self._around
        route = around.names.resolve(head.model)
        targets = [target for target in route.targets if "chat" in around.traits[target.inferencer].dialects]
        if not targets:
            raise UnsupportedField(
                f"{route.targets[0].inferencer!r} has no {self._path.removeprefix('/')} of OpenAI's shape",
                param="model",
            )
        note = scope["state"]["span"].note
        note(surface=self._path.removeprefix("/"), model=str(head.model), by="relay")
        caller: Caller = scope["state"]["caller"]
        async with Departure(receive) as departure:
            relayed = Relayed(raw, head, targets, self._path, scope["headers"], caller, note, encode_error_frame)
            await around.relayer.respond(relayed, send, departure)
