"""`/mcp` from the daemon's side: loads the server once the daemon listens, and ends it with the daemon."""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from woollama.domain.errors import InternalFault
from woollama.surfaces.mcp_server.offer import Offer

if TYPE_CHECKING:
    from woollama.surfaces.mcp_server.transports import Transports

log = logging.getLogger("woollama.mcp")


class McpEndpoint:
    """Requests that come while the server is being loaded wait for it."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._transports: Transports | None = None
        self._settled = asyncio.Event()
        self._over = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<McpEndpoint {'loaded' if self._transports else 'not loaded'}>"

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streamable HTTP."""
        await (await self._loaded()).serve(scope, receive, send)

    async def open_pipe(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._loaded()).pipes.open(scope, receive, send)

    async def take_message(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._loaded()).pipes.take(scope, receive, send)

    def start(self) -> None:
        """Begins to load, and returns at once."""
        self._owner = asyncio.create_task(self._own(), name="mcp server")

    def renew(self, offer: Offer) -> None:
        """Another offer from now on; hosts that stay connected are told of what has changed for them."""
        self._offer = offer
        if self._transports is not None:
            self._transports.renew(offer)

    async def drain(self, timeout_s: float) -> None:
        if self._transports is not None:
            await self._transports.drain(timeout_s)

    async def close(self) -> None:
        self._over.set()
        if self._owner is not None:
            await asyncio.wait({self._owner})

    async def _own(self) -> None:
        try:
            await asyncio.to_thread(importlib.import_module, "woollama.surfaces.mcp_server.transports")
            from woollama.surfaces.mcp_server.transports import running

            async with running(self._offer) as self._transports:
                self._settled.set()
                await self._over.wait()
        except Exception:
            log.exception("the MCP server broke")
        finally:
            self._transports = None
            self._settled.set()

    async def _loaded(self) -> Transports:
        await self._settled.wait()
        if self._transports is None:
            raise InternalFault("the MCP server is not running; woollama's log says why")
        return self._transports
