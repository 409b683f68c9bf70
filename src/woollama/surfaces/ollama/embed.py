"""`/api/embed`, and `/api/embeddings` as it was before: relayed to a target that is Ollama, said in OpenAI's words to
any other that makes embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from woollama.domain.errors import BadRequest, UnsupportedField, UpstreamBroke, UpstreamRefused
from woollama.domain.turns import Target
from woollama.domain.wire_json import dumps, loads
from woollama.surfaces.bodies import header_of, read_json, send_json
from woollama.surfaces.body_head import scan
from woollama.surfaces.captured import Captured
from woollama.surfaces.departure import Departure
from woollama.surfaces.fields import Fields
from woollama.surfaces.ollama.words import encode_error_frame
from woollama.surfaces.relay import JsonBody, Relayed
from woollama.surfaces.stream_shape import UNTENDED

if TYPE_CHECKING:
    from woollama.surfaces.exchange import Surroundings

Vectors = Sequence[Sequence[float]]


class Embed:
    """`path` is `/api/embed` or `/api/embeddings`, which takes one `prompt` and gives one vector."""

    def __init__(self, path: str, around: Surroundings) -> None:
        self._path = path
        self._around = around
        self._legacy = path == "/api/embeddings"

    def __repr__(self) -> str:
        return f"<Embed {self._path}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = monotonic_ns()
        raw = await read_json(scope, receive)
        head = replace(scan(raw, "ollama", header_of(scope, b"content-type")), stream=False)
        around, state = self._around, scope["state"]
        targets = around.names.resolve(head.model, state["caller"].scope, needs=("embedding",)).targets
        note = state["span"].note
        note(surface="embed", model=str(head.model), by="relay")

        def relayed(body: bytes, targets: Sequence[Target], path: str) -> Relayed:
            json = JsonBody(body, replace(scan(body, "ollama", "application/json"), stream=False))
            return Relayed(
                json, targets, path, scope["headers"], state["caller"], note, encode_error_frame, shape=UNTENDED
            )

        async with Departure(receive) as departure:
            if all("ollama" in around.traits[target.inferencer].dialects for target in targets):
                await around.relayer.respond(relayed(raw, targets, self._path), send, departure)
                return
            others = [target for target in targets if "chat" in around.traits[target.inferencer].dialects]
            if not others:
                raise UnsupportedField(f"{targets[0].inferencer!r} makes no embeddings", param="model")
            answer = Captured()
            body = dumps(self._in_openais_words(Fields(head.body)))
            await around.relayer.respond(relayed(body, others, "/embeddings"), answer.send, departure)
            told = self._answered(answer, str(head.model), others[0], monotonic_ns() - started)
            ours = [(name, value) for name, value in answer.headers if name.startswith(b"x-woollama-")]
            await send_json(send, 200, told, ours)

    def _in_openais_words(self, fields: Fields) -> dict[str, Any]:
        if self._legacy:
            given: Any = fields.text("prompt")
        else:
            given = fields.raw("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            name = "prompt" if self._legacy else "input"
            raise BadRequest(f"`{name}` must be a text or an array of texts", param=name)
        size = fields.integer("dimensions")
        return {"model": fields.model(), "input": texts, **({"dimensions": size} if size is not None else {})}

    def _answered(self, answer: Captured, model: str, target: Target, took_ns: int) -> dict[str, Any]:
        try:
            body = loads(answer.body)
        except ValueError:
            body = None
        if answer.status != 200:
            raise _refused(answer, body, target)
        vectors = _vectors(body)
        if vectors is None:
            raise UpstreamBroke(f"{target} gave embeddings in an unknown shape")
        if self._legacy:
            return {"embedding": vectors[0]}
        usage = body.get("usage") if isinstance(body, dict) else None
        tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        counted = {"prompt_eval_count": tokens} if isinstance(tokens, int) else {}
        return {"model": model, "embeddings": vectors, "total_duration": took_ns, "load_duration": 0, **counted}


def _refused(answer: Captured, body: Any, target: Target) -> UpstreamRefused:
    error = body.get("error") if isinstance(body, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    message = f"{target} refused with status {answer.status}: {said if isinstance(said, str) else 'it said nothing'}"
    return UpstreamRefused(message, status=answer.status, payload=body, headers=headers)


def _vectors(body: Any) -> Vectors | None:
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list) or not data or not all(isinstance(entry, dict) for entry in data):
        return None
    index: Callable[[Mapping[str, Any]], int] = lambda entry: entry.get("index") or 0  # noqa: E731
    vectors = [entry.get("embedding") for entry in sorted(data, key=index)]
    return vectors if all(isinstance(vector, list) for vector in vectors) else None
