"""An application answering on open sockets, and the orderly way out.

The order of an end is: no new connections; running turns get the shutdown timeout; what is left is cancelled and
awaited; only then is closed what they used. Every step has a limit of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from woollama.auth import Policy
from woollama.gate import Gate, RenderError, openai_error
from woollama.observe import RequestLog
from woollama.platform import OwnerOf
from woollama.server.listening import Listening
from woollama.server.options import Served, ServeOptions

if TYPE_CHECKING:
    from woollama.server.connection import ConnectionLimits

FLUSH_S = 0.5
RESERVE_S = 2.0
CANCEL_S = 1.0
CLOSE_S = 10.0
END_S = FLUSH_S + 4 * CANCEL_S + CLOSE_S
"""The most that an end takes beyond its timeout."""
_log = logging.getLogger("woollama.server")


class Serving:
    """An application answering on open sockets. `begin` accepts, `end` is the orderly way out."""

    def __init__(
        self,
        served: Served,
        listening: Listening,
        options: ServeOptions,
        *,
        owner_of: OwnerOf | None,
        render_error: RenderError = openai_error,
    ) -> None:
        from uvicorn import Config
        from uvicorn.server import ServerState

        from woollama.server.connection import protocol_factory

        self._owner_is_told = owner_of is not None
        self._gate = Gate(served.app, self._policy(options), render_error)
        config = Config(
            RequestLog(self._gate),
            http="httptools",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=logging.CRITICAL,  # the gate has said what uvicorn would repeat
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=options.keep_alive_s,  # type: ignore[arg-type]
            ws_max_size=options.max_body_bytes,
        )
        config.load()
        self._served = served
        self._listening = listening
        self._options = options
        self._limits = _limits(options)
        self._state = ServerState()
        self._new_connection = protocol_factory(
            config,
            self._state,
            limits=lambda: self._limits,
            owner_of=owner_of,
            render_error=render_error,
        )
        self._servers: list[asyncio.Server] = []
        self._warming: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Serving {len(self._state.connections)} connections, {self.requests} requests>"

    @property
    def requests(self) -> int:
        """How many are being answered."""
        return len(self._state.tasks)

    @property
    def options(self) -> ServeOptions:
        return self._options

    def renew(self, options: ServeOptions) -> None:
        """Other options from now on, for requests and connections to come. What is bound stays bound.

        The last token is not taken away: whoever started with one may be reachable from other machines.
        """
        before = self._options
        if any(before.tokens()) and not options.token and not options.named_tokens:
            _log.warning("a token is still asked for: to serve without any, start again")
            options = replace(options, token=before.token, named_tokens=before.named_tokens)
        self._options = options
        self._limits = _limits(options)
        self._gate.renew(self._policy(options))

    def _policy(self, options: ServeOptions) -> Policy:
        return Policy(
            uid=os.geteuid(),
            token=options.token,
            named_tokens=options.named_tokens,
            check_tcp_owner=self._owner_is_told and not options.any_local_user,
            allow_hosts=options.allow_hosts,
            allow_origins=options.allow_origins,
            max_body_bytes=options.max_body_bytes,
            max_media_bytes=options.max_media_bytes,
            body_timeout_s=options.body_timeout_s,
        )

    async def begin(self) -> asyncio.Task[None]:
        """Accept connections and warm up: the task of the latter is returned."""
        loop = asyncio.get_running_loop()
        for sock in self._listening.sockets:
            self._servers.append(await loop.create_server(self._new_connection, sock=sock))
        self._warming = asyncio.create_task(self._served.start(), name="warming up")
        return self._warming

    async def end(self, timeout_s: float) -> None:
        """Stop as the module says, usually within `timeout_s`, always within `END_S` more; raises nothing.

        Running turns get most of that time. The rest is for telling their clients and ending the children.
        """
        from woollama.server.connection import PeerProtocol

        turns_s = timeout_s - min(RESERVE_S, timeout_s / 4)

        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            if isinstance(connection, PeerProtocol):
                connection.shutdown()  # closes it if idle, else after its answer
        draining = asyncio.create_task(self._served.drain(turns_s), name="draining")
        await self._settle(draining, turns_s)
        await self._cancel(draining)
        if self._warming is not None and not self._warming.done():
            await _ended(self._warming, CANCEL_S, "warming up")
        await _ended(asyncio.create_task(self._served.close()), CLOSE_S, "closing", at_once=False)

    async def _settle(self, draining: asyncio.Task[None], timeout_s: float) -> None:
        """Wait for all requests and the draining; a little longer for frames that the end of turns has produced."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s + FLUSH_S
        while (waiting := _unfinished({*self._state.tasks, draining})) and (left_s := until - loop.time()) > 0:
            await asyncio.wait(waiting, timeout=left_s)

    async def _cancel(self, draining: asyncio.Task[None]) -> None:
        """Cancel what is left and wait for it: what it uses is closed next. Who does not read is cut off."""
        for connection in list(self._state.connections):
            connection.shutdown()
        requests = set(self._state.tasks)
        if requests:
            _log.warning("the shutdown timeout has passed: %d requests are cancelled", len(requests))
        for task in requests:
            task.cancel()
        if requests:
            await asyncio.wait(requests, timeout=CANCEL_S)
        await _ended(draining, CANCEL_S, "draining")
        await self._flush()
        for connection in list(self._state.connections):
            connection.transport.abort()
        if requests := set(_unfinished(requests)):
            await asyncio.wait(requests, timeout=CANCEL_S)

    async def _flush(self) -> None:
        """Closed connections live on until their last bytes are taken."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FLUSH_S
        while self._state.connections and loop.time() < until:  # noqa: ASYNC110  (uvicorn tells nobody)
            await asyncio.sleep(0.01)


def _limits(options: ServeOptions) -> ConnectionLimits:
    from woollama.server.connection import ConnectionLimits

    return ConnectionLimits(
        connections=options.max_connections,
        head_bytes=options.max_header_bytes,
        headers=options.max_headers,
        head_timeout_s=options.header_timeout_s,
        write_timeout_s=options.write_timeout_s,
    )


async def _ended(task: asyncio.Task[None], within_s: float, doing: str, *, at_once: bool = True) -> None:
    """Wait for a task of ours, cancelled first if `at_once`; what it raised is said, since nobody else will."""
    if at_once:
        task.cancel()
    _, late = await asyncio.wait({task}, timeout=within_s)
    if late:
        task.cancel()
        _log.error("%s did not end within %g s", doing, within_s)
    elif not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s failed", doing, exc_info=error)


def _unfinished(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    return {task for task in tasks if not task.done()}
