"""What hosts find beside tools: prompts, resources and templates of every tool server, each under our name for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.shared.uri_template import UriTemplate

from woollama.domain.peers import ServerListing
from woollama.domain.turns import Scope
from woollama.surfaces.mcp_server.offer import Offer
from woollama.surfaces.mcp_server.uris import inward, outward

RESOURCE_NOT_FOUND = -32002
"""Until 2025-11-25; since then such an address is an invalid parameter."""
Raw = Mapping[str, Any]


class Shelves:
    """Answers from memory. What a server is not to be exposed for, or the caller's token does not allow, is not there.

    `reserved` gives the names of our own prompts. Those for other woollamas are without what we have from such.
    """

    def __init__(
        self, offer: Callable[[], Offer], reserved: Callable[[], Iterable[str]], *, for_woollamas: bool = False
    ) -> None:
        self._offer = offer
        self._reserved = reserved
        self._for_woollamas = for_woollamas

    def shows(self, server: str) -> bool:
        """Whether a tool server is among those that are shown at all."""
        return not (self._for_woollamas and server in {each.server for each in self._all() if each.federated})

    def _all(self) -> Sequence[ServerListing]:
        return self._offer().peers.listings()

    def _listings(self) -> list[ServerListing]:
        return [each for each in self._all() if not (self._for_woollamas and each.federated)]

    def prefix_of(self, server: str) -> str:
        """What stands before the names of that server; nothing before bare ones."""
        listings = self._all()
        return next((listing.prefix for listing in listings if listing.server == server), server)

    def prompts(self, scope: Scope) -> list[dict[str, Any]]:
        return [{**raw, "name": name} for name, (listing, raw) in self._prompts(scope).items()]

    def prompt(self, name: str, scope: Scope) -> tuple[ServerListing, str] | None:
        """Whose prompt it is, and what that server calls it."""
        found = self._prompts(scope).get(name)
        return (found[0], str(found[1]["name"])) if found else None

    def resources(self, scope: Scope) -> list[dict[str, Any]]:
        return self._addressed(scope, "uri", lambda listing: listing.resources)

    def templates(self, scope: Scope) -> list[dict[str, Any]]:
        return self._addressed(scope, "uriTemplate", lambda listing: listing.templates)

    def locate(self, uri: str, scope: Scope, *, is_modern: bool) -> tuple[ServerListing, str]:
        """Whose resource it is, and where it is there. Raises `MCPError` for one that hosts do not find here."""
        named = inward(uri)
        for listing in self._listings():
            if named is not None and listing.server == named[0] and self._has(listing, named[1], scope):
                return listing, named[1]
        bare = [listing for listing in self._listings() if not listing.prefix]
        for listing in bare:
            if self._has(listing, uri, scope, listed=True):
                return listing, uri
        if len(bare) == 1 and self._has(bare[0], uri, scope):
            return bare[0], uri  # let it say itself what is wrong with it
        code = types.INVALID_PARAMS if is_modern else RESOURCE_NOT_FOUND
        raise MCPError(code, f"there is no resource {uri!r}", {"uri": uri})

    def _prompts(self, scope: Scope) -> dict[str, tuple[ServerListing, Raw]]:
        """Two servers' prompts of one name: the second is told apart by a hash."""
        found: dict[str, tuple[ServerListing, Raw]] = {}
        taken = set(self._reserved())
        for listing in self._listings():
            for raw in listing.prompts:
                if self._shows(listing, str(raw["name"]), scope):
                    name = f"{listing.prefix}__{raw['name']}" if listing.prefix else str(raw["name"])
                    if name in found or name in taken:
                        name = f"{name}_{hashlib.sha256(f'{listing.server} {name}'.encode()).hexdigest()[:8]}"
                    found[name] = (listing, raw)
        return found

    def _addressed(self, scope: Scope, key: str, of: Callable[[ServerListing], Sequence[Raw]]) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for listing in self._listings():
            for raw in of(listing):
                if self._shows(listing, str(raw.get("name") or raw[key]), scope):
                    address = outward(listing.prefix, listing.server, str(raw[key]))
                    found.setdefault(address, {**raw, key: address})
        return list(found.values())

    def _has(self, listing: ServerListing, uri: str, scope: Scope, *, listed: bool = False) -> bool:
        """An address that a server does not list may be one of its all the same, where all of it is shown."""
        for raw in _matching(listing, uri):
            return self._shows(listing, str(raw.get("name") or uri), scope)
        return not listed and self._shows(listing, uri, scope)

    def _shows(self, listing: ServerListing, name: str, scope: Scope) -> bool:
        return self._offer().exposes(listing.server, name) and scope.allows_tool([f"{listing.server}.{name}"])


def _matching(listing: ServerListing, uri: str) -> Iterator[Raw]:
    yield from (raw for raw in listing.resources if raw["uri"] == uri)
    for raw in listing.templates:
        try:
            if raw["uriTemplate"] == uri or UriTemplate.parse(str(raw["uriTemplate"])).match(uri) is not None:
                yield raw
        except ValueError:
            continue  # not a template that can be read; its server knows what it means
