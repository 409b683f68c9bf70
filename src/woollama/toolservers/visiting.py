"""Tool servers that a request brings along: reached for this request alone, where the owner allows it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urlsplit

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.ports import Toolbox
from woollama.domain.turns import ToolGrant
from woollama.domain.visits import Visit, Visited
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.spec import ServerSpec

START_TIMEOUT_S = 20.0
MOST_SERVERS = 8
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_GLOB = re.compile(r"[*?\[]")
_WHERE = "allow_remote_servers, in [mcp] of woollama.toml"


class Visiting:
    """`allowed` is what the owner says: all, none, or patterns of hosts. Implements `domain.ports.RemoteServers`.

    `configured` are the names of his own servers, which no other can take. `fleet` makes one out of specs and of the
    names that its functions must not have, `wrap` puts around it what is around every tool. In the block of `hiding`
    `scrub` takes these texts out of others, and out of every line of the log.
    """

    def __init__(
        self,
        allowed: bool | Sequence[str],
        configured: Collection[str],
        fleet: Callable[[Sequence[ServerSpec], Collection[str]], Fleet],
        wrap: Callable[[Toolbox], Toolbox],
        hiding: Callable[[Collection[str]], AbstractContextManager[None]],
        scrub: Callable[[str], str],
    ) -> None:
        self._allowed = ("*",) if allowed is True else tuple(allowed or ())
        self._configured = configured
        self._fleet = fleet
        self._wrap = wrap
        self._hiding = hiding
        self._scrub = scrub

    def __repr__(self) -> str:
        return f"<Visiting {list(self._allowed)}>"

    @asynccontextmanager
    async def visit(self, grants: Sequence[ToolGrant], taken: Collection[str]) -> AsyncIterator[Visit]:
        specs = [self._spec(grant) for grant in grants]
        if len(specs) > MOST_SERVERS or len({spec.name for spec in specs}) < len(specs):
            raise BadRequest(f"at most {MOST_SERVERS} servers, each with a label of its own", param="tools")
        with self._hiding([secret for grant in grants for secret in _secrets(grant)]):
            fleet = self._fleet(specs, taken)
            fleet.start()
            try:
                await fleet.wait_warm(START_TIMEOUT_S)
                late = "it did not answer in time"
                errors = {each.name: each.last_error or late for each in fleet.health() if each.health != "ready"}
                tools = fleet.tools()
                yield Visit(
                    self._wrap(fleet),
                    [
                        Visited(
                            spec.name,
                            [tool for tool in tools if tool.server == spec.name],
                            self._scrub(errors[spec.name]) if spec.name in errors else None,
                        )
                        for spec in specs
                    ],
                )
            finally:
                closing = asyncio.create_task(fleet.close())  # in order, also where whoever visits is cancelled
                await asyncio.shield(closing)

    def _spec(self, grant: ToolGrant) -> ServerSpec:
        url = _parsed(grant.url or "")
        is_named = any(not _GLOB.search(pattern) and _fits(url, pattern) for pattern in self._allowed)
        if not is_named and not any(_fits(url, pattern) for pattern in self._allowed):
            raise UnsupportedField(
                f"the server {grant.server!r} at {url.hostname} is not allowed here: it must be in mcp.json, or its"
                f" host in {_WHERE}",
                param="tools.server_url",
            )
        if url.scheme != "https" and not is_named:
            raise UnsupportedField(
                f"`server_url` must be https, but for hosts that are named in {_WHERE}", param="tools.server_url"
            )
        if not _LABEL.fullmatch(grant.server):
            raise BadRequest(
                "`server_label` must be letters, digits, - and _, a letter first", param="tools.server_label"
            )
        if grant.server in self._configured:
            raise BadRequest(
                f"{grant.server!r} is one of the tool servers of this machine: give yours another label",
                param="tools.server_label",
            )
        return ServerSpec(
            grant.server,
            transport="sse" if url.path.endswith("/sse") else "http",
            url=grant.url,
            headers=dict(grant.headers or {}),
            start_timeout_s=START_TIMEOUT_S,
            is_passing=True,
            public_only=not is_named,
        )


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise BadRequest("`server_url` must be the address of an MCP server, https://host/path", param="server_url")
    return parts


def _fits(url: SplitResult, pattern: str) -> bool:
    """A pattern without a port allows every port."""
    host = (url.hostname or "").lower()
    named = f"[{host}]" if ":" in host else host
    port = url.port or (443 if url.scheme == "https" else 80)
    wanted = pattern.lower()
    return fnmatchcase(named, wanted) or fnmatchcase(f"{named}:{port}", wanted)


def _secrets(grant: ToolGrant) -> Iterator[str]:
    yield from (grant.headers or {}).values()
    if query := urlsplit(grant.url or "").query:
        yield query
