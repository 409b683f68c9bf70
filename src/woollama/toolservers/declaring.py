"""What a connection declares to its server: not what the SDK derives from our callbacks, but what a host can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from mcp.shared.message import SessionMessage
from mcp_types import CLIENT_CAPABILITIES_META_KEY, JSONRPCRequest

from woollama.domain.federation import INSTANCE_KEY
from woollama.domain.messages import Json


class Sender(Protocol):
    async def send(self, item: SessionMessage, /) -> None: ...

    async def aclose(self) -> None: ...


class Declaring:
    """Sends on, with the capabilities replaced: those of the handshake, and in the modern era those of each request;
    and with which woollama this is, for the case that the server is the same one.

    `declared` is asked in the task that makes the request.
    """

    def __init__(self, inner: Sender, declared: Callable[[], Mapping[str, Json]], instance: str) -> None:
        self._inner = inner
        self._declared = declared
        self._about_us = {INSTANCE_KEY: instance} if instance else {}

    async def send(self, item: SessionMessage, /) -> None:
        message = item.message
        if isinstance(message, JSONRPCRequest) and message.params is not None:
            meta = message.params.get("_meta") or {}
            if message.method == "initialize":
                message.params["capabilities"] = dict(self._declared())
                if self._about_us:
                    message.params["_meta"] = {**meta, **self._about_us}
            elif CLIENT_CAPABILITIES_META_KEY in meta:
                meta[CLIENT_CAPABILITIES_META_KEY] = dict(self._declared())
                meta.update(self._about_us)
        await self._inner.send(item)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Declaring:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


@asynccontextmanager
async def declaring(
    streams: AbstractAsyncContextManager[Any], declared: Callable[[], Mapping[str, Json]], instance: str = ""
) -> AsyncIterator[Any]:
    async with streams as (read, write):
        yield read, Declaring(write, declared, instance)
