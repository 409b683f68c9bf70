"""What is the owner's alone: who has a client's token neither watches the others nor answers for the owner."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from woollama.domain.errors import Forbidden
from woollama.domain.turns import Caller


class ForOwner:
    """Raises `Forbidden` for callers with a named token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __repr__(self) -> str:
        return f"<ForOwner {self._app!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller = scope["state"]["caller"]
        if caller.scope.token is not None:
            raise Forbidden(
                f"the token {caller.scope.token!r} is a client's, and {scope['path']} is for the owner:"
                " use the unix socket, or WOOLLAMA_TOKEN"
            )
        await self._app(scope, receive, send)
