"""Every request, counted and told when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from woollama.domain.errors import RouterError
from woollama.domain.turns import Caller
from woollama.surfaces.feed import Feed
from woollama.surfaces.metrics import Metrics

LEFT, LEFT_STATUS = "client_left", 499
"""An answer that nobody waited for. Where none had begun it is counted with the status that others have for that."""
_OURS = b"x-woollama-"
_TOLD = ("surface", "model", "by", "target", "attempts", "tokens_in", "tokens_out", "cost_usd")


class Watched:
    """Around the application: reads what it noted for the log line of a request (`scope["state"]["span"]`).

    `scrub` takes known secrets out of our own headers: they repeat names that clients and upstreams made up.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, feed: Feed, scrub: Callable[[str], str] = str) -> None:
        self._scrub = scrub
        self._app = app
        self._metrics = metrics
        self._feed = feed

    def __repr__(self) -> str:
        return f"<Watched {self._app!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        complete = left = False

        async def noting(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = scrubbed(message.get("headers", ()), self._scrub)
            elif message["type"] == "http.response.body":
                complete = not message.get("more_body", False)
            await send(message)

        async def hearing() -> Message:
            nonlocal left
            message = await receive()
            left = left or (message["type"] == "http.disconnect" and not complete)
            return message

        began = time.monotonic()
        raised: BaseException | None = None
        try:
            await self._app(scope, hearing, noting)
        except BaseException as error:
            raised = error
            raise
        finally:
            span = scope["state"]["span"]
            if left and "surface" in span.fields:  # other streams are there to be left
                span.note(error=LEFT)
                status = status or LEFT_STATUS
            fields = dict(span.fields)
            if (failure := raised or scope["state"].get("error")) is not None:
                fields["error"] = failure.kind if isinstance(failure, RouterError) else type(failure).__name__
                status = status or (failure.status_hint if isinstance(failure, RouterError) else 500)
            seconds = time.monotonic() - began
            caller: Caller = scope["state"]["caller"]
            self._metrics.see_request(scope["method"], status, seconds, fields, caller.label)
            if "surface" in fields:
                told = {name: fields.get(name) for name in _TOLD}
                ms = round(seconds * 1000)
                self._feed.tell(
                    "request.ended", status=status, error=fields.get("error"), caller=caller.name, ms=ms, **told
                )


def scrubbed(headers: Iterable[tuple[bytes, bytes]], scrub: Callable[[str], str]) -> list[tuple[bytes, bytes]]:
    """The same headers, our own without known secrets in them."""
    return [
        (name, scrub(value.decode("latin-1")).encode("latin-1") if name.startswith(_OURS) else value)
        for name, value in headers
    ]
