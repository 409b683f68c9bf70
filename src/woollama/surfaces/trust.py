"""`GET` and `POST /w1/servers/{name}/trust`: tools that have changed since they were first seen, and a yes to them.

A yes is the owner's, over the unix socket; a tool server must not accept its own change. It names what was shown, so
that a tool which changes while a person reads is not accepted unread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

from starlette.types import Receive, Scope, Send

from woollama.domain.errors import BadRequest, Forbidden
from woollama.domain.ports import ChangedTool
from woollama.domain.turns import Caller
from woollama.surfaces.bodies import parse_json, read_json, send_json
from woollama.surfaces.fields import Fields


class PinnedServers(Protocol):
    """Both raise `UnknownServer`; `trust` also `Conflict` where a tool is by now another than what was shown."""

    def changes(self, server: str) -> Sequence[ChangedTool]: ...

    def trust(self, server: str, digests: Mapping[str, str]) -> Sequence[str]: ...


class Trust:
    """`is_owners` says of a request whether a program of the owner's can have sent it, and not one of our children."""

    def __init__(self, servers: PinnedServers, is_owners: Callable[[Scope], bool]) -> None:
        self._servers = servers
        self._is_owners = is_owners

    async def changes(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = self._servers.changes(scope["path_params"]["name"])
        await send_json(send, 200, {"data": [asdict(change) for change in changes]})

    async def accept(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`{"tools": {"NAME": "DIGEST"}}`; what was accepted."""
        caller: Caller = scope["state"]["caller"]
        if caller.via != "unix" or not self._is_owners(scope):
            raise Forbidden(
                "only a program of the owner accepts a changed tool, over the unix socket, and none that woollama has"
                " started itself"
            )
        body = parse_json(await read_json(scope, receive))
        tools = Fields(body).object("tools")
        if tools is None or not all(isinstance(digest, str) for digest in tools.values()):
            raise BadRequest("`tools` must be an object: of each tool its digest as it was shown", param="tools")
        accepted = self._servers.trust(scope["path_params"]["name"], tools)
        await send_json(send, 200, {"accepted": list(accepted)})
