"""The server itself, on the MCP SDK: what hosts list, call and hear of, over whichever transport.

What is re-exported is passed on as raw objects. A tool or a result that breaks the protocol is left out or told as an
error, so that one server's mistake is not everybody's.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.caching import CacheHint
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp_types.methods import serialize_server_result
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

import woollama
from woollama.domain.errors import BadRequest, RouterError
from woollama.domain.messages import Json
from woollama.domain.ports import Asker, ToolContext
from woollama.domain.tools import Function, Returned, ToolOutcome
from woollama.domain.turns import EVERYTHING, Abilities, Caller
from woollama.surfaces.mcp_server import chat, compression, prompts
from woollama.surfaces.mcp_server.exports import Exports, definition
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.mcp_server.parking import Begin, ParkedCalls, Result, Tell
from woollama.surfaces.mcp_server.questions import PATIENCE_S, HandshakeHost, HostAsker, OwnersHost, can_ask

log = logging.getLogger("woollama.mcp")

Context = ServerRequestContext[Any, Any]
ListChanged = ToolsListChanged | PromptsListChanged
T = TypeVar("T")

NAME = "woollama"
INSTRUCTIONS = (
    "`chat` asks a recipe or a model of this woollama. Tools named server__tool are those of its tool servers."
)
STDIO = Caller("stdio", "stdio")
ANNOUNCE_AFTER_S = 0.05
"""Servers come up together: what they change is told once."""
SLOWEST_HOST_S = 5.0
_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")
_COMPLETE = {"resultType": "complete"}
"""What a result of the stateless era has to say; the SDK leaves it out in the other one."""
_UNCACHED = {"ttlMs": 0, "cacheScope": "private"}


class SdkServer(Server[Any]):
    """The session manager asks for these options without arguments, which would hide that the list changes."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        changes = notification_options or NotificationOptions(tools_changed=True, prompts_changed=True)
        return super().create_initialization_options(changes, experimental_capabilities, extensions)


class McpServer:
    """`sdk` is what transports serve. `idle` is set while no request is being answered."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._exports = Exports(
            lambda: self._offer.toolbox.functions(),
            lambda tool: self._offer.exposes(tool),
            reserved=[chat.NAME, *compression.NAMES],
        )
        self._parked = ParkedCalls()
        self._hosts: set[Connection] = set()
        self._bus = InMemorySubscriptionBus()
        self._listening = ListenHandler(self._bus)
        self._announced: dict[ListChanged, object] = {PromptsListChanged(): prompts.listing(offer.names, EVERYTHING)}
        self._announcing: asyncio.Task[None] | None = None
        self._in_flight = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self.sdk = self._sdk()
        offer.on_tools(self._may_have_changed)

    def __repr__(self) -> str:
        return f"<McpServer {len(self._hosts)} hosts, {self._in_flight} requests, {self._parked!r}>"

    def renew(self, offer: Offer) -> None:
        """Another offer from now on; hosts are told of what has changed for them."""
        self._offer = offer
        self._may_have_changed()

    def end_feeds(self) -> None:
        """Ends the streams on which hosts of the stateless era listen for changes."""
        self._listening.close()

    async def close(self) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
        await self._parked.close()

    def _sdk(self) -> SdkServer:
        sdk = SdkServer(
            NAME,
            version=woollama.__version__,
            instructions=INSTRUCTIONS,
            cache_hints={"tools/list": CacheHint(), "prompts/list": CacheHint()},
            get_tool_input_schema=self._input_schema,
            on_subscriptions_listen=self._listening,
        )
        sdk.add_request_handler("tools/list", types.PaginatedRequestParams, self._list_tools)
        sdk.add_request_handler("tools/call", types.CallToolRequestParams, self._call_tool)
        sdk.add_request_handler("prompts/list", types.PaginatedRequestParams, self._list_prompts)
        sdk.add_request_handler("prompts/get", types.GetPromptRequestParams, self._get_prompt)
        sdk.add_notification_handler("notifications/initialized", types.NotificationParams, self._initialized)
        security = RequestStateSecurity.ephemeral(ttl=PATIENCE_S)
        sdk.middleware += [self._counted, RequestStateBoundary(security, default_audience=NAME)]
        return sdk

    # --- tools

    async def _list_tools(self, ctx: Context, params: types.PaginatedRequestParams) -> dict[str, Any]:
        scope, names = _caller(ctx).scope, self._offer.names
        tools = [chat.definition(name for name in names.recipes if names.allows_recipe(name, scope))]
        tools += compression.definitions()
        for name, function in self._exports.current().items():
            if function.tool is not None and scope.allows_tool([function.tool.qualified]):
                described = definition(name, function.tool)
                if _sound("tools/list", ctx, {"tools": [described]}):
                    tools.append(described)
                else:
                    log.warning("%s is not listed: its description breaks the protocol", function.tool.qualified)
        return {**_COMPLETE, "tools": tools}

    def _input_schema(self, name: str) -> Mapping[str, Json] | None:
        function = self._exports.resolve(name)
        return function.tool.input_schema if function and function.tool else None

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> Result:
        begin = self._begin(ctx, params)
        if can_ask(ctx) and ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            if self._parked.full and params.request_state is None:
                return _error("too many calls wait for an answer of their hosts; try again later")
            return await self._parked.serve(ctx, params, begin)
        host = HandshakeHost(ctx) if can_ask(ctx) and ctx.session.can_send_request else None
        return await _released(begin(host, ctx.session.report_progress))

    def _begin(self, ctx: Context, params: types.CallToolRequestParams) -> Begin:
        if params.name == chat.NAME:
            return lambda host, tell: self._chat(ctx, params, host, tell)
        if params.name in compression.NAMES:
            return lambda host, tell: self._compression(params)
        function = self._exports.resolve(params.name)
        if function is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name!r}")
        return lambda host, tell: self._tool(ctx, function, params, host, tell)

    async def _chat(
        self, ctx: Context, params: types.CallToolRequestParams, host: Asker | None, tell: Tell
    ) -> dict[str, Any]:
        try:
            turn = chat.decode(params.arguments or {}, _caller(ctx))
            with self._offer.approvals.attended(turn.id, self._owners(ctx, host)):
                return {**_COMPLETE, **await chat.chat(self._offer.runs, turn, tell)}
        except RouterError as error:
            return _error(self._offer.scrub(error.message))

    async def _compression(self, params: types.CallToolRequestParams) -> dict[str, Any]:
        try:
            text = await compression.call(self._offer.shrinker, params.name, params.arguments or {})
        except (LookupError, ValueError) as problem:
            return _error(str(problem.args[0] if problem.args else problem))
        return {**_COMPLETE, "content": [{"type": "text", "text": text}], "isError": False}

    async def _tool(
        self,
        ctx: Context,
        function: Function,
        params: types.CallToolRequestParams,
        host: Asker | None,
        tell: Tell,
    ) -> dict[str, Any]:
        context = ToolContext(
            _caller(ctx),
            progress=tell if "progress_token" in (ctx.meta or {}) else None,
            asker=HostAsker(self._offer.approvals, self._owners(ctx, host), _session(ctx)),
            call_id=str(ctx.request_id),
        )
        result = _result(await self._offer.toolbox.call(function, params.arguments or {}, context))
        if not _sound("tools/call", ctx, result):
            log.warning("%s: its result breaks the protocol", function.name)
            return _error("the tool's result breaks the protocol and cannot be passed on")
        return result

    def _owners(self, ctx: Context, host: Asker | None) -> Asker | None:
        if host is None or ctx.request is None:
            return host
        scope = ctx.request.scope
        return OwnersHost(host, lambda: self._offer.may_answer(scope))

    # --- prompts

    async def _list_prompts(self, ctx: Context, params: types.PaginatedRequestParams) -> dict[str, Any]:
        return {**_COMPLETE, "prompts": prompts.listing(self._offer.names, _caller(ctx).scope)}

    async def _get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> dict[str, Any]:
        try:
            prompt = prompts.get(self._offer.names, params.name, params.arguments or {}, _caller(ctx).scope)
            return {**_COMPLETE, **prompt}
        except BadRequest as error:
            raise MCPError(types.INVALID_PARAMS, error.message) from None

    # --- changes, and what is under way

    async def _initialized(self, ctx: Context, params: types.NotificationParams) -> None:
        connection = ctx.session._connection  # the SDK has no public list of its sessions
        self._hosts.add(connection)
        connection.exit_stack.callback(self._hosts.discard, connection)

    def _may_have_changed(self) -> None:
        if self._announcing is None or self._announcing.done():
            self._announcing = asyncio.create_task(self._announce(), name="announcing what has changed")

    async def _announce(self) -> None:
        await asyncio.sleep(ANNOUNCE_AFTER_S)
        tools = {name: function.tool for name, function in self._exports.current().items()}
        recipes = self._offer.names.recipes
        now: dict[ListChanged, object] = {
            ToolsListChanged(): (chat.definition(recipes), tools),
            PromptsListChanged(): prompts.listing(self._offer.names, EVERYTHING),
        }
        news = [what for what, listing in now.items() if self._announced.get(what) != listing]
        self._announced = now
        for what in news:
            await self._bus.publish(what)
            await asyncio.gather(*(self._tell(host, what) for host in tuple(self._hosts)))

    async def _tell(self, host: Connection, what: ListChanged) -> None:
        with anyio.move_on_after(SLOWEST_HOST_S):
            if isinstance(what, ToolsListChanged):
                await host.send_tool_list_changed()
            else:
                await host.send_prompt_list_changed()

    async def _counted(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None or ctx.method == "subscriptions/listen":
            return await call_next(ctx)
        self._in_flight += 1
        self.idle.clear()
        try:
            return await call_next(ctx)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self.idle.set()


async def _released(work: Coroutine[Any, Any, T]) -> T:
    """`work`, and when its request is cancelled not before it has let go of everything.

    The SDK cancels again at every wait; in a task of its own `work` is cancelled once and can end in order.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({task})
        raise
    return task.result()


def _caller(ctx: Context) -> Caller:
    """Who asks, by the name of its token or else by the one that the host gives itself."""
    caller: Caller = ctx.request.scope["state"]["caller"] if ctx.request is not None else STDIO
    client = ctx.session.client_params
    name = _NOT_IN_NAMES.sub("-", client.client_info.name)[:40] if client and client.client_info else ""
    return replace(caller, name=caller.scope.token or name or caller.name, can=Abilities(elicit=can_ask(ctx)))


def _session(ctx: Context) -> str | None:
    """The connection that a call belongs to, where the host keeps one: of the handshake era, or a pipe."""
    if ctx.request is None:
        return "stdio"
    if ctx.request.scope["path"] == "/mcp/pipe":
        return f"pipe {ctx.request.scope['state']['request_id']}"
    session = ctx.request.headers.get("mcp-session-id")
    return f"mcp {session}" if session else None


def _result(outcome: ToolOutcome) -> dict[str, Any]:
    """MCP's result of a call. What a server says of itself in it is not said of us."""
    if not isinstance(outcome, Returned):
        return _error(outcome.for_model())
    result: dict[str, Any] = {**_COMPLETE, "content": list(outcome.content), "isError": outcome.is_error}
    if outcome.structured is not None:
        result["structuredContent"] = outcome.structured
    if meta := {key: value for key, value in (outcome.meta or {}).items() if key != types.SERVER_INFO_META_KEY}:
        result["_meta"] = meta
    return result


def _error(text: str) -> dict[str, Any]:
    return {**_COMPLETE, "content": [{"type": "text", "text": text}], "isError": True}


def _sound(method: str, ctx: Context, result: Mapping[str, Any]) -> bool:
    try:
        serialize_server_result(method, ctx.protocol_version, {**_COMPLETE, **_UNCACHED, **result})
    except ValidationError:
        return False
    return True
