"""A tool server over HTTP in the test's own event loop, behind a door that looks at what requests carry."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from tests.toolservers.fleets import PATIENCE_S
from tests.toolservers.servers import everything

Door = Callable[[Mapping[str, str]], tuple[int, dict[str, str], str] | None]
"""The headers of a request -> how it is refused, if it is."""


@dataclass
class Guarded:
    url: str
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)


@asynccontextmanager
async def guarded(door: Door = lambda headers: None, more: Any = None) -> AsyncIterator[Guarded]:
    """`more` is an ASGI application for all that is not below /mcp."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        at = Guarded(f"http://127.0.0.1:{port}/mcp")
        inner = everything.server().streamable_http_app(host="127.0.0.1")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await inner(scope, receive, send)
                return
            if more is not None and not scope["path"].startswith("/mcp"):
                await more(scope, receive, send)
                return
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            at.requests.append((scope["method"], headers))
            if (refusal := door(headers)) is None:
                await inner(scope, receive, send)
                return
            status, said, body = refusal
            heads = [(name.encode(), value.encode()) for name, value in said.items()]
            await send({"type": "http.response.start", "status": status, "headers": heads})
            await send({"type": "http.response.body", "body": body.encode()})

        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not server.started:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            yield at
        finally:
            server.should_exit = True
            await serving


def bearer(token: str) -> Door:
    """Lets through whoever has the token, and repeats to everybody else what they have sent."""

    def door(headers: Mapping[str, str]) -> tuple[int, dict[str, str], str] | None:
        if headers.get("authorization") == f"Bearer {token}":
            return None
        error = {"code": -32001, "message": f"no entrance with {headers.get('authorization')}"}
        said = json.dumps({"jsonrpc": "2.0", "id": None, "error": error})
        return 401, {"content-type": "application/json"}, said

    return door
