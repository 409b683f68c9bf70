"""MCP over Streamable HTTP, such that a failed request fails its call and not the whole session.

In the SDK's client an exception of the HTTP library ends the session and cancels the task that holds it. Here every
failure of a POST becomes a JSON-RPC error response, which the session hands to whoever waits for that request.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client
from mcp_types import CONNECTION_CLOSED

from woollama.domain.peers import Host
from woollama.toolservers.authorised import Authorised, LoginNeeded
from woollama.toolservers.logins import LoginFile
from woollama.toolservers.losses import BROKEN, UNSENT, WANTS_LOGIN
from woollama.toolservers.reach import PublicOnly
from woollama.toolservers.spec import ServerSpec

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
FAREWELL_TIMEOUT_S = 3.0
ENDING_S = 0.1
MAX_EVENT_BYTES = 64 << 20
NEVER_SENT = (LoginNeeded, httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


@asynccontextmanager
async def http_streams(
    spec: ServerSpec,
    lose: Callable[[str], None],
    sender: Callable[[], Host | None] = lambda: None,
    login: LoginFile | None = None,
    in_call: Callable[[], bool] = lambda: False,
) -> AsyncIterator[Any]:
    """The streams to a server's address. `lose` is told why, when the server cannot be reached or forgot us.

    `sender` tells for which host a request is made, and `in_call` whether for anybody, in the task that makes it.
    """
    assert spec.url is not None
    # Calls have their own time limits, and an idle stream of notifications none.
    timeout = httpx2.Timeout(CONNECT_TIMEOUT_S, read=None)
    transport = SoftFail(wire_of(spec, login), lose, sender, in_call)
    async with (
        httpx2.AsyncClient(transport=transport, headers=dict(spec.headers), timeout=timeout) as client,
        streamable_http_client(spec.url, http_client=client, max_sse_event_size=MAX_EVENT_BYTES) as streams,
    ):
        yield streams


def wire_of(spec: ServerSpec, login: LoginFile | None) -> httpx2.AsyncBaseTransport:
    """What carries requests to a server: as far as it may lead, and with its login."""
    wire = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=None))
    if spec.public_only:
        return PublicOnly(wire)
    return wire if login is None else Authorised(wire, login)


class SoftFail(httpx2.AsyncBaseTransport):
    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        lose: Callable[[str], None],
        sender: Callable[[], Host | None] = lambda: None,
        in_call: Callable[[], bool] = lambda: False,
    ) -> None:
        self._inner = inner
        self._lose = lose
        self._sender = sender
        self._in_call = in_call

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":  # the farewell to a server that may hang
            request.extensions = {**request.extensions, "timeout": httpx2.Timeout(FAREWELL_TIMEOUT_S).as_dict()}
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.RequestError as error:
            return self._failed(request, error)
        if response.status_code >= 400:
            return await self._refused(request, response)
        if request.method == "POST" and _is_json(response):
            return await self._read(request, response)
        if request.method == "POST":
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = ReadToItsEnd(response.stream)
            host = self._sender()
            if host is not None and host.stream_ended is not None:
                response.stream = UntilEnded(response.stream, host.stream_ended)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _read(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        """The body at once: the SDK would do so too, and not survive an upstream that dies in its middle."""
        try:
            body = await response.aread()
        except httpx2.RequestError as error:
            return self._failed(request, error)
        finally:
            await response.aclose()
        headers = [(k, v) for k, v in response.headers.multi_items() if k not in ("content-encoding", "content-length")]
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    def _failed(self, request: httpx2.Request, error: httpx2.RequestError) -> httpx2.Response:
        why = why_failed(request.url, error)
        if isinstance(error, LoginNeeded) and not error.is_over and (request.method != "POST" or self._in_call()):
            if request.method != "POST":
                raise error
            return _error(request, refusal(error), WANTS_LOGIN)
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | LoginNeeded):
            self._lose(why)
        if request.method != "POST":
            raise error
        return _error(request, why, UNSENT if isinstance(error, NEVER_SENT) else BROKEN)

    async def _refused(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        answer = await self._read(request, response)
        if MCP_SESSION_ID in request.headers and forgot_session(answer):
            self._lose("it forgot our session")
            return _error(request, "the server forgot our session", UNSENT) if request.method == "POST" else answer
        if _is_json(answer) or request.method != "POST":
            return answer
        return _error(request, f"HTTP {answer.status_code} {answer.reason_phrase}{needs_login(answer)}", None)


class ReadToItsEnd(httpx2.AsyncByteStream):
    """A stream that ends a moment after its answer, with which the SDK closes it. Then the connection would be lost for
    the next request; what is still to come is nothing but its end."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner
        self._chunks: AsyncIterator[bytes] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = aiter(self._inner)
        async for chunk in self._chunks:
            yield chunk

    async def aclose(self) -> None:
        try:
            if self._chunks is not None:
                async with asyncio.timeout(ENDING_S):
                    async for _ in self._chunks:
                        pass
        except (TimeoutError, httpx2.RequestError, RuntimeError):
            pass  # then it is lost; or somebody else reads it still
        finally:
            await self._inner.aclose()


class UntilEnded(httpx2.AsyncByteStream):
    """A stream of events; `tell` is called when it ends before the answer has come, to be polled for."""

    def __init__(self, inner: httpx2.AsyncByteStream, tell: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._tell = tell

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces: list[bytes] = []
        is_answered = False
        async for chunk in self._inner:
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                is_answered = is_answered or _is_answer(b"".join((*pieces, line)))
                pieces.clear()
            pieces.append(rest)
            yield chunk
        if not is_answered:
            await self._tell()

    async def aclose(self) -> None:
        await self._inner.aclose()


def _is_answer(line: bytes) -> bool:
    """Whether a line of events carries a response: those are objects without a method."""
    if not line.startswith(b"data:") or not (b'"result"' in line or b'"error"' in line):
        return False
    try:
        return b'"method"' not in line or "method" not in json.loads(line[5:])
    except ValueError:
        return False


def refusal(error: LoginNeeded) -> str:
    """What is said of a call that alone lacks a login, or more of it, while others go on; and once to the owner."""
    if error.is_news:
        log.warning("%s: %s", error.server, error)
    return f"not done: server {error.server!r} needs its owner's login for that ({error})"


def why_failed(url: httpx2.URL, error: httpx2.RequestError) -> str:
    if isinstance(error, LoginNeeded):
        return str(error)
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"cannot connect to {url.host}:{url.port or url.scheme} ({why})" if isinstance(error, NEVER_SENT) else why


def needs_login(response: httpx2.Response) -> str:
    return " (it needs a login)" if response.status_code in (401, 403) else ""


def forgot_session(response: httpx2.Response) -> bool:
    """404 by the specification; many servers say 400 and "No valid session ID"."""
    return response.status_code == 404 or (response.status_code == 400 and b"session" in response.content.lower())


def _is_json(response: httpx2.Response) -> bool:
    return str(response.headers.get("content-type", "")).lower().startswith("application/json")


def _error(request: httpx2.Request, message: str, data: str | None) -> httpx2.Response:
    error = {"code": CONNECTION_CLOSED, "message": message, **({"data": data} if data else {})}
    return httpx2.Response(503, json={"jsonrpc": "2.0", "id": None, "error": error}, request=request)
