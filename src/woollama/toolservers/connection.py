"""One connection to a tool server, from its start to its end, in either era of MCP.

Imports the MCP SDK (half a second), so it is itself imported late. A connection is entered and left by one task, its
owner; calls come through it from any task, concurrently. Requests go past the SDK's typed methods as raw objects: so
unknown members of tools and results survive, and a result is not thrown away because it misses its own output schema.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp.client import ClientRequestContext, IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.dispatcher import ProgressFnT
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ConfigDict, ValidationError

import woollama
from woollama.domain.messages import Json
from woollama.domain.ports import Spawner, ToolContext
from woollama.domain.tools import Invalid, Returned, TimedOut, Tool
from woollama.toolservers.calls import CallsInFlight
from woollama.toolservers.descriptions import cleaned
from woollama.toolservers.losses import BROKEN, UNSENT, ConnectionLost
from woollama.toolservers.spec import Era, ServerSpec
from woollama.toolservers.sse import sse_streams
from woollama.toolservers.stdio import stdio_streams
from woollama.toolservers.streamable_http import http_streams

log = logging.getLogger(__name__)

MODES = {"auto": "auto", "handshake": "legacy", "modern": LATEST_MODERN_VERSION}
MAX_PAGES = 1000
MAX_INPUT_ROUNDS = 10
INPUT_POLL_S = 0.1
RELISTEN_S = 2.0
UNWINDING_S = 1.0
SESSION_CLOSED = "Connection closed"
SDK_LOSSES = (SESSION_CLOSED, "SSE stream")
"""How the messages begin with which the SDK says that an answer will not come."""


class Raw(BaseModel):
    """A result as it came."""

    model_config = ConfigDict(extra="allow")

    @property
    def members(self) -> Mapping[str, Json]:
        return self.model_extra or {}


class Connection:
    """Calls and listings, from any task and concurrently."""

    def __init__(
        self, server: str, client: Client, calls: CallsInFlight, changed: asyncio.Event, lose: Callable[[str], None]
    ) -> None:
        self._server = server
        self._client = client
        self._calls = calls
        self._changed = changed
        self._lose = lose
        self.closed = False

    @property
    def era(self) -> Era:
        return "modern" if self._client.protocol_version in MODERN_PROTOCOL_VERSIONS else "handshake"

    async def list_tools(self) -> tuple[Tool, ...]:
        """Every page."""
        tools: dict[str, Tool] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            request = types.ListToolsRequest(params=types.PaginatedRequestParams(cursor=cursor))
            try:
                page = (await self._client.session.send_request(request, Raw)).members
            except MCPError as error:
                if error.code == types.METHOD_NOT_FOUND:
                    break
                raise
            for raw in page["tools"]:
                tools[raw["name"]] = Tool(self._server, raw["name"], cleaned(raw))
            cursor, before = page.get("nextCursor"), cursor
            if cursor is None or cursor == before:
                break
        return tuple(tools.values())

    async def watch(self, refreshed: Callable[[Sequence[Tool]], None]) -> None:
        """Lists anew whenever the server says that its tools have changed, in whichever way its era has for that."""
        async with anyio.create_task_group() as group:
            if self.era == "modern":
                group.start_soon(self._listen)
            while True:
                await self._changed.wait()
                self._changed.clear()
                try:
                    refreshed(await self.list_tools())
                except (MCPError, ValidationError) as error:
                    log.warning("%s: its changed tools could not be listed: %s", self._server, error)

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
                return await self._returned(tool, writable, context)
            return TimedOut(timeout_s)

    async def _returned(self, tool: str, arguments: dict[str, Json], context: ToolContext) -> Returned:
        try:
            result = await self._finished(tool, arguments, context)
        except MCPError as error:
            if error.data == UNSENT:
                raise ConnectionLost(error.message, unsent=True) from error
            said_by_sdk = error.code == types.CONNECTION_CLOSED and error.message.startswith(SDK_LOSSES)
            if said_by_sdk and error.message == SESSION_CLOSED:
                self._close_soon()
            if said_by_sdk or error.data == BROKEN:
                raise ConnectionLost(error.message, unsent=False) from error
            return Returned.of_text(error.message, is_error=True)
        except ValidationError as error:
            log.warning("%s.%s: its answer breaks the protocol: %s", self._server, tool, error)
            return Returned.of_text("the tool's answer breaks the protocol and cannot be read", is_error=True)
        return Returned(
            content=tuple(result.get("content") or ()),
            structured=result.get("structuredContent"),
            is_error=result.get("isError") is True,
            meta=result.get("_meta"),
        )

    def _close_soon(self) -> None:
        """The session is over, and its owner will hear why in a moment; or a server behind the server said so."""
        self.closed = True
        asyncio.get_running_loop().call_later(UNWINDING_S, self._lose, "its session is closed")

    async def _finished(self, tool: str, arguments: dict[str, Json], context: ToolContext) -> Mapping[str, Json]:
        """The result, once the server needs no more input for it (in the modern era a question is a result too)."""
        answers: types.InputResponses | None = None
        state: str | None = None
        for _ in range(MAX_INPUT_ROUNDS):
            params = types.CallToolRequestParams(
                name=tool, arguments=arguments, input_responses=answers, request_state=state
            )
            result = await self._sent(types.CallToolRequest(params=params), _progress(context))
            if result.get("resultType") != "input_required":
                return result
            wanted = types.InputRequiredResult.model_validate(result)
            answers, state = await self._answers(wanted.input_requests or {}), wanted.request_state
            if not answers:
                await asyncio.sleep(INPUT_POLL_S)
        raise MCPError(types.INTERNAL_ERROR, f"the tool asked for input more than {MAX_INPUT_ROUNDS} times")

    async def _sent(self, request: types.CallToolRequest, progress: ProgressFnT | None) -> Mapping[str, Json]:
        session = self._client.session
        try:
            return (await session.send_request(request, Raw, progress_callback=progress)).members
        except MCPError as error:
            if error.code != types.HEADER_MISMATCH:
                raise
        # Some arguments must be repeated as HTTP headers, which the session learns from a listing of its own.
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            if (cursor := page.next_cursor) is None:
                break
        return (await session.send_request(request, Raw, progress_callback=progress)).members

    async def _answers(self, requests: Mapping[str, types.InputRequest]) -> types.InputResponses:
        """One after the other: it is one person who is asked."""
        session = self._client.session
        answers: types.InputResponses = {}
        for key, request in requests.items():
            answer = await session.dispatch_input_request(
                ClientRequestContext(session=session, request_id=key), request
            )
            if isinstance(answer, types.ErrorData):
                raise MCPError.from_error_data(answer)
            answers[key] = answer
        return answers

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        self._changed.set()
            except SubscriptionLost:
                self._changed.set()  # nothing is replayed: what changed in between is found by listing
            except MCPError as error:
                if error.code == types.METHOD_NOT_FOUND:
                    return
                log.debug("%s: cannot listen for changes: %s", self._server, error)
            await asyncio.sleep(RELISTEN_S)


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


@asynccontextmanager
async def connect(
    spec: ServerSpec,
    *,
    spawner: Spawner,
    environment: Mapping[str, str],
    era: Era,
    lose: Callable[[str], None],
    log_line: Callable[[str], None],
) -> AsyncIterator[Connection]:
    """Connects and negotiates. Raises whatever prevents that, often in a group; `lose` hears why it ends later on."""
    calls = CallsInFlight(spec.name)
    changed = asyncio.Event()
    junk_seen = 0

    async def heard(message: IncomingMessage) -> None:
        nonlocal junk_seen
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()
        elif isinstance(message, Exception):
            junk_seen += 1
            level = logging.WARNING if junk_seen == 1 else logging.DEBUG
            log.log(level, "%s wrote what is no message of the protocol: %s", spec.name, message)

    client = Client(
        _streams(spec, spawner, environment, lose, log_line),
        mode=MODES["handshake" if spec.transport == "sse" else era],  # the modern era has no such transport
        elicitation_callback=calls.elicit,
        message_handler=heard,
        client_info=types.Implementation(name="woollama", version=woollama.__version__),
        cache=None,
    )
    async with client:
        connection = Connection(spec.name, client, calls, changed, lose)
        try:
            yield connection
        finally:
            connection.closed = True


def _streams(
    spec: ServerSpec,
    spawner: Spawner,
    environment: Mapping[str, str],
    lose: Callable[[str], None],
    log_line: Callable[[str], None],
) -> AbstractAsyncContextManager[Any]:
    if spec.transport == "http":
        return http_streams(spec, lose)
    if spec.transport == "sse":
        return sse_streams(spec, lose)
    return _spawned(spec, spawner, environment, lose, log_line)


@asynccontextmanager
async def _spawned(
    spec: ServerSpec,
    spawner: Spawner,
    environment: Mapping[str, str],
    lose: Callable[[str], None],
    log_line: Callable[[str], None],
) -> AsyncIterator[Any]:
    assert spec.command is not None
    child = await spawner.spawn(
        [spec.command, *spec.args],
        env={**environment, **spec.env},
        cwd=spec.cwd,
        pipes=True,
        log_line=log_line,
        name=spec.label or spec.name,
    )
    async with stdio_streams(child, lose) as streams:
        yield streams
