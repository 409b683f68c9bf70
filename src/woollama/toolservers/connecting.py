"""How a connection to a tool server begins and ends: its streams, its era, and what is declared to the server."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import mcp_types as types
from mcp.client import ClientSession, IncomingMessage

import woollama
from woollama.domain.messages import Json
from woollama.domain.peers import HostSession, ListKind
from woollama.toolservers.calls import CallsInFlight
from woollama.toolservers.connection import Changes, Connection
from woollama.toolservers.declaring import declaring
from woollama.toolservers.dispatching import Declare, Dispatching
from woollama.toolservers.means import Means
from woollama.toolservers.messages import NotAMessage
from woollama.toolservers.negotiating import negotiate
from woollama.toolservers.spec import Era, ServerSpec
from woollama.toolservers.sse import over_sse
from woollama.toolservers.stdio import over_pipes
from woollama.toolservers.streamable_http import over_http

log = logging.getLogger(__name__)

FORMS: Mapping[str, Json] = {"elicitation": {"form": {}, "url": {}}}
"""What a connection declares that is everybody's: people can be asked, whoever calls."""
CHANGES: Mapping[type, ListKind] = {
    types.ToolListChangedNotification: "tools",
    types.PromptListChangedNotification: "prompts",
    types.ResourceListChangedNotification: "resources",
}


@dataclass(frozen=True, slots=True)
class Whose:
    """Whom a connection belongs to: everybody, or one host, whose capabilities its server is told."""

    capabilities: Mapping[str, Json]
    is_own: bool
    session: HostSession | None = None


EVERYBODYS = Whose(FORMS, is_own=False)


@asynccontextmanager
async def connect(
    spec: ServerSpec,
    means: Means,
    *,
    era: Era,
    lose: Callable[[str], None],
    log_line: Callable[[str], None],
    updated: Callable[[str], Awaitable[None]],
    whose: Whose = EVERYBODYS,
) -> AsyncIterator[Connection]:
    """Connects and negotiates. Raises whatever prevents that, often in a group; `lose` hears why it ends later on.

    `updated` hears of the resources that this connection has subscribed to.
    """
    sampler = means.sampler if spec.samples else None
    calls = CallsInFlight(spec.name, is_own=whose.is_own, session=whose.session, sampler=sampler)
    changes = Changes()
    junk_seen = 0

    def junk(what: NotAMessage) -> None:
        nonlocal junk_seen
        junk_seen += 1
        level = logging.WARNING if junk_seen == 1 else logging.DEBUG
        log.log(level, "%s wrote what is no message of the protocol: %s", spec.name, what)

    async def heard(message: IncomingMessage) -> None:
        if (kind := CHANGES.get(type(message))) is not None:
            changes.note(kind)
        elif isinstance(message, types.ResourceUpdatedNotification):
            if connection.era == "handshake":  # in the modern era its stream of changes says so too
                await updated(str(message.params.uri))
        elif isinstance(message, types.ElicitCompleteNotification):
            await calls.followed(message.params.elicitation_id)

    def declared() -> Mapping[str, Json]:
        host = calls.host
        can = whose.capabilities if host is None or whose.is_own else host.capabilities
        return {"sampling": {}, **can} if sampler is not None else can

    declare = declaring(declared, means.instance)
    async with (
        _dispatching(spec, means, declare, lose=lose, junk=junk, log_line=log_line, calls=calls) as dispatching,
        ClientSession(
            dispatcher=dispatching,
            elicitation_callback=calls.elicit,
            sampling_callback=calls.sample,
            list_roots_callback=calls.roots,
            logging_callback=calls.log,
            message_handler=heard,
            client_info=types.Implementation(name="woollama", version=woollama.__version__),
        ) as session,
    ):
        await negotiate(session, "handshake" if spec.transport == "sse" else era)  # which is older than any other
        connection = Connection(spec, session, calls, changes, lose, means.login_of(spec))
        try:
            yield connection
        finally:
            connection.closed = True


def _dispatching(
    spec: ServerSpec,
    means: Means,
    declare: Declare,
    *,
    lose: Callable[[str], None],
    junk: Callable[[NotAMessage], None],
    log_line: Callable[[str], None],
    calls: CallsInFlight,
) -> AbstractAsyncContextManager[Dispatching]:
    if spec.transport == "stdio":
        return _spawned(spec, means, declare, lose=lose, junk=junk, log_line=log_line)
    login = means.login_of(spec)
    if spec.transport == "sse":
        return over_sse(spec, declare, lose=lose, junk=junk, in_call=lambda: calls.in_one, login=login)
    return over_http(
        spec, declare, lose=lose, junk=junk, sender=lambda: calls.host, in_call=lambda: calls.in_one, login=login
    )


@asynccontextmanager
async def _spawned(
    spec: ServerSpec,
    means: Means,
    declare: Declare,
    *,
    lose: Callable[[str], None],
    junk: Callable[[NotAMessage], None],
    log_line: Callable[[str], None],
) -> AsyncIterator[Dispatching]:
    assert spec.command is not None
    child = await means.spawner.spawn(
        [spec.command, *spec.args],
        env={**means.environment, **spec.env},
        cwd=spec.cwd,
        pipes=True,
        log_line=log_line,
        name=spec.label or spec.name,
    )
    async with over_pipes(child, declare, lose=lose, junk=junk) as dispatching:
        yield dispatching
