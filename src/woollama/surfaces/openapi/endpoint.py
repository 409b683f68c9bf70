"""`GET /openapi.json` and `GET /docs`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.surfaces.bodies import send_json


class Described:
    """Told its routes once all of them are known; the document is made when somebody first asks for it."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._routes: tuple[tuple[str, str], ...] = ()

    def tell(self, routes: Iterable[tuple[str, str]]) -> None:
        """Method and path of each."""
        self._routes = tuple(routes)

    async def openapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, self._document)

    async def page(self, scope: Scope, receive: Receive, send: Send) -> None:
        from woollama.surfaces.openapi.page import headers, page

        body = page(self._document).encode()
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [*headers(), length]})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    @cached_property
    def _document(self) -> dict[str, Any]:
        from woollama.surfaces.openapi.document import document

        return document(self._routes, self._version)
