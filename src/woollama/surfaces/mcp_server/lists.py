"""What hosts find: tools, prompts, resources and templates, each list in pages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import mcp_types as types
from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ToolsListChanged
from mcp_types.methods import serialize_server_result
from pydantic import ValidationError

from woollama.domain.peers import HostSession
from woollama.domain.tools import Function
from woollama.domain.turns import EVERYTHING
from woollama.surfaces.mcp_server import chat, compression, prompts
from woollama.surfaces.mcp_server.callers import caller_of
from woollama.surfaces.mcp_server.exports import Exports, Judged, definition
from woollama.surfaces.mcp_server.lines import Context, is_woollama
from woollama.surfaces.mcp_server.members import answered
from woollama.surfaces.mcp_server.news import ListChanged
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.mcp_server.pages import Entry, Kind, page_of
from woollama.surfaces.mcp_server.relayed import COMPLETE
from woollama.surfaces.mcp_server.shelves import Shelves

log = logging.getLogger("woollama.mcp")

Params = types.PaginatedRequestParams
_PLAIN = {"resultType", "content", "structuredContent", "isError"}
_TEXT = {"type", "text"}
_UNCACHED = {"ttlMs": 0, "cacheScope": "private"}


class Lists:
    """`shelves` are those for everybody, `for_woollamas` those for hosts that are one of us."""

    def __init__(
        self, offer: Callable[[], Offer], exports: Exports, connected: Callable[[Context], HostSession | None]
    ) -> None:
        self._offer = offer
        self._exports = exports
        self._connected = connected
        self._judged = Judged()
        self.shelves = Shelves(offer, lambda: offer().names.recipes)
        self.for_woollamas = Shelves(offer, lambda: offer().names.recipes, for_woollamas=True)

    def __repr__(self) -> str:
        return f"<Lists of {self._exports!r}>"

    def shelves_of(self, ctx: Context) -> Shelves:
        return self.for_woollamas if is_woollama(ctx) else self.shelves

    async def tools(self, ctx: Context, params: Params) -> dict[str, Any]:
        scope, names = caller_of(ctx).scope, self._offer().names
        chats = chat.definition(name for name in names.recipes if names.allows_recipe(name, scope))
        own = [chats, *compression.definitions()]
        shown = self._shown(ctx)
        if (host := self._connected(ctx)) is not None:
            self._offer().peers.listed(host, {function.tool.server for function in shown.values() if function.tool})
        return _listed("tools", *page_of("tools", own, list(self._described(ctx, shown)), params.cursor))

    def beside(self, ctx: Context) -> Mapping[str, Function]:
        """What a host finds beside what everybody finds: tools that their server has for clients like it."""
        host = self._connected(ctx)
        functions = self._offer().functions_of(host) if host is not None else ()
        return self._exports.named(functions) if functions else {}

    async def prompts(self, ctx: Context, params: Params) -> dict[str, Any]:
        scope = caller_of(ctx).scope
        own = prompts.listing(self._offer().names, scope)
        return _sound_page(ctx, "prompts", own, self.shelves_of(ctx).prompts(scope), params)

    async def resources(self, ctx: Context, params: Params) -> dict[str, Any]:
        found = self.shelves_of(ctx).resources(caller_of(ctx).scope)
        return _sound_page(ctx, "resources", [], found, params)

    async def templates(self, ctx: Context, params: Params) -> dict[str, Any]:
        found = self.shelves_of(ctx).templates(caller_of(ctx).scope)
        return _sound_page(ctx, "resourceTemplates", [], found, params)

    def all(self, shelves: Shelves) -> dict[ListChanged, object]:
        """What hosts find, by what they are told when it is another."""
        exported = {name: function.tool for name, function in self._exports.current().items() if function.tool}
        tools = {name: tool for name, tool in exported.items() if shelves.shows(tool.server)}
        names = self._offer().names
        return {
            ToolsListChanged(): (chat.definition(names.recipes), tools),
            PromptsListChanged(): (prompts.listing(names, EVERYTHING), shelves.prompts(EVERYTHING)),
            ResourcesListChanged(): (shelves.resources(EVERYTHING), shelves.templates(EVERYTHING)),
        }

    def _shown(self, ctx: Context) -> Mapping[str, Function]:
        scope, shelves = caller_of(ctx).scope, self.shelves_of(ctx)
        found = {**self._exports.current(), **self.beside(ctx)}
        return {
            name: function
            for name, function in found.items()
            if (tool := function.tool) and shelves.shows(tool.server) and scope.allows_tool([tool.qualified])
        }

    def _described(self, ctx: Context, shown: Mapping[str, Function]) -> Iterator[Entry]:
        for name, function in shown.items():
            assert function.tool is not None
            described = definition(name, function.tool)
            find_out = partial(is_sound, "tools/list", ctx, {"tools": [described]})
            if self._judged.is_sound(ctx.protocol_version, name, function, find_out):
                yield described
            else:
                log.warning("%s is not listed: its description breaks the protocol", function.tool.qualified)


def is_plain(result: Mapping[str, Any]) -> bool:
    """Texts and data: sound in every revision, and what most results of tools are."""
    return (
        result["resultType"] == "complete"
        and result.keys() <= _PLAIN
        and isinstance(result.get("structuredContent", {}), dict)
        and all(
            block.keys() == _TEXT and block["type"] == "text" and isinstance(block["text"], str)
            for block in result["content"]
        )
    )


def is_sound(method: str, ctx: Context, result: Mapping[str, Any]) -> bool:
    """Whether the protocol allows it, in the revision that the host speaks."""
    try:
        serialize_server_result(method, ctx.protocol_version, {**COMPLETE, **_UNCACHED, **result})
    except ValidationError:
        return False
    return True


def _sound_page(
    ctx: Context, kind: Kind, own: Sequence[Entry], others: Sequence[Entry], params: Params
) -> dict[str, Any]:
    page, cursor = page_of(kind, own, others, params.cursor)
    sound = [entry for entry in page if is_sound(ctx.method, ctx, {kind: [entry]})]
    if len(sound) < len(page):
        log.warning("%d of the %s are not listed: they break the protocol", len(page) - len(sound), kind)
    return _listed(kind, sound, cursor)


def _listed(kind: Kind, page: Sequence[Entry], cursor: str | None) -> dict[str, Any]:
    more = {"nextCursor": cursor} if cursor else {}
    return dict(answered({**COMPLETE, kind: page, **more}))
