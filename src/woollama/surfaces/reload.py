"""`GET /w1/config`: how the configuration is. `POST /w1/reload`: work with what its files say now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.domain.errors import Forbidden
from woollama.domain.turns import Caller
from woollama.surfaces.bodies import send_json


class Reload:
    """`state` and `reload` give the bodies. A reload may start programs, so it is the owner's, over the unix socket.

    `is_owners` says of a request whether a program of the owner's can have sent it, and not one of our own children.
    """

    def __init__(
        self,
        state: Callable[[], dict[str, Any]],
        reload: Callable[[], Awaitable[dict[str, Any]]],
        is_owners: Callable[[Scope], bool],
    ) -> None:
        self._state = state
        self._reload = reload
        self._is_owners = is_owners

    async def state(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, self._state())

    async def reload(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller = scope["state"]["caller"]
        if caller.via != "unix" or not self._is_owners(scope):
            raise Forbidden("a reload is for the owner alone: ask over the unix socket, or send SIGHUP")
        await send_json(send, 200, await self._reload())
