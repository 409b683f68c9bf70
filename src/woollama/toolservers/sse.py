"""MCP over HTTP with server-sent events: the transport of 2024, which many servers still have as their only one.

The server answers everything on one stream of events; its first event says where requests are posted. The SDK's client
for it ends at an event of a megabyte (a screenshot), and a request that cannot be posted leaves its call waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import httpx2
from anyio.streams.memory import MemoryObjectSendStream
from mcp import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import CONNECTION_CLOSED, JSONRPCRequest

from woollama.toolservers.authorised import LoginNeeded
from woollama.toolservers.logins import LoginFile
from woollama.toolservers.losses import BROKEN, UNSENT, WANTS_LOGIN
from woollama.toolservers.spec import ServerSpec
from woollama.toolservers.stdio import Inbound, message_of
from woollama.toolservers.streamable_http import (
    CONNECT_TIMEOUT_S,
    MAX_EVENT_BYTES,
    NEVER_SENT,
    forgot_session,
    needs_login,
    refusal,
    why_failed,
    wire_of,
)

POST_TIMEOUT_S = 30.0
"""Until the server has taken a request; the answer comes on the stream, and has its call's own limit."""


class Refused(Exception):
    """There is no such server at the address."""


class Outbox:
    """Where the session sends: each message is a POST of its own."""

    def __init__(
        self, client: httpx2.AsyncClient, address: httpx2.URL, lose: Callable[[str], None], in_call: Callable[[], bool]
    ) -> None:
        self._client = client
        self._address = address
        self._lose = lose
        self._in_call = in_call

    async def send(self, item: SessionMessage, /) -> None:
        message = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        headers = {"content-type": "application/json"}
        timeout = httpx2.Timeout(CONNECT_TIMEOUT_S, read=POST_TIMEOUT_S)
        try:
            response = await self._client.post(self._address, content=message, headers=headers, timeout=timeout)
        except httpx2.RequestError as error:
            if isinstance(error, LoginNeeded) and not error.is_over and self._in_call():
                self._failed(item, refusal(error), WANTS_LOGIN)
                return
            why = why_failed(self._address, error)
            self._lose(why)
            self._failed(item, why, UNSENT if isinstance(error, NEVER_SENT) else BROKEN)
            return
        if forgot_session(response):
            self._lose("it forgot our session")
            self._failed(item, "the server forgot our session", UNSENT)
        elif response.status_code >= 300:
            self._failed(item, f"HTTP {response.status_code} {response.reason_phrase}{needs_login(response)}", None)

    def _failed(self, item: SessionMessage, why: str, mark: str | None) -> None:
        """Whoever waits for an answer hears that there will be none; a notification has nobody who waits."""
        if isinstance(item.message, JSONRPCRequest):
            raise MCPError(CONNECTION_CLOSED, why, mark)

    async def aclose(self) -> None:
        """Nothing is open between two messages."""

    async def __aenter__(self) -> Outbox:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


@asynccontextmanager
async def sse_streams(
    spec: ServerSpec,
    lose: Callable[[str], None],
    login: LoginFile | None = None,
    in_call: Callable[[], bool] = lambda: False,
) -> AsyncIterator[Any]:
    """The streams to a server's address, as `Client(server=…)` takes them. `lose` is told why they end.

    `in_call` tells whether a request is made for anybody, in the task that makes it.

    Raises `Refused` where nobody answers, or not as such a server does.
    """
    assert spec.url is not None
    timeout = httpx2.Timeout(CONNECT_TIMEOUT_S, read=None)
    async with AsyncExitStack() as open_until_the_end:
        enter = open_until_the_end.enter_async_context
        client = await enter(
            httpx2.AsyncClient(transport=wire_of(spec, login), headers=dict(spec.headers), timeout=timeout)
        )
        try:
            events = await enter(client.sse(spec.url, max_event_size=MAX_EVENT_BYTES))
            _require_stream(events.response)
            stream = aiter(events)
            address = await _address(stream, events.response.url)
        except httpx2.RequestError as error:
            if isinstance(error, LoginNeeded):
                lose(str(error))
            raise Refused(why_failed(httpx2.URL(spec.url), error)) from error
        inbox, messages = anyio.create_memory_object_stream[Inbound](0)
        reading = asyncio.create_task(_read(stream, inbox, lose))
        try:
            yield messages, Outbox(client, address, lose, in_call)
        finally:
            with anyio.CancelScope(shield=True):
                reading.cancel()
                await asyncio.wait({reading})
            messages.close()


def _require_stream(response: httpx2.Response) -> None:
    if response.is_redirect:
        raise Refused(f"it redirects to {response.headers.get('location', 'elsewhere')}: write that address")
    if response.status_code >= 400:
        raise Refused(f"HTTP {response.status_code} {response.reason_phrase}{needs_login(response)}")
    if not str(response.headers.get("content-type", "")).lower().startswith("text/event-stream"):
        raise Refused("it answers with no stream of events, so it is no SSE server")


async def _address(stream: AsyncIterator[httpx2.ServerSentEvent], url: httpx2.URL) -> httpx2.URL:
    """Where requests go. Elsewhere than where the stream comes from, our headers would be carried to strangers."""
    async for event in stream:
        if event.event == "endpoint":
            address = url.join(event.data)
            if (address.scheme, address.host, address.port) != (url.scheme, url.host, url.port):
                raise Refused(f"it wants requests sent to another server, {address.host}")
            return address
    raise Refused("its stream ended before it said where requests go")


async def _read(
    stream: AsyncIterator[httpx2.ServerSentEvent],
    inbox: MemoryObjectSendStream[Inbound],
    lose: Callable[[str], None],
) -> None:
    why = "its stream of events ended"
    async with inbox:
        try:
            async for event in stream:
                if event.event == "message" and event.data:
                    await inbox.send(message_of(event.data.encode()))
        except (httpx2.RequestError, httpx2.SSEError) as error:
            why = f"its stream of events broke: {error or type(error).__name__}"
        lose(why)
