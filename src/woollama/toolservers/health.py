"""How a tool server is: for whoever looks, and as the reason why it cannot be called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from woollama.domain.ports import ServerHealth
from woollama.toolservers.logins import LoginFile

if TYPE_CHECKING:
    from woollama.toolservers.server import Server

Health = Literal["starting", "ready", "down", "needs login", "disabled"]
OUT = ("down", "needs login")


def health_of(server: Server, login: LoginFile | None) -> ServerHealth:
    spec, every = server.spec, (*server.tools, *server.host_tools.every)
    return ServerHealth(
        spec.name,
        spec.transport,
        server.state,
        len(server.tools),
        server.attempts,
        server.last_error,
        changed=[tool.name for tool in every if tool.pin in ("changed", "quarantined")],
        quarantined=[tool.name for tool in every if tool.pin == "quarantined"],
        login_wanted=login.wish if login is not None and server.state == "ready" else None,
    )


def why_not(name: str, state: Health, last_error: str | None) -> str:
    """Why it has no connection."""
    match state:
        case "disabled":
            return f"server {name!r} is disabled"
        case "down":
            return f"server {name!r} is down: {last_error}"
        case "needs login":
            return f"server {name!r} needs its owner's login ({last_error})"
        case _:
            return "its server is still starting"
