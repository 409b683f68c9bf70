"""One connection to a tool server, in either era of MCP: what can be asked through it.

Imports the MCP SDK (half a second), so it is itself imported late. A connection is entered and left by one task, its
owner; calls come through it from any task, concurrently. Requests go past the SDK's typed methods as raw objects: so
unknown members of tools and results survive, and a result is not thrown away because it misses its own output schema.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.client import ClientRequestContext, ClientSession
from mcp.client.subscriptions import PromptsListChanged, ResourceUpdated, SubscriptionLost, ToolsListChanged, listen
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.inbound import X_MCP_HEADER_KEY, find_invalid_x_mcp_header
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ConfigDict, ValidationError

from woollama.domain import federation
from woollama.domain.messages import Json
from woollama.domain.peers import Host, ListKind, PeerError
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Invalid, Returned, TimedOut, Tool
from woollama.toolservers.calls import CallsInFlight
from woollama.toolservers.descriptions import cleaned
from woollama.toolservers.dispatching import SESSION_CLOSED
from woollama.toolservers.logins import LoginFile
from woollama.toolservers.losses import BROKEN, UNSENT, WANTS_LOGIN, ConnectionLost
from woollama.toolservers.spec import Era, ServerSpec
from woollama.toolservers.step_up import stepped_up

log = logging.getLogger(__name__)

MAX_PAGES = 1000
MOST_BEGINNINGS = 3
MAX_INPUT_ROUNDS = 10
INPUT_POLL_S = 0.1
RELISTEN_S = 2.0
UNWINDING_S = 1.0

LISTS = {
    "prompts": ("prompts/list", "prompts"),
    "resources": ("resources/list", "resources"),
    "resourceTemplates": ("resources/templates/list", "resources"),
}
"""What is listed beside tools -> by which method, and which capability promises it."""


class Raw(BaseModel):
    """A result as it came."""

    model_config = ConfigDict(extra="allow")

    @property
    def members(self) -> Mapping[str, Json]:
        return self.model_extra or {}


Request = types.Request[dict[str, Any], str]


class Changes:
    """Which lists the server has said to be others, since they were taken last."""

    def __init__(self) -> None:
        self._kinds: set[ListKind] = set()
        self._any = asyncio.Event()

    def note(self, *kinds: ListKind) -> None:
        """Without a kind: something may have changed unsaid."""
        self._kinds.update(kinds)
        self._any.set()

    async def take(self) -> frozenset[ListKind]:
        await self._any.wait()
        self._any.clear()
        kinds, self._kinds = frozenset(self._kinds), set()
        return kinds


class Connection:
    """Calls and listings, from any task and concurrently."""

    def __init__(
        self,
        spec: ServerSpec,
        session: ClientSession,
        calls: CallsInFlight,
        changes: Changes,
        lose: Callable[[str], None],
        login: LoginFile | None = None,
    ) -> None:
        self._server = spec.name
        self._origin = spec.origin
        self._session = session
        self._calls = calls
        self._lose = lose
        self._login = login
        self._who = spec.client
        self.changes = changes
        self.closed = False

    @property
    def era(self) -> Era:
        return "modern" if self._session.protocol_version in MODERN_PROTOCOL_VERSIONS else "handshake"

    @property
    def is_woollama(self) -> bool:
        """Whether it is another one of us."""
        info = self._session.server_info
        return info is not None and info.name == federation.NAME

    @property
    def logs(self) -> bool:
        return self._capabilities.logging is not None

    @property
    def _capabilities(self) -> types.ServerCapabilities:
        return self._session.server_capabilities or types.ServerCapabilities()

    async def list_tools(self) -> tuple[Tool, ...]:
        listed = await self._pages("tools/list", "tools", "name")
        if self.era == "modern" and any(X_MCP_HEADER_KEY in json.dumps(raw.get("inputSchema")) for raw in listed):
            listed = tuple(raw for raw in listed if self._can_repeat(raw))
            await self._learn_headers()
        return tuple(Tool(self._server, raw["name"], cleaned(raw), origin=self._origin) for raw in listed)

    def _can_repeat(self, tool: Mapping[str, Json]) -> bool:
        """Whether those arguments that it wants as HTTP headers, too, can be. Else it must not be called."""
        problem = find_invalid_x_mcp_header(tool.get("inputSchema"))
        if problem is not None:
            log.warning("%s.%s is left out: it cannot be called as it wants: %s", self._server, tool["name"], problem)
        return problem is None

    async def _learn_headers(self) -> None:
        """The session repeats arguments as headers once it has seen in a listing of its own which ones."""
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            if (cursor := page.next_cursor) is None:
                return

    async def list_others(self) -> dict[str, tuple[Mapping[str, Json], ...]]:
        """What it has of each kind in `LISTS`. A kind that cannot be listed is left out."""
        listed: dict[str, tuple[Mapping[str, Json], ...]] = {}
        for kind, (method, capability) in LISTS.items():
            if getattr(self._capabilities, capability) is None:
                listed[kind] = ()
                continue
            key = {"prompts": "name", "resources": "uri"}.get(kind, "uriTemplate")
            try:
                listed[kind] = await self._pages(method, kind, key)
            except (MCPError, ValidationError, LookupError) as error:
                log.warning("%s: its %s could not be listed: %s", self._server, kind, error)
        return listed

    async def _pages(self, method: str, kind: str, key: str) -> tuple[Mapping[str, Json], ...]:
        """Every page; of two entries with the same key the last. A cursor may be refused when the list has changed."""
        found: dict[str, Mapping[str, Json]] = {}
        cursor: str | None = None
        begun = 1
        for _ in range(MAX_PAGES):
            try:
                page = await self._sent(Request(method=method, params={"cursor": cursor} if cursor else {}))
            except MCPError as error:
                if error.code == types.METHOD_NOT_FOUND:
                    break
                if error.code != types.INVALID_PARAMS or cursor is None or begun == MOST_BEGINNINGS:
                    raise
                found, cursor, begun = {}, None, begun + 1
                continue
            found.update({raw[key]: cleaned(raw) for raw in page[kind]})
            cursor, before = page.get("nextCursor"), cursor
            if cursor is None or cursor == before:
                break
        return tuple(found.values())

    async def call(
        self, tool: str, arguments: Mapping[str, Json], context: ToolContext, timeout_s: float
    ) -> Returned | TimedOut | Invalid:
        """Raises `ConnectionLost`. Leaving early, by cancellation or by time, cancels the call at the server."""
        try:
            writable = _writable(arguments)
        except ValueError as problem:
            return Invalid((f"the arguments cannot be sent: {problem}",))
        with self._calls.one(tool, arguments, context, timeout_s) as call:
            with call.limit:
                return await self._returned({"name": tool, "arguments": writable}, context)
            return TimedOut(timeout_s)

    async def request(
        self, method: str, params: Mapping[str, Json], context: ToolContext, timeout_s: float
    ) -> Mapping[str, Json]:
        """Any other request. Raises `PeerError` and `ConnectionLost`; ends early as `call` does."""
        with self._calls.one(method, params, context, timeout_s) as call:
            with call.limit:
                try:
                    return await self._finished(method, params, context)
                except MCPError as error:
                    self._lost_by(error)
                    data = None if error.data == WANTS_LOGIN else error.data
                    raise PeerError(error.code, error.message, data) from error
                except ValidationError as error:
                    log.warning("%s: its answer to %s breaks the protocol: %s", self._server, method, error)
                    raise PeerError(types.INTERNAL_ERROR, "the server's answer breaks the protocol") from error
            raise PeerError(types.REQUEST_TIMEOUT, f"no answer within {timeout_s:g} s")

    async def notify_roots_changed(self) -> None:
        await self._session.send_notification(types.RootsListChangedNotification())

    async def _returned(self, params: Mapping[str, Json], context: ToolContext) -> Returned:
        try:
            result = await self._finished("tools/call", params, context)
        except MCPError as error:
            self._lost_by(error)
            if error.data == WANTS_LOGIN:  # said by us, and for the model to read
                return Returned.of_text(error.message, is_error=True)
            refusal = PeerError(error.code, error.message, error.data)
            return Returned(({"type": "text", "text": error.message},), is_error=True, refusal=refusal)
        except ValidationError as error:
            log.warning("%s.%s: its answer breaks the protocol: %s", self._server, params["name"], error)
            return Returned.of_text("the tool's answer breaks the protocol and cannot be read", is_error=True)
        known = ("content", "structuredContent", "isError", "_meta")
        return Returned(
            content=tuple(result.get("content") or ()),
            structured=result.get("structuredContent"),
            is_error=result.get("isError") is True,
            meta=result.get("_meta"),
            extra={key: value for key, value in result.items() if key not in known},
        )

    def _lost_by(self, error: MCPError) -> None:
        """Raises `ConnectionLost` where the error says that."""
        if error.data == UNSENT:
            raise ConnectionLost(error.message, unsent=True) from error
        is_over = error.code == types.CONNECTION_CLOSED and error.message == SESSION_CLOSED
        if is_over:
            self._close_soon()
        if is_over or error.data == BROKEN:
            raise ConnectionLost(error.message, unsent=False) from error

    def _close_soon(self) -> None:
        """The session is over, and its owner will hear why in a moment; or a server behind the server said so."""
        self.closed = True
        asyncio.get_running_loop().call_later(UNWINDING_S, self._lose, "its session is closed")

    async def _finished(self, method: str, params: Mapping[str, Json], context: ToolContext) -> Mapping[str, Json]:
        """The result, once the server needs no more input for it (in the modern era a question is a result too).

        Where the host is of that era itself, the question is its own to answer.
        """
        host = context.host
        passes = host is not None and host.is_modern
        answers: Mapping[str, Json] | None = host.answers if host and passes else None
        state: str | None = host.state if host and passes else None
        for _ in range(MAX_INPUT_ROUNDS):
            more = {"inputResponses": answers, "requestState": state, "_meta": self._meta(context)}
            said = {**params, **{key: value for key, value in more.items() if value}}
            result = await self._allowed(Request(method=method, params=said), context)
            if result.get("resultType") != "input_required" or (passes and not _is_for_us(result, host)):
                return result
            wanted = types.InputRequiredResult.model_validate(result)
            answers, state = await self._answers(wanted.input_requests or {}), wanted.request_state
            if not answers:
                await asyncio.sleep(INPUT_POLL_S)
        raise MCPError(types.INTERNAL_ERROR, f"the server asked for input more than {MAX_INPUT_ROUNDS} times")

    async def _allowed(self, request: Request, context: ToolContext) -> Mapping[str, Json]:
        """Where the server wants a login for that alone, the host's person is asked for one, and it is sent again."""
        for again in (True, False):
            try:
                return await self._sent(request, _progress(context))
            except MCPError as error:
                if error.data != WANTS_LOGIN:
                    raise
                with self._calls.clock_stopped():
                    if not (again and await stepped_up(self._login, self._who, context.host)):
                        raise
        raise AssertionError("the second time is the last")

    def _meta(self, context: ToolContext) -> dict[str, Json]:
        host = context.host
        meta = dict(host.meta) if host else {}
        if self.is_woollama:
            meta[federation.HOPS_KEY] = context.caller.hops + 1
        if host and host.log_level and self.era == "modern":
            meta[types.LOG_LEVEL_META_KEY] = host.log_level
        return meta

    async def _sent(self, request: Request, progress: ProgressFnT | None = None) -> Mapping[str, Json]:
        session = self._session
        try:
            return (await session.send_request(request, Raw, progress_callback=progress)).members
        except MCPError as error:
            if error.code != types.HEADER_MISMATCH:
                raise
        await self._learn_headers()  # they are others now
        return (await session.send_request(request, Raw, progress_callback=progress)).members

    async def _answers(self, requests: Mapping[str, types.InputRequest]) -> dict[str, Json]:
        """One after the other: it is one person who is asked."""
        session = self._session
        answers: dict[str, Json] = {}
        for key, request in requests.items():
            answer = await session.dispatch_input_request(
                ClientRequestContext(session=session, request_id=key), request
            )
            if isinstance(answer, types.ErrorData):
                raise MCPError.from_error_data(answer)
            answers[key] = answer.model_dump(by_alias=True, mode="json", exclude_none=True)
        return answers

    async def listen(
        self, uri: str | None, updated: Callable[[str], Awaitable[None]], opened: Callable[[], None]
    ) -> None:
        """The modern era's stream of changes: of the lists, or of one resource. Ends only where there is none."""
        lists = uri is None
        while True:
            try:
                async with listen(
                    self._session,
                    tools_list_changed=lists,
                    prompts_list_changed=lists,
                    resources_list_changed=lists,
                    resource_subscriptions=[] if uri is None else [uri],
                ) as changes:
                    opened()
                    async for change in changes:
                        match change:
                            case ResourceUpdated():
                                await updated(change.uri)
                            case ToolsListChanged():
                                self.changes.note("tools")
                            case PromptsListChanged():
                                self.changes.note("prompts")
                            case _:
                                self.changes.note("resources")
            except SubscriptionLost:
                self.changes.note()  # nothing is replayed: what changed in between is found by listing
            except MCPError as error:
                if error.code == types.METHOD_NOT_FOUND:
                    return
                log.debug("%s: cannot listen for changes: %s", self._server, error)
            await anyio.sleep(RELISTEN_S)


def _is_for_us(wanted: Mapping[str, Json], host: Host | None) -> bool:
    """Whether a server wants a model's answer that the host cannot give. Then all of it is ours to ask for."""
    asked = [request.get("method") for request in (wanted.get("inputRequests") or {}).values()]
    return host is not None and "sampling/createMessage" in asked and "sampling" not in host.capabilities


def _progress(context: ToolContext) -> ProgressFnT | None:
    tell = context.progress
    if tell is None:
        return None

    async def told(progress: float, total: float | None, message: str | None) -> None:
        await tell(progress, total, message)

    return told


def _writable(arguments: Mapping[str, Json]) -> dict[str, Json]:
    """Arguments that can go over any wire: half an emoji is replaced. Raises `ValueError` for infinity and NaN."""
    text = json.dumps(dict(arguments), ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return dict(json.loads(text.encode(errors="replace")))
    return dict(arguments)
