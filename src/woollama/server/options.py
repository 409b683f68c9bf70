"""What a server is told: how to serve, and what."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve. `address` is `host:port`; without one 127.0.0.1:11435, or any free port where that is taken.

    `runtime_dir` of `None` is the platform's. `keep_alive_s` exceeds what HTTP clients keep idle connections for, so
    that none is closed in the moment in which it is used again.
    """

    address: str | None = None
    token: str | None = field(default=None, repr=False)
    runtime_dir: Path | None = None
    any_local_user: bool = False
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    max_body_bytes: int = 32 * 2**20
    max_header_bytes: int = 64 * 2**10
    max_headers: int = 128
    header_timeout_s: float = 10.0
    keep_alive_s: float = 75.0
    shutdown_timeout_s: float = 10.0


class Served(Protocol):
    """What is behind the door."""

    @property
    def app(self) -> ASGIApp: ...

    async def start(self) -> None:
        """Warm up. Called once the sockets listen, so it may take its time; raising ends the daemon."""
        ...

    async def reload(self) -> None:
        """The owner asks to read the configuration anew. Raises nothing."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Take no new turns, let idle feeds go at once, and end what still runs after `timeout_s` with its error."""
        ...

    async def close(self) -> None:
        """Close what requests used: called when all of them are over."""
        ...


@dataclass(frozen=True, slots=True)
class JustApp:
    """An ASGI application with nothing around it."""

    app: ASGIApp

    async def start(self) -> None:
        return

    async def drain(self, timeout_s: float) -> None:
        return

    async def close(self) -> None:
        return
