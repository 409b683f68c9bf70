"""Endpoints that are only ever relayed: of what they say, `model` alone is ours to understand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.turns import Caller
from woollama.surfaces.bodies import header_of, read_body, read_chunks
from woollama.surfaces.body_head import scan
from woollama.surfaces.departure import Departure
from woollama.surfaces.form import Field, FormScanner
from woollama.surfaces.openai_chat import encode_error_frame
from woollama.surfaces.relay import Body, JsonBody, Relayed
from woollama.surfaces.spool import Pieces, Spool
from woollama.surfaces.stream_shape import CHAT, UNTENDED

if TYPE_CHECKING:
    from woollama.surfaces.exchange import Surroundings

_CHAT_SHAPED = frozenset({"/completions"})


class Passage:
    """`path` is below an inferencer's base URL (`/embeddings`), `capability` what a model must be able to for it.

    A recipe's name stands for its targets alone.

    The body is JSON or a form; a form is kept until it is complete, because its `model` may come last.
    """

    def __init__(self, path: str, capability: str, around: Surroundings) -> None:
        self._path = path
        self._capability = capability
        self._around = around

    def __repr__(self) -> str:
        return f"<Passage {self._path}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with _read(scope, receive) as (model, body):
            around = self._around
            note = scope["state"]["span"].note
            note(surface=self._path.removeprefix("/"), model=model if isinstance(model, str) else None, by="relay")
            caller: Caller = scope["state"]["caller"]
            route = around.names.resolve(model, caller.scope, needs=(self._capability,))
            targets = [target for target in route.targets if "chat" in around.traits[target.inferencer].dialects]
            if not targets:
                raise UnsupportedField(
                    f"{route.targets[0].inferencer!r} has no {self._path.removeprefix('/')} of OpenAI's shape",
                    param="model",
                )
            relayed = Relayed(
                body,
                targets,
                self._path,
                scope["headers"],
                caller,
                note,
                encode_error_frame,
                CHAT if self._path in _CHAT_SHAPED else UNTENDED,
            )
            async with Departure(receive) as departure:
                await around.relayer.respond(relayed, send, departure)


@dataclass(frozen=True, slots=True)
class FormBody:
    """A form, relayed with another value for its `model`; an inferencer's `extra_body` is JSON and stays away."""

    spool: Spool
    model: Field
    stream: bool

    def for_model(self, model: str, extra_body: Mapping[str, Any]) -> Pieces:
        return Pieces(self.spool, [(0, self.model.begin), model.encode(), (self.model.end, self.spool.size_bytes)])


@asynccontextmanager
async def _read(scope: Scope, receive: Receive) -> AsyncIterator[tuple[object, Body]]:
    """What the body holds as `model`, whatever that is, and the body, which is there until the block is left."""
    content_type = header_of(scope, b"content-type")
    if not content_type.lower().startswith("multipart/form-data"):
        raw = await read_body(receive)
        head = scan(raw, "chat", content_type)
        yield head.model, JsonBody(raw, head)
        return
    async with Spool() as spool:
        scanner = FormScanner(content_type, ("model", "stream"))
        async for chunk in read_chunks(receive):
            scanner.feed(chunk)
            await spool.write(chunk)
        scanner.close()
        model, stream = scanner.fields.get("model"), scanner.fields.get("stream")
        if model is None:
            raise BadRequest("the form names no model: the field 'model' is required", param="model")
        yield model.text, FormBody(spool, model, stream is not None and stream.text.lower() == "true")
