"""uvicorn's httptools protocol with what it lacks: who the peer is, and limits on heads and connections.

httptools takes headers of any size and number and waits for the end of a request line for ever; one client, or one
program that connects by mistake, could fill the memory of the daemon or hold a connection until it ends. When too many
connections are open, the one that has been idle for longest makes room; only when all are at work is a new one refused.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from woollama.domain.errors import Backpressure, BadRequest, RouterError
from woollama.domain.ids import new_id
from woollama.gate import RenderError
from woollama.platform import OwnerOf, Peer, tcp_peer, unix_peer
from woollama.server.joined_writes import JoinedWrites

CROWDED_S = 5
"""When a client may try again that found all connections taken."""
_log = logging.getLogger("woollama.server")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`head_timeout_s` runs from the first byte (or the connection) to the end of the head of a request.

    `write_timeout_s` is how long a client may take nothing of an answer that waits for it.
    """

    connections: int = 512
    head_bytes: int = 64 * 2**10
    headers: int = 128
    head_timeout_s: float = 10.0
    write_timeout_s: float = 300.0


class PeerProtocol(HttpToolsProtocol):
    """One connection. Applications find its `Peer` in `scope["state"]["peer"]`, on WebSockets too."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        limits: ConnectionLimits,
        owner_of: OwnerOf | None,
        render_error: RenderError,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._limits = limits
        self._owner_of = owner_of
        self._render_error = render_error
        self._in_head = True
        self._head_bytes = 0
        self._refusal = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self.idle_since: float | None = 0.0

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._writes = JoinedWrites(transport, self.loop)
        super().connection_made(cast(asyncio.Transport, self._writes))
        # A copy of this dictionary is the state of every request of this connection, and of its WebSocket.
        self.app_state = {**self.app_state, "peer": self._peer(transport)}
        self.idle_since = self.loop.time()
        if len(self.connections) > self._limits.connections and not self._made_room():
            self._refuse(503)
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def _made_room(self) -> bool:
        """Close the connection that has been idle for longest; False if all of them are at work."""
        others = (other for other in self.connections if isinstance(other, PeerProtocol) and other is not self)
        idle = [(other.idle_since, other) for other in others if other.idle_since is not None]
        if not idle:
            return False
        _, longest = min(idle, key=lambda each: each[0])
        longest.idle_since = None
        self.connections.discard(longest)
        longest.transport.close()
        return True

    def _peer(self, transport: asyncio.Transport) -> Peer:
        sock = transport.get_extra_info("socket")
        if sock.family == socket.AF_UNIX:
            return unix_peer(sock)
        if self.client is None or self.server is None or self.server[1] is None:
            return Peer("tcp", local=False)
        try:
            return tcp_peer(self.client, (self.server[0], self.server[1]), self._owner_of)
        except OSError:
            return Peer("tcp")

    # --- the answer ---

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._limits.write_timeout_s, self._write_timed_out)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_write_timer()

    def _write_timed_out(self) -> None:
        _log.info("a client took nothing of its answer for %g s and is cut off", self._limits.write_timeout_s)
        self.transport.abort()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def on_response_complete(self) -> None:
        self._writes.flush()
        super().on_response_complete()
        if not self._answering():
            self.idle_since = self.loop.time()

    # --- the head of a request ---

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            self._start_head_timer()
        super().data_received(data)
        if self._in_head and self._head_bytes > self._limits.head_bytes:
            self._refuse(431)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer must not become a header of a request that has been judged already
        super().on_header(name, value.strip(b" \t"))  # white space around a value is not part of it
        if len(self.headers) > self._limits.headers:
            self._refusal = 431
            raise ValueError("too many headers")  # the parser stops and reports a broken request

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.idle_since = None
        self._stop_head_timer()
        # A request that came whole in one read has not been measured yet.
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self._limits.head_bytes:
            self._refusal = 431
            raise ValueError("headers too large")
        self.server_state.default_headers = _date_header(int(time()))
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_timeout_s, self._head_timed_out)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_timed_out(self) -> None:
        self._head_timer = None
        if self._answering():
            self._start_head_timer()  # half a pipelined request must not end the answer that is under way
        elif self._head_bytes:
            self._refuse(408)
        else:
            self.transport.close()

    # --- refusing what is not a request ---

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal or 400)

    def _refuse(self, status: int) -> None:
        self._stop_head_timer()
        if self.transport.is_closing():
            return
        if self._answering():
            if self._in_head or self.cycle.response_started:
                self.transport.abort()  # an answer is owed or being written: this one would be taken for it
                return
            self.cycle.disconnected = True  # the request itself broke off: its application has nobody to answer
            self.cycle.message_event.set()
        error: RouterError = Backpressure(_WHY[status]) if status == 503 else BadRequest(_WHY[status])
        error.status_hint = status
        _, headers, body = self._render_error("", error)
        headers = [*headers, (b"x-request-id", new_id("req_").encode()), (b"connection", b"close")]
        headers += [(b"retry-after", b"%d" % CROWDED_S)] if status == 503 else []
        lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
        lines += [name + b": " + value for name, value in [*headers, (b"content-length", b"%d" % len(body))]]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


_WHY = {
    400: "this is not an HTTP request",
    408: "the request did not come to the end of its headers in time",
    431: "the headers of the request are too large or too many",
    503: "too many connections are open; try again later",
}


@lru_cache(1)
def _date_header(now: int) -> list[tuple[bytes, bytes]]:
    return [(b"date", formatdate(now, usegmt=True).encode())]


def protocol_factory(
    config: Config,
    server_state: ServerState,
    *,
    limits: Callable[[], ConnectionLimits],
    owner_of: OwnerOf | None,
    render_error: RenderError,
) -> Callable[[], PeerProtocol]:
    """What `loop.create_server` calls for each connection."""
    return lambda: PeerProtocol(config, server_state, {}, limits=limits(), owner_of=owner_of, render_error=render_error)
