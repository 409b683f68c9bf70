"""The server itself, on the MCP SDK: what hosts list, call and hear of, over whichever transport.

What is re-exported is passed on as raw objects. A tool or a result that breaks the protocol is left out or told as an
error, so that one server's mistake is not everybody's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import NotificationOptions, Server
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import ResourcesListChanged, ToolsListChanged
from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

import woollama
from woollama.domain.errors import RouterError
from woollama.domain.federation import INSTANCE_KEY, MOST_HOPS
from woollama.domain.messages import Json
from woollama.domain.peers import ListKind
from woollama.domain.ports import Asker, ToolContext
from woollama.domain.tools import Function, Returned, Tool, ToolOutcome
from woollama.domain.turns import Caller
from woollama.surfaces.mcp_server import chat, compression
from woollama.surfaces.mcp_server.callers import caller_of, session_of
from woollama.surfaces.mcp_server.carrying import Carrier, is_of_server, returned
from woollama.surfaces.mcp_server.exports import Exports
from woollama.surfaces.mcp_server.lines import Context, Line, is_modern, names_woollama
from woollama.surfaces.mcp_server.lists import Lists, is_plain, is_sound
from woollama.surfaces.mcp_server.members import answered, keeping_members
from woollama.surfaces.mcp_server.news import EVENT_OF, ListChanged, News
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.mcp_server.parking import Begin, Result
from woollama.surfaces.mcp_server.questions import PATIENCE_S, HostAsker, OwnersHost, can_ask
from woollama.surfaces.mcp_server.relayed import COMPLETE, Relayed
from woollama.surfaces.mcp_server.uris import content_outward

log = logging.getLogger("woollama.mcp")


NAME = "woollama"
INSTRUCTIONS = (
    "`chat` asks a recipe or a model of this woollama. Tools named server__tool are those of its tool servers."
)
ANNOUNCE_AFTER_S = 0.05
"""Servers come up together: what they change is told once."""
SLOWEST_HOST_S = 5.0
_LISTS: Sequence[CacheableMethod] = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
CACHED: Sequence[CacheableMethod] = (*_LISTS, "resources/read")


class SdkServer(Server[Any]):
    """The session manager asks for these options without arguments, which would hide that the list changes."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        changes = notification_options or NotificationOptions(True, True, True)
        return super().create_initialization_options(changes, experimental_capabilities, extensions)


class McpServer:
    """`sdk` is what transports serve. `idle` is set while no request is being answered."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._exports = Exports(
            lambda: self._offer.toolbox.functions(),
            lambda tool: self._offer.exposes(tool.server, tool.name),
            reserved=[chat.NAME, *compression.NAMES],
        )
        self._carrier = Carrier(lambda: self._offer.peers)
        self._lists = Lists(lambda: self._offer, self._exports, self._carrier.connected)
        self._relayed = Relayed(lambda: self._offer, self._carrier, self._lists.shelves_of)
        self._refs = compression.Refs()
        self._news = News(self._lists.all(self._lists.shelves))
        self._news_of_woollamas = News(self._lists.all(self._lists.for_woollamas))
        self._untold = False
        self._announcing: asyncio.Task[None] | None = None
        self._in_flight = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self.sdk = self._sdk()
        offer.on_tools(self._may_have_changed)
        offer.peers.on_change(self._said_to_have_changed)

    def __repr__(self) -> str:
        return f"<McpServer {len(self._carrier.hosts)} hosts, {self._in_flight} requests, {self._carrier.parked!r}>"

    def renew(self, offer: Offer) -> None:
        """Another offer from now on; hosts are told of what has changed for them."""
        self._offer = offer
        self._exports.renew()
        self._may_have_changed()

    def end_feeds(self) -> None:
        """Ends the streams on which hosts of the stateless era listen for changes."""
        self._relayed.end_feeds()

    async def close(self) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
        await self._carrier.parked.close()

    def _sdk(self) -> SdkServer:
        sdk = SdkServer(
            NAME,
            version=woollama.__version__,
            instructions=INSTRUCTIONS,
            cache_hints={method: CacheHint() for method in CACHED},
            get_tool_input_schema=self._input_schema,
            on_subscriptions_listen=self._relayed.listen,
        )
        lists, relayed, paged = self._lists, self._relayed, types.PaginatedRequestParams
        sdk.add_request_handler("tools/list", paged, lists.tools)
        sdk.add_request_handler("tools/call", types.CallToolRequestParams, self._call_tool)
        sdk.add_request_handler("prompts/list", paged, lists.prompts)
        sdk.add_request_handler("prompts/get", types.GetPromptRequestParams, relayed.get_prompt)
        sdk.add_request_handler("resources/list", paged, lists.resources)
        sdk.add_request_handler("resources/templates/list", paged, lists.templates)
        sdk.add_request_handler("resources/read", types.ReadResourceRequestParams, relayed.read_resource)
        sdk.add_request_handler("resources/subscribe", types.SubscribeRequestParams, relayed.subscribe)
        sdk.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, relayed.unsubscribe)
        sdk.add_request_handler("completion/complete", types.CompleteRequestParams, relayed.complete)
        sdk.add_request_handler("logging/setLevel", types.SetLevelRequestParams, relayed.set_level)
        sdk.add_notification_handler("notifications/initialized", types.NotificationParams, self._initialized)
        sdk.add_notification_handler(
            "notifications/roots/list_changed", types.NotificationParams, relayed.roots_changed
        )
        security = RequestStateSecurity.ephemeral(ttl=PATIENCE_S)
        if isinstance(get_tracer_provider(), ProxyTracerProvider):
            sdk.middleware.clear()  # the SDK's own makes spans, which nobody would see
        sdk.middleware += [
            self._not_ourselves,
            self._counted,
            keeping_members,
            RequestStateBoundary(security, default_audience=NAME),
        ]
        return sdk

    # --- tools

    def _input_schema(self, name: str) -> Mapping[str, Json] | None:
        function = self._exports.resolve(name)
        return function.tool.input_schema if function and function.tool else None

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> Result:
        result = await self._carrier.carry(ctx, params, self._begin(ctx, params))
        if isinstance(result, dict):
            answered(result)
        return result

    def _begin(self, ctx: Context, params: types.CallToolRequestParams) -> Begin:
        caller = caller_of(ctx)
        if caller.hops > MOST_HOPS:
            raise MCPError(types.INVALID_REQUEST, f"this call came through {MOST_HOPS} woollamas: it goes in circles")
        if params.name == chat.NAME:
            return lambda line: self._chat(ctx, params, line)
        if params.name in compression.NAMES:
            return lambda line: self._compression(ctx, params)
        function = self._exports.resolve(params.name) or self._lists.beside(ctx).get(params.name)
        if function is None or function.tool is None or not self._lists.shelves_of(ctx).shows(function.tool.server):
            raise MCPError(types.INVALID_PARAMS, self._why_not(ctx, params.name))
        tool = function.tool
        return lambda line: self._tool(ctx, caller, function, tool, params, line)

    def _why_not(self, ctx: Context, name: str) -> str:
        match self._offer.absent(self._exports.qualified(name) or name):
            case (tool, outcome) if self._offer.exposes(tool.server, tool.name):
                allowed = caller_of(ctx).scope.allows_tool([tool.qualified])
                if allowed and self._lists.shelves_of(ctx).shows(tool.server):
                    return outcome.for_model()
        return f"there is no tool {name!r}"

    async def _chat(self, ctx: Context, params: types.CallToolRequestParams, line: Line) -> dict[str, Any]:
        try:
            turn = chat.decode(params.arguments or {}, caller_of(ctx))
            with self._offer.approvals.attended(turn.id, self._owners(ctx, line)):
                return {**COMPLETE, **await chat.chat(self._offer.runs, turn, line.tell)}
        except RouterError as error:
            return _error(self._offer.scrub(error.message))

    async def _compression(self, ctx: Context, params: types.CallToolRequestParams) -> dict[str, Any]:
        # A host of the stateless era has no session: then what it was given is known by who it is.
        whom, given = f"{caller_of(ctx).name} {session_of(ctx) or ''}", params.arguments or {}
        try:
            text = await compression.call(self._offer.shrinker, self._refs, whom, params.name, given)
        except (LookupError, ValueError) as problem:
            return _error(str(problem.args[0] if problem.args else problem))
        return {**COMPLETE, "content": [{"type": "text", "text": text}], "isError": False}

    async def _tool(
        self,
        ctx: Context,
        caller: Caller,
        function: Function,
        tool: Tool,
        params: types.CallToolRequestParams,
        line: Line,
    ) -> dict[str, Any]:
        context = ToolContext(
            caller,
            progress=line.tell if "progress_token" in (ctx.meta or {}) else None,
            asker=HostAsker(self._offer.approvals, self._owners(ctx, line), session_of(ctx)),
            call_id=str(ctx.request_id),
            approved=is_of_server(ctx),
            host=self._carrier.host(ctx, line, tool.server),
        )
        outcome = await self._offer.toolbox.call(function, params.arguments or {}, context)
        result = _result(self._lists.shelves.prefix_of(tool.server), tool.server, outcome)
        if not (is_plain(result) or is_sound("tools/call", ctx, result)):
            log.warning("%s: its result breaks the protocol", function.name)
            return _error("the tool's result breaks the protocol and cannot be passed on")
        return result

    def _owners(self, ctx: Context, line: Line) -> Asker | None:
        """The host as somebody who can be asked for a yes, if it is."""
        if not can_ask(ctx) or not (is_modern(ctx) or ctx.session.can_send_request):
            return None
        if ctx.request is None:
            return line
        scope = ctx.request.scope
        return OwnersHost(line, lambda: self._offer.may_answer(scope))

    # --- changes, and what is under way

    async def _initialized(self, ctx: Context, params: types.NotificationParams) -> None:
        self._carrier.connected(ctx)

    def _said_to_have_changed(self, kinds: Collection[ListKind], federated: bool) -> None:
        """Passed on also where we see no difference: only the server knows what it means. What a woollama says is not
        said to another one, or two that use each other would never come to an end."""
        self._news.said.update(EVENT_OF[kind] for kind in kinds)
        if not federated:
            self._news_of_woollamas.said.update(EVENT_OF[kind] for kind in kinds)
        self._may_have_changed()

    def _may_have_changed(self) -> None:
        self._untold = True
        if self._announcing is None or self._announcing.done():
            self._announcing = asyncio.create_task(self._announce(), name="announcing what has changed")

    async def _announce(self) -> None:
        """Until there is nothing left: more may change while a slow host is told."""
        while self._untold:
            await asyncio.sleep(ANNOUNCE_AFTER_S)
            self._untold = False
            lists = self._lists
            woollamas = {host for host in self._carrier.hosts if names_woollama(host.client_params)}
            for news, bus, shelves, hosts in (
                (self._news, self._relayed.bus, lists.shelves, self._carrier.hosts - woollamas),
                (self._news_of_woollamas, self._relayed.bus_of_woollamas, lists.for_woollamas, woollamas),
            ):
                for what in news.taken(lists.all(shelves)):
                    await bus.publish(what)
                    await asyncio.gather(*(self._tell(host, what) for host in hosts))

    async def _tell(self, host: Connection, what: ListChanged) -> None:
        with anyio.move_on_after(SLOWEST_HOST_S):
            if isinstance(what, ToolsListChanged):
                await host.send_tool_list_changed()
            elif isinstance(what, ResourcesListChanged):
                await host.send_resource_list_changed()
            else:
                await host.send_prompt_list_changed()

    async def _not_ourselves(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """A woollama among its own tool servers would have everything twice, and then for ever.

        To discover it is let through: a client that is refused that tries the other era.
        """
        if (
            ctx.method != "server/discover"
            and ((ctx.params or {}).get("_meta") or {}).get(INSTANCE_KEY) == self._offer.instance
        ):
            raise MCPError(types.INVALID_REQUEST, "this is the woollama that asks: it cannot be its own tool server")
        return await call_next(ctx)

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


def _result(prefix: str, server: str, outcome: ToolOutcome) -> dict[str, Any]:
    """MCP's result of a call. Raises `MCPError` where the server gave an error in its place."""
    if not isinstance(outcome, Returned):
        return _error(outcome.for_model())
    if (refusal := outcome.refusal) is not None:
        raise MCPError(refusal.code, refusal.message, refusal.data)
    result: dict[str, Any] = {**COMPLETE, **(outcome.extra or {})}
    if result["resultType"] == "complete":
        content = [content_outward(prefix, server, block) for block in outcome.content]
        result |= {"content": content, "isError": outcome.is_error}
        if outcome.structured is not None:
            result["structuredContent"] = outcome.structured
    return returned(server, {**result, "_meta": outcome.meta})


def _error(text: str) -> dict[str, Any]:
    return {**COMPLETE, "content": [{"type": "text", "text": text}], "isError": True}
