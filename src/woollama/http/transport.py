"""The HTTP/1.1 client of the hot path: keep-alive connections to upstreams, one exchange each at a time.

Why not a library's: a relayed request costs this client a twentieth of what the common ones cost, and their pools
lose streams by the hundred when a thousand are open at once. It does what inference needs and no more: no redirects,
no cookies, no HTTP/2, and no proxies (`HTTPS_PROXY` is not looked at).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType

from woollama.http.connection import HttpAnswer, HttpConnection, Stale
from woollama.http.dialling import addresses_of, first_to_connect
from woollama.http.errors import unreachable
from woollama.http.request import HttpRequest, Origin

DEFAULT_KEEP_ALIVE_S = 30.0


class HttpClient:
    """`async with client.exchange(request) as answer`; leaving the block before the answer is complete closes it.

    Raises `UpstreamUnreachable` or `UpstreamTimeout` before there is a status line; the answer's body raises
    `UpstreamBroke` or `UpstreamTimeout`. Works on any event loop; belongs to the one it is first used on.

    `look` sees the name and the addresses of whom a connection is about to be made to, and raises where it must not.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        keep_alive_s: float = DEFAULT_KEEP_ALIVE_S,
        look: Callable[[str, Sequence[str]], None] | None = None,
    ) -> None:
        self._tls = tls
        self._keep_alive_s = keep_alive_s
        self._look = look
        self._open: set[HttpConnection] = set()
        # The newest last. A dict gives the newest, and drops any, in constant time.
        self._idle: dict[Origin, dict[HttpConnection, None]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._all_gone: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<HttpClient {len(self._open)} open, {self.idle} idle>"

    @property
    def idle(self) -> int:
        return sum(map(len, self._idle.values()))

    @property
    def open(self) -> int:
        return len(self._open)

    def exchange(self, request: HttpRequest) -> Exchange:
        return Exchange(self, request)

    def abort(self) -> None:
        """Begin to close every connection, busy ones too; another request makes a new one."""
        for connection in list(self._open):
            connection.abort()

    async def aclose(self) -> None:
        """Close every connection, busy ones too."""
        if self._sweep:
            self._sweep.cancel()
        self.abort()
        if self._open:
            self._all_gone = asyncio.get_running_loop().create_future()
            await self._all_gone

    async def connect(self, request: HttpRequest) -> HttpConnection:
        origin, limit_s = request.origin, request.patience.connect_s
        try:
            async with asyncio.timeout(limit_s):
                addresses = await addresses_of(origin.host, origin.port)
                if self._look is not None:
                    self._look(origin.host, addresses)
                attempts = [partial(self._connect_to, address, origin) for address in addresses]
                connection = await first_to_connect(attempts, HttpConnection.abort)
        except OSError as error:  # of which TimeoutError and ssl.SSLError are kinds
            raise unreachable(origin.peer, error, limit_s) from error
        self._open.add(connection)
        return connection

    async def _connect_to(self, address: str, origin: Origin) -> HttpConnection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: HttpConnection(origin, self._gone),
            address,
            origin.port,
            ssl=self._tls_context() if origin.tls else None,
            server_hostname=origin.host if origin.tls else None,
        )
        return connection

    def take_idle(self, origin: Origin) -> HttpConnection | None:
        """The connection that was used last: an upstream first closes those that it has not heard of for longest."""
        idle = self._idle.get(origin)
        while idle:
            connection, _ = idle.popitem()
            if connection.usable and connection.idle_since + self._keep_alive_s > asyncio.get_running_loop().time():
                return connection
            connection.abort()
        return None

    def give_back(self, connection: HttpConnection) -> None:
        if connection.ends_soon(self.give_back):
            return
        if connection.release():
            self._idle.setdefault(connection.origin, {})[connection] = None
            if self._sweep is None:
                self._sweep = asyncio.get_running_loop().call_later(self._keep_alive_s, self._close_old)

    def _close_old(self) -> None:
        now = asyncio.get_running_loop().time()
        for origin, idle in list(self._idle.items()):
            for connection in list(idle):
                if connection.idle_since + self._keep_alive_s > now:
                    break  # those after it were used later
                del idle[connection]
                connection.abort()
            if not idle:
                del self._idle[origin]
        again = asyncio.get_running_loop().call_later
        self._sweep = again(self._keep_alive_s, self._close_old) if self._idle else None

    def _gone(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        self._idle.get(connection.origin, {}).pop(connection, None)
        if self._all_gone and not self._open and not self._all_gone.done():
            self._all_gone.set_result(None)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()  # tens of milliseconds: once, and only if anything uses TLS
        return self._tls


class Exchange:
    """One request and its answer, as a context manager. `begun`: some of it may have left."""

    __slots__ = ("_client", "_connection", "_request", "begun")

    def __init__(self, client: HttpClient, request: HttpRequest) -> None:
        self._client = client
        self._request = request
        self._connection: HttpConnection | None = None
        self.begun = False

    async def __aenter__(self) -> HttpAnswer:
        head = self._request.encode_head()
        connection = self._client.take_idle(self._request.origin)
        if connection is not None:
            try:
                return await self._send(connection, head)
            except Stale:
                pass  # it was closed while idle and nothing of the request was answered: once more, on a new one
        return await self._send(await self._client.connect(self._request), head)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._client.give_back(self._connection)

    async def _send(self, connection: HttpConnection, head: bytes) -> HttpAnswer:
        self.begun = True
        try:
            answer = await connection.exchange(head, self._request)
        except BaseException:
            connection.abort()
            raise
        self._connection = connection
        return answer
