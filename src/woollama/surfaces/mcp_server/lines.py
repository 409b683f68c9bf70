"""How a request reaches back to its host while it is being answered: progress, log lines and questions.

All of it goes on the stream of the request itself, in either era.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import mcp_types as types
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.server.connection import Connection
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ConfigDict, ValidationError

from woollama.domain import federation
from woollama.domain.messages import Answer, Ask, Json
from woollama.domain.peers import PeerError, Peers
from woollama.surfaces.mcp_server.questions import answer_of, elicitation
from woollama.surfaces.mcp_server.uris import outward

log = logging.getLogger("woollama.mcp")

Context = ServerRequestContext[Any, Any]
Request = types.Request[dict[str, Any], str]

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_OF_REQUESTS = frozenset(
    {
        types.PROTOCOL_VERSION_META_KEY,
        types.CLIENT_INFO_META_KEY,
        types.CLIENT_CAPABILITIES_META_KEY,
        types.LOG_LEVEL_META_KEY,
        federation.INSTANCE_KEY,
        federation.HOPS_KEY,
        "progressToken",
        "progress_token",
    }
)
"""What a request's `_meta` says to us alone."""


class Line(Protocol):
    async def ask(self, ask: Ask) -> Answer | None: ...

    async def request(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        """Raises `PeerError`."""
        ...

    async def tell(self, progress: float, total: float | None, message: str | None) -> None: ...

    async def log(self, params: Mapping[str, Json]) -> None: ...


class Raw(BaseModel):
    model_config = ConfigDict(extra="allow")


class RequestLine:
    """The line of one request. Questions reach hosts of the handshake era only; in the other one calls are parked.

    `level` is that of the log lines that the host wants; a modern host that names none wants none.
    """

    def __init__(self, ctx: Context, level: str | None) -> None:
        self._ctx = ctx
        self._level = level

    async def ask(self, ask: Ask) -> Answer:
        try:
            said = await self.request("elicitation/create", wire(elicitation(ask).params))
            return answer_of(ask, types.ElicitResult.model_validate(said, by_name=False))
        except (PeerError, ValidationError) as error:
            log.info("the host gave no answer about %s: %s", ask.name, error)
            return Answer(ask.id, False, missing="the host gave no answer")

    async def request(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        related = ServerMessageMetadata(related_request_id=self._ctx.request_id)
        try:
            asked = Request(method=method, params=dict(params))
            return (await self._ctx.session.send_request(asked, Raw, metadata=related)).model_extra or {}  # type: ignore[arg-type]
        except (MCPError, NoBackChannelError) as error:
            raise PeerError(error.code, error.message, error.data) from error
        except ValidationError as error:
            raise PeerError(types.INTERNAL_ERROR, "the host's answer breaks the protocol") from error

    async def tell(self, progress: float, total: float | None, message: str | None) -> None:
        await self._ctx.session.report_progress(progress, total, message)

    async def log(self, params: Mapping[str, Json]) -> None:
        if is_wanted(params, self._level) and (self._level or not is_modern(self._ctx)):
            said = types.LoggingMessageNotification.model_validate(
                {"method": "notifications/message", "params": params}, by_name=False
            )
            await self._ctx.session.send_notification(said, related_request_id=self._ctx.request_id)


class ConnectedHost:
    """A host of the handshake era for as long as it is connected."""

    def __init__(self, connection: Connection, peers: Peers) -> None:
        self._connection = connection
        self._peers = peers
        self.log_level: str | None = None

    @property
    def capabilities(self) -> Mapping[str, Json]:
        return core_capabilities(self._connection.client_capabilities)

    async def ask(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        try:
            return await self._connection.send_raw_request(method, params)
        except MCPError as error:
            raise PeerError(error.code, error.message, error.data) from error

    async def log(self, params: Mapping[str, Json]) -> None:
        if is_wanted(params, self.log_level):
            await self._connection.outbound.notify("notifications/message", params)

    async def updated(self, server: str, uri: str) -> None:
        prefix = next((each.prefix for each in self._peers.listings() if each.server == server), server)
        await self._connection.send_resource_updated(outward(prefix, server, uri))

    async def tools_changed(self) -> None:
        await self._connection.send_tool_list_changed()

    async def followed(self, link: str) -> None:
        await self._connection.outbound.notify("notifications/elicitation/complete", {"elicitationId": link})


def wire(model: BaseModel) -> dict[str, Json]:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def is_modern(ctx: Context) -> bool:
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def is_woollama(ctx: Context) -> bool:
    """Whether the host is another one of us."""
    return names_woollama(ctx.session.client_params)


def names_woollama(client: types.InitializeRequestParams | None) -> bool:
    return client is not None and client.client_info is not None and client.client_info.name == federation.NAME


def is_wanted(params: Mapping[str, Json], level: str | None) -> bool:
    """Whether a line of a log is at least as grave as that level; without one all are wanted."""
    said = params.get("level")
    return level not in LEVELS or said not in LEVELS or LEVELS.index(said) >= LEVELS.index(level)


def core_capabilities(declared: types.ClientCapabilities | None) -> dict[str, Json]:
    """What a server may be told that its client can do: what we can relay, and no extensions."""
    said = {name: getattr(declared, name, None) for name in ("sampling", "elicitation", "roots")}
    return {name: wire(each) for name, each in said.items() if each is not None}


def foreign_meta(ctx: Context) -> dict[str, Json]:
    """What the request's `_meta` says to whoever answers it: trace contexts, vendors' own."""
    return {name: value for name, value in (ctx.meta or {}).items() if name not in _OF_REQUESTS}
