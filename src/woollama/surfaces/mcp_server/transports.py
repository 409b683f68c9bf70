"""The server over HTTP: Streamable HTTP for everybody, pipes for `woollama mcp`, and how both end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.types import Receive, Scope, Send

from woollama.surfaces.bodies import header_of
from woollama.surfaces.mcp_server.exchanges import Exchanges
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.mcp_server.pipes import Pipes
from woollama.surfaces.mcp_server.server import McpServer
from woollama.surfaces.mcp_server.sessions import Sessions


class Transports:
    """Made and used inside `running`, which owns the sessions."""

    def __init__(self, server: McpServer, manager: StreamableHTTPSessionManager) -> None:
        self._server = server
        self._over = asyncio.Event()
        self._exchanges = Exchanges(server.sdk, manager.handle_request)
        self._sessions = Sessions(server.sdk)
        self.pipes = Pipes(server.sdk, self._over)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A revision that nobody knows is for the SDK to refuse."""
        if header_of(scope, b"mcp-protocol-version") in ("", *HANDSHAKE_PROTOCOL_VERSIONS):
            await self._sessions.serve(scope, receive, send)
        else:
            await self._exchanges.serve(scope, receive, send)

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
        self._sessions.end_feeds()

    async def close(self) -> None:
        await self._sessions.close()


@asynccontextmanager
async def running(offer: Offer) -> AsyncIterator[Transports]:
    """Entered and left by one task.

    Who may connect and how large a body may be was decided at the gate, as it is configured now, so the SDK checks
    nothing of the kind.
    """
    server = McpServer(offer)
    manager = StreamableHTTPSessionManager(server.sdk, security_settings=None, max_request_body_size=sys.maxsize)
    try:
        async with manager.run():
            transports = Transports(server, manager)
            try:
                yield transports
            finally:
                await transports.close()
    finally:
        await server.close()
