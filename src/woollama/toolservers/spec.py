"""What is known of a tool server before it is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from woollama.domain.tools import Tool
from woollama.toolservers.logins import OwnClient

Transport = Literal["stdio", "http", "sse"]
Era = Literal["auto", "handshake", "modern"]
Sharing = Literal["shared", "per-client"]
PinMode = Literal["warn", "quarantine"]


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A program to run (`command`, over its stdin and stdout) or an address to call (`url`: Streamable HTTP or SSE).

    `env` is laid over the private environment that every server gets. `timeout_s` bounds one call, `start_timeout_s`
    a start with everything it may download. `disabled_tools` are names or globs. `prefix` stands before the wire names
    of its tools: the server's name where it is unset, nothing where it is empty. `label` is what its process is called
    where it is one of several. `samples`: it is told that it may ask for a model, whoever calls it. `is_passing`: it is
    there for one request alone. `public_only`: its address must not lead into this machine or its network. `client` is
    who we are where it has logins. A `per-client` listing: what it shows hosts that can more than
    others is found out when one of them lists, and not when it calls; unset: so where that costs no process.
    """

    name: str
    transport: Transport = "stdio"
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    client: OwnClient = field(default_factory=OwnClient)
    timeout_s: float | None = None
    start_timeout_s: float = 60.0
    disabled_tools: tuple[str, ...] = ()
    era: Era = "auto"
    trusted: bool = False
    pin: PinMode | None = None
    sharing: Sharing = "shared"
    listing: Sharing | None = None
    label: str = ""
    samples: bool = False
    is_passing: bool = False
    public_only: bool = False
    prefix: str | None = None
    disabled: bool = False

    @property
    def origin(self) -> str:
        """Where its tools are, if that is elsewhere."""
        return self.url or ""

    @property
    def pin_mode(self) -> PinMode:
        """What becomes of a tool that has changed: a program here changes when it is updated, a server elsewhere when
        somebody else wants it."""
        return self.pin or ("warn" if self.transport == "stdio" else "quarantine")

    @property
    def lists_per_client(self) -> bool:
        return self.listing == "per-client" or (self.listing is None and self.transport != "stdio")

    def allows(self, tool: Tool) -> bool:
        return not any(fnmatchcase(tool.name, glob) for glob in self.disabled_tools)
