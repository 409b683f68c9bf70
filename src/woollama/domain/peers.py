"""Words of MCP's own traffic between a tool server and a host, which passes through us untranslated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Json = Any


class PeerError(Exception):
    """A JSON-RPC error, as it was said."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class HostSession(Protocol):
    """A host of the handshake era for as long as it is connected. Compared by identity."""

    @property
    def capabilities(self) -> Mapping[str, Json]:
        """Of `sampling`, `elicitation` and `roots` what the host has declared."""
        ...

    log_level: str | None

    async def ask(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        """What a server asks outside of every request. Raises `PeerError`."""
        ...

    async def log(self, params: Mapping[str, Json]) -> None: ...

    async def updated(self, server: str, uri: str) -> None: ...

    async def tools_changed(self) -> None:
        """It finds other tools now than before: a server has some for this host alone."""
        ...

    async def followed(self, link: str) -> None:
        """What was behind a link that the host was asked to open is done; `link` is the elicitation's id."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """The MCP host that a request to a tool server is made for, as long as that request lasts.

    `session` is the connection that it keeps with us in the handshake era; a host of the modern era has none. `ask`
    raises `PeerError`. `meta` is what its request says beside our own business, `answers` and `state` are those of a
    modern request that is made again with the input that was wanted. `stream_ended` is called when the server has ended
    the stream of the request to have it polled.
    """

    session: HostSession | None
    capabilities: Mapping[str, Json]
    ask: Callable[[str, Mapping[str, Json]], Awaitable[Mapping[str, Json]]]
    log: Callable[[Mapping[str, Json]], Awaitable[None]]
    meta: Mapping[str, Json] = field(default_factory=dict)
    log_level: str | None = None
    answers: Mapping[str, Json] | None = None
    state: str | None = None
    stream_ended: Callable[[], Awaitable[None]] | None = None

    @property
    def is_modern(self) -> bool:
        return self.session is None


ListKind = Literal["tools", "prompts", "resources"]


@dataclass(frozen=True, slots=True)
class ServerListing:
    """What one tool server has beside its tools, as raw objects. `prefix` is empty for a re-export under bare names.

    `federated`: it is another woollama.
    """

    server: str
    prefix: str
    prompts: tuple[Mapping[str, Json], ...] = ()
    resources: tuple[Mapping[str, Json], ...] = ()
    templates: tuple[Mapping[str, Json], ...] = ()
    federated: bool = False


class Peers(Protocol):
    """The tool servers as MCP parties, in the shape of JSON-RPC: what our MCP server passes on untranslated.

    Tools are not called here but through a `Toolbox`, because a policy stands before them.
    """

    def listings(self) -> Sequence[ServerListing]:
        """From memory; never waits on a server."""
        ...

    async def request(
        self,
        server: str,
        method: str,
        params: Mapping[str, Json],
        host: Host,
        progress: Callable[[float, float | None, str | None], Awaitable[None]] | None = None,
    ) -> Mapping[str, Json]:
        """The result as it came. Raises `PeerError`, also for a server that is not there."""
        ...

    async def subscribe(self, server: str, uri: str, session: HostSession) -> None:
        """The session hears of updates until it is left or unsubscribes. Raises `PeerError`."""
        ...

    async def unsubscribe(self, server: str, uri: str, session: HostSession) -> None: ...

    def watch(self, server: str, uri: str) -> AbstractAsyncContextManager[None]:
        """In this block every observer hears of updates of the resource."""
        ...

    def on_update(self, tell: Callable[[str, str], Awaitable[None]]) -> None:
        """`tell(server, uri)` is called for the resources that are watched."""
        ...

    def on_change(self, tell: Callable[[Collection[ListKind], bool], None]) -> None:
        """`tell` is called when a server says that its lists have changed, after they have been listed anew, and hears
        whether that server is another woollama."""
        ...

    def listed(self, session: HostSession, servers: Collection[str]) -> None:
        """The host was shown the tools of these servers. If they have more for it, it is told (`tools_changed`)."""
        ...

    async def set_level(self, session: HostSession) -> None:
        """The host has another `log_level` from now on."""
        ...

    async def roots_changed(self, session: HostSession) -> None: ...

    async def leave(self, session: HostSession) -> None:
        """The host is gone: what was opened for it ends."""
        ...
