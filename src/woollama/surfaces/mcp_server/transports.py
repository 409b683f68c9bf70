"""The server over HTTP: Streamable HTTP for everybody, pipes for `woollama mcp`, and how both end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.types import Message, Receive, Scope, Send

from woollama.domain.errors import ShuttingDown
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.mcp_server.pipes import Pipes
from woollama.surfaces.mcp_server.replay import RETRY_MS, ReplayingManager
from woollama.surfaces.mcp_server.server import McpServer


class Transports:
    """Made and used inside `running`, which owns the sessions."""

    def __init__(self, server: McpServer, manager: StreamableHTTPSessionManager) -> None:
        self._server = server
        self._over = asyncio.Event()
        self._streamable = StreamableHTTPASGIApp(manager)
        self.pipes = Pipes(server.sdk, self._over)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await self._feed(scope, receive, send)
        else:
            await self._streamable(scope, receive, send)

    def renew(self, offer: Offer) -> None:
        self._server.renew(offer)

    async def drain(self, timeout_s: float) -> None:
        """Feeds end when nothing is being answered any more, or after that time."""
        self._server.end_feeds()
        try:
            async with asyncio.timeout(timeout_s):
                await self._server.idle.wait()
        except TimeoutError:
            pass
        self._over.set()

    async def _feed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The stream of notifications of a session, which never ends by itself."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        serving = asyncio.create_task(_whole(self._streamable, scope, receive, noting))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({serving, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            ended = serving.done()
            serving.cancel()
            await asyncio.wait({serving})
        if ended:
            serving.result()
        elif begun:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            raise ShuttingDown("woollama is shutting down")


@asynccontextmanager
async def running(offer: Offer) -> AsyncIterator[Transports]:
    """Entered and left by one task.

    Who may connect and how large a body may be was decided at the gate, as it is configured now, so the SDK checks
    nothing of the kind.
    """
    server = McpServer(offer)
    manager = ReplayingManager(
        server.sdk, security_settings=None, max_request_body_size=sys.maxsize, retry_interval=RETRY_MS
    )
    try:
        async with manager.run():
            yield Transports(server, manager)
    finally:
        await server.close()


async def _whole(app: StreamableHTTPASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)
