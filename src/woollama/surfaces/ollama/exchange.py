"""`/api/chat` and `/api/generate`: as every exchange, but for a request without a prompt.

That is how this dialect asks for a model to be loaded, or with `keep_alive` 0 to be dropped. A target that is Ollama
does it; for any other there is nothing to do, and it is told as done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import Send

from woollama.surfaces.body_head import ScannedHead
from woollama.surfaces.exchange import Exchange
from woollama.surfaces.fields import Fields
from woollama.surfaces.ollama import chat, generate
from woollama.surfaces.ollama.words import SHAPE, line, now


class OllamaExchange(Exchange):
    def without_a_model(self, head: ScannedHead) -> Callable[[Send], Awaitable[None]] | None:
        empty = _EMPTY[self._path]
        if any(head.body.get(name) for name in ("messages", "prompt", "images", "suffix")):
            return None
        dropped = head.body.get("keep_alive") in (0, "0", "0s")
        done = {"done": True, "done_reason": "unload" if dropped else "load"}
        answer = line({"model": Fields(head.body).model(), "created_at": now(), **empty, **done})
        kind = SHAPE.content_type if head.stream else b"application/json"

        async def tell(send: Send) -> None:
            headers = [(b"content-type", kind), (b"content-length", str(len(answer)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer, "more_body": False})

        return tell


_EMPTY = {"/api/chat": chat.say("", "", ()), "/api/generate": generate.say("", "", ())}
