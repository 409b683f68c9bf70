"""Prompts, resources, completions, subscriptions, log levels: what hosts ask for beside tools, passed to its server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated

from woollama.domain.errors import BadRequest
from woollama.domain.messages import Json
from woollama.domain.peers import PeerError, ServerListing
from woollama.surfaces.mcp_server import prompts
from woollama.surfaces.mcp_server.callers import caller_of
from woollama.surfaces.mcp_server.carrying import Carrier, returned
from woollama.surfaces.mcp_server.lines import Context, Line, is_modern, is_woollama
from woollama.surfaces.mcp_server.members import answered
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.mcp_server.parking import Result
from woollama.surfaces.mcp_server.shelves import Shelves
from woollama.surfaces.mcp_server.uris import content_outward, named_outward, outward

COMPLETE: dict[str, Json] = {"resultType": "complete"}
"""What a result of the stateless era has to say; the SDK leaves it out in the other one."""
MOST_COMPLETIONS = 100


class Relayed:
    """`shelves` says what the caller of a request finds. On `bus` hosts hear of changes, on `bus_of_woollamas` other
    woollamas."""

    def __init__(
        self,
        offer: Callable[[], Offer],
        carrier: Carrier,
        shelves: Callable[[Context], Shelves],
    ) -> None:
        self._offer = offer
        self._carrier = carrier
        self._shelves = shelves
        self.bus, self.bus_of_woollamas = InMemorySubscriptionBus(), InMemorySubscriptionBus()
        self._listening, self._listening_woollamas = ListenHandler(self.bus), ListenHandler(self.bus_of_woollamas)
        offer().peers.on_update(self._updated)

    def end_feeds(self) -> None:
        self._listening.close()
        self._listening_woollamas.close()

    async def get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> Result:
        scope = caller_of(ctx).scope
        if (found := self._shelves(ctx).prompt(params.name, scope)) is not None:
            listing, name = found
            asked = {"name": name, **({"arguments": params.arguments} if params.arguments else {})}
            return await self._relay(ctx, params, listing, asked)
        try:
            prompt = prompts.get(self._offer().names, params.name, params.arguments or {}, scope)
            return {**COMPLETE, **prompt}
        except BadRequest as error:
            raise MCPError(types.INVALID_PARAMS, error.message) from None

    async def read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> Result:
        listing, uri = self._located(ctx, str(params.uri))
        return await self._relay(ctx, params, listing, {"uri": uri})

    async def complete(self, ctx: Context, params: types.CompleteRequestParams) -> dict[str, Json]:
        given, reference = dict(ctx.params or {}), params.ref
        given.pop("_meta", None)
        if isinstance(reference, types.PromptReference):
            found = self._shelves(ctx).prompt(reference.name, caller_of(ctx).scope)
            if found is None:
                return self._completed_by_us(ctx, reference.name, params.argument)
            listing, ref = found[0], {**given["ref"], "name": found[1]}
        else:
            listing, uri = self._located(ctx, reference.uri)
            ref = {**given["ref"], "uri": uri}
        try:
            return await self._asked(ctx, listing, "completion/complete", {**given, "ref": ref})
        except MCPError as error:
            if error.code != types.METHOD_NOT_FOUND:
                raise
            return {**COMPLETE, "completion": {"values": []}}

    async def subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> dict[str, Json]:
        listing, uri = self._located(ctx, str(params.uri))
        if (host := self._carrier.connected(ctx)) is not None:
            await _or_error(self._offer().peers.subscribe(listing.server, uri, host))
        return {}

    async def unsubscribe(self, ctx: Context, params: types.UnsubscribeRequestParams) -> dict[str, Json]:
        listing, uri = self._located(ctx, str(params.uri))
        if (host := self._carrier.connected(ctx)) is not None:
            await _or_error(self._offer().peers.unsubscribe(listing.server, uri, host))
        return {}

    async def set_level(self, ctx: Context, params: types.SetLevelRequestParams) -> dict[str, Json]:
        if (host := self._carrier.connected(ctx)) is not None:
            host.log_level = params.level
            await self._offer().peers.set_level(host)
        return {}

    async def roots_changed(self, ctx: Context, params: types.NotificationParams) -> None:
        if (host := self._carrier.connected(ctx)) is not None:
            await self._offer().peers.roots_changed(host)

    async def listen(
        self, ctx: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """The stream of changes of the stateless era; it begins when the servers have been asked for theirs."""
        async with AsyncExitStack() as watching:
            watched = []
            for uri in params.notifications.resource_subscriptions or ():
                try:
                    listing, own = self._located(ctx, uri)
                except MCPError:
                    continue  # as with any server: what is not there does not change
                watched.append(self._offer().peers.watch(listing.server, own))
            await asyncio.gather(*(watching.enter_async_context(each) for each in watched))
            return await (self._listening_woollamas if is_woollama(ctx) else self._listening)(ctx, params)

    async def _updated(self, server: str, uri: str) -> None:
        prefix = next((each.prefix for each in self._offer().peers.listings() if each.server == server), server)
        for bus in (self.bus, self.bus_of_woollamas):
            await bus.publish(ResourceUpdated(uri=outward(prefix, server, uri)))

    async def _relay(
        self, ctx: Context, params: types.InputResponseRequestParams, listing: ServerListing, asked: Mapping[str, Json]
    ) -> Result:
        result = await self._carrier.carry(ctx, params, lambda line: self._asked(ctx, listing, ctx.method, asked, line))
        if isinstance(result, dict):
            answered(result)
        return result

    async def _asked(
        self, ctx: Context, listing: ServerListing, method: str, params: Mapping[str, Json], line: Line | None = None
    ) -> dict[str, Json]:
        line = line or self._carrier.line(ctx)
        host = self._carrier.host(ctx, line, listing.server)
        progress = line.tell if "progress_token" in (ctx.meta or {}) else None
        result = await _or_error(self._offer().peers.request(listing.server, method, params, host, progress))
        return {**COMPLETE, **_outward(listing, returned(listing.server, result))}

    def _completed_by_us(self, ctx: Context, name: str, argument: types.CompletionArgument) -> dict[str, Json]:
        try:
            values = prompts.completions(self._offer().names, name, argument.name, argument.value, caller_of(ctx).scope)
        except BadRequest as error:
            raise MCPError(types.INVALID_PARAMS, error.message) from None
        return {**COMPLETE, "completion": {"values": values[:MOST_COMPLETIONS], "total": len(values)}}

    def _located(self, ctx: Context, uri: str) -> tuple[ServerListing, str]:
        return self._shelves(ctx).locate(uri, caller_of(ctx).scope, is_modern=is_modern(ctx))


def _outward(listing: ServerListing, result: dict[str, Any]) -> dict[str, Any]:
    """With the addresses in it as hosts find them."""
    prefix, server = listing.prefix, listing.server
    if isinstance(contents := result.get("contents"), list):
        result["contents"] = [named_outward(prefix, server, each) for each in contents]
    if isinstance(messages := result.get("messages"), list):
        result["messages"] = [
            {**each, "content": content_outward(prefix, server, each.get("content"))} for each in messages
        ]
    return result


async def _or_error(work: Any) -> Any:
    try:
        return await work
    except PeerError as error:
        raise MCPError(error.code, error.message, error.data) from None
