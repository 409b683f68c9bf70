"""Which era of MCP a server is spoken to in."""

from __future__ import annotations

import mcp_types as types
from mcp import MCPError
from mcp.client.session import ClientSession
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from woollama.toolservers.spec import Era


async def negotiate(session: ClientSession, era: Era) -> None:
    """Raises `MCPError` where there is no revision that both sides speak. `auto` asks once in the modern way, and then
    goes by the server: only one that says that it speaks nothing but other modern revisions is given up."""
    if era != "handshake":
        try:
            await _discover(session, LATEST_MODERN_VERSION, may_ask_again=True)
            return
        except MCPError as error:
            if era == "modern" or _speaks_only_others(error):
                raise
        except (ValidationError, RuntimeError):  # what it says of itself is nothing that we can use
            if era == "modern":
                raise
    try:
        await session.initialize()
    except MCPError as error:
        if era == "handshake" or not (mutual := _mutual(error)):
            raise
        # The question came too early for it, and was yet enough to make it a modern one.
        await _discover(session, mutual[-1], may_ask_again=False)


async def _discover(session: ClientSession, version: str, *, may_ask_again: bool) -> None:
    try:
        said = await session.send_discover(version)
    except MCPError as error:
        if not may_ask_again or not (mutual := _mutual(error)):
            raise
        await _discover(session, mutual[-1], may_ask_again=False)
    else:
        session.adopt(types.DiscoverResult.model_validate(said))


def _mutual(error: MCPError) -> list[str]:
    """The modern revisions that a server offers when it refuses another, the newest last."""
    offered = _offered(error) or ()
    return [version for version in MODERN_PROTOCOL_VERSIONS if version in offered]


def _speaks_only_others(error: MCPError) -> bool:
    offered = _offered(error)
    return offered is not None and not set(offered) & {*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS}


def _offered(error: MCPError) -> list[str] | None:
    if error.code != types.UNSUPPORTED_PROTOCOL_VERSION:
        return None
    try:
        return types.UnsupportedProtocolVersionErrorData.model_validate(error.data).supported
    except ValidationError:
        return None
