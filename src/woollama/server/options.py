"""What a server is told: how to serve, and what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from woollama.auth import ClientToken
from woollama.config.tokens import value_of
from woollama.domain.turns import Scope

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from woollama.config.model import Config


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve. `address` is `host:port`; without one 127.0.0.1:11435, or any free port where that is taken.

    `runtime_dir` of `None` is the platform's. `keep_alive_s` exceeds what HTTP clients keep idle connections for, so
    that none is closed in the moment in which it is used again.
    """

    address: str | None = None
    token: str | None = field(default=None, repr=False)
    named_tokens: tuple[ClientToken, ...] = ()
    runtime_dir: Path | None = None
    any_local_user: bool = False
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    max_body_bytes: int = 32 * 2**20
    max_media_bytes: int = 256 * 2**20
    max_connections: int = 512
    max_header_bytes: int = 64 * 2**10
    max_headers: int = 128
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    write_timeout_s: float = 300.0
    keep_alive_s: float = 75.0
    shutdown_timeout_s: float = 10.0

    def tokens(self) -> Iterator[str]:
        """The values that open the door. Without any, nobody may come from another machine."""
        yield from filter(None, (self.token, *(named.value for named in self.named_tokens)))


def options_of(config: Config, environ: Mapping[str, str]) -> ServeOptions:
    """What a configuration says of serving. Tokens are read here and now."""
    door, limits = config.door, config.limits
    named = (
        ClientToken(Scope(token.models, token.tools, token.name), value_of(token, environ))
        for token in config.tokens.values()
    )
    return ServeOptions(
        address=door.address,
        token=environ.get("WOOLLAMA_TOKEN") or None,
        named_tokens=tuple(named),
        any_local_user=door.any_local_user,
        allow_hosts=door.allow_hosts,
        allow_origins=door.allow_origins,
        max_body_bytes=limits.body_bytes,
        max_media_bytes=limits.media_bytes,
        max_connections=limits.connections,
        max_header_bytes=limits.header_bytes,
        max_headers=limits.headers,
        header_timeout_s=limits.header_timeout_s,
        body_timeout_s=limits.body_timeout_s,
        write_timeout_s=limits.write_timeout_s,
        shutdown_timeout_s=door.shutdown_timeout_s,
    )


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

    def on_reconfigured(self, tell: Callable[[Config], None]) -> None:
        """`tell` is called with every further configuration that this works with."""
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

    def on_reconfigured(self, tell: Callable[[Config], None]) -> None:
        return

    async def reload(self) -> None:
        return

    async def drain(self, timeout_s: float) -> None:
        return

    async def close(self) -> None:
        return
