"""What Ollama's clients ask before they ask a model: is it there, how new, what has it, what can that do."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from woollama.core.catalog import Catalog, Listed
from woollama.domain.errors import RouterError
from woollama.domain.ports import Forwarder, RequestHead
from woollama.domain.turns import Target
from woollama.domain.wire_json import dumps, loads
from woollama.surfaces.bodies import Headers, parse_json, read_json, send_json
from woollama.surfaces.body_head import scan
from woollama.surfaces.departure import Departure
from woollama.surfaces.listings import allowed_models
from woollama.surfaces.ollama.words import encode_error_frame
from woollama.surfaces.relay import JsonBody, Relayed
from woollama.surfaces.stream_shape import UNTENDED

if TYPE_CHECKING:
    from woollama.surfaces.exchange import Surroundings

OLLAMA_VERSION = "0.14.0"
"""The version whose API this is. Clients refuse to work with one that lacks what they need."""
GREETING = b"woollama is running"
_PS_WAIT_S = 2.0
_UNKNOWN = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": [],
    "parameter_size": "",
    "quantization_level": "",
}


class Ollama:
    """Its methods are endpoints. `contexts` are the sizes of each inferencer's context, in tokens, 0 for unknown;
    `version` is our own."""

    def __init__(
        self,
        catalog: Catalog,
        around: Surroundings,
        forwarder: Forwarder,
        contexts: Mapping[str, int],
        version: str,
    ) -> None:
        self._catalog = catalog
        self._around = around
        self._forwarder = forwarder
        self._contexts = contexts
        self._version = version

    async def greeting(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(GREETING)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": GREETING, "more_body": False})

    async def versions(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"version": OLLAMA_VERSION, "woollama": self._version})

    async def tags(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = allowed_models(self._catalog, self._around.names, scope)
        await send_json(send, 200, {"models": [_tag(listed) for listed in allowed]})

    async def show(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Of a target that is Ollama what Ollama says; of any other what can be known."""
        body = dict(parse_json(await read_json(scope, receive)))
        body.setdefault("model", body.pop("name", None))  # as it was called before
        around, state = self._around, scope["state"]
        model = body["model"]
        state["span"].note(model=model if isinstance(model, str) else None)
        route = around.names.resolve(model, state["caller"].scope)
        target = route.targets[0]
        if route.recipe is None and "ollama" in around.traits[target.inferencer].dialects:
            raw = dumps(body)
            json = JsonBody(raw, replace(scan(raw, "ollama", "application/json"), stream=False))
            headers, caller, note = scope["headers"], state["caller"], state["span"].note
            relayed = Relayed(
                json, route.targets, "/api/show", headers, caller, note, encode_error_frame, shape=UNTENDED
            )
            async with Departure(receive) as departure:
                await around.relayer.respond(relayed, send, departure)
            return
        await send_json(send, 200, self._shown(str(body["model"]), target))

    async def ps(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the Ollamas behind have in memory; one that does not answer at once is left out."""
        ollamas = [name for name, traits in self._around.traits.items() if "ollama" in traits.dialects]
        async with Departure(receive):
            running = await asyncio.gather(*map(self._running_at, ollamas))
            found = [model for models in running for model in models]
            scope_of_caller, names = scope["state"]["caller"].scope, self._around.names
            allowed = [model for model in found if names.allows(model["name"], scope_of_caller)]
            await send_json(send, 200, {"models": allowed})

    async def _running_at(self, inferencer: str) -> list[dict[str, Any]]:
        head = RequestHead(Target(inferencer, ""), "GET", "/api/ps")
        try:
            async with asyncio.timeout(_PS_WAIT_S), self._forwarder.forward(head, b"") as answer:
                raw = b"".join([chunk async for chunk in answer.frames])
                body = loads(raw) if answer.status == 200 else None
        except (RouterError, TimeoutError, ValueError):
            return []
        models = body.get("models") if isinstance(body, dict) else None
        named = [model for model in models or () if isinstance(model, dict) and isinstance(model.get("name"), str)]
        return [{**model, "name": (name := f"{inferencer}/{model['name']}"), "model": name} for model in named]

    def _shown(self, model: str, target: Target) -> dict[str, Any]:
        info: dict[str, Any] = {"general.architecture": "woollama", "general.basename": model}
        if context := self._contexts.get(target.inferencer):
            info["woollama.context_length"] = context
        return {
            "modelfile": f"# answered by {target}\n",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "details": {**_UNKNOWN, "parent_model": str(target), "family": target.inferencer},
            "model_info": info,
            "capabilities": self._capabilities(target),
            "modified_at": _time(0),
        }

    def _capabilities(self, target: Target) -> list[str]:
        """In Ollama's words. What nobody has denied is there: a client would hide what is not listed."""
        names = self._around.names
        declared = names.capabilities_of(target)
        if not declared and "embed" in target.model.lower():
            return ["embedding"]
        if declared and "chat" not in declared:
            return [capability for capability in declared if capability in ("embedding", "image")]
        also = ["embedding"] if "embedding" in declared else []
        return ["completion", *(trait for trait in ("tools", "vision") if names.can(target, (trait,))), *also]


def _tag(listed: Listed) -> dict[str, Any]:
    return {
        "name": listed.id,
        "model": listed.id,
        "modified_at": _time(listed.created),
        "size": 0,
        "digest": hashlib.sha256(listed.id.encode()).hexdigest(),
        "details": {**_UNKNOWN, "family": listed.owned_by, "families": [listed.owned_by]},
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
