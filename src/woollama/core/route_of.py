"""Relay or engine, and why: one pure decision for every request.

The relay passes bytes on and so keeps vendor fields that nobody here knows; the engine decodes, runs tools and
encodes. A request is relayed exactly when nothing has to be done for it on this side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from woollama.core.names import Route
from woollama.domain.messages import Dialect
from woollama.domain.turns import Target

_MERGED_KEYS = frozenset({"options"})
_STATE_KEYS = frozenset({"previous_response_id", "background"})
_OUR_STATE_KEYS = frozenset({"conversation", "key"})
"""What no upstream can know: conversations are named here."""


@dataclass(frozen=True, slots=True)
class BodyHead:
    """What a scan of a body's top level shows. `model` is what it holds under that name, whatever its type."""

    dialect: Dialect
    model: object
    stream: bool
    keys: frozenset[str]
    content_type: str


@dataclass(frozen=True, slots=True)
class Traits:
    """What decides whether requests to an inferencer can be relayed.

    `dialects` it speaks natively over HTTP (none: it cannot be relayed to at all), `unserved_keys` of OpenAI's dialects
    that its endpoint ignores although the engine could honour them; `added_keys` are those that its own configuration
    puts into every body.
    """

    dialects: frozenset[str] = frozenset()
    keeps_state: bool = False
    unserved_keys: frozenset[str] = frozenset()
    added_keys: frozenset[str] = frozenset()
    emulates_tools: bool = False


@dataclass(frozen=True, slots=True)
class Relay:
    """Has one reason only: the targets speak the caller's dialect and nothing is to be done here."""

    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Engine:
    why: str


def route_of(head: BodyHead, route: Route, traits: Mapping[str, Traits]) -> Relay | Engine:
    if route.recipe is not None:
        return Engine("recipe")
    of_targets = [traits[target.inferencer] for target in route.targets]
    if not all(head.dialect in each.dialects for each in of_targets):
        return Engine("dialect")
    if "tools" in head.keys and any(each.emulates_tools for each in of_targets):
        return Engine("emulated tools")
    for each in of_targets:
        if unserved := sorted(_unserved(head, each)):
            return Engine(f"field {unserved[0]}")
        if head.dialect == "responses" and not each.keeps_state:
            return Engine("state")
        if head.keys & _OUR_STATE_KEYS or (head.keys & _STATE_KEYS and not each.keeps_state):
            return Engine("state")
    return Relay(route.targets)


def _unserved(head: BodyHead, traits: Traits) -> frozenset[str]:
    """What the endpoint would not honour: in its own dialect only settings that have to be merged one by one."""
    if head.dialect == "ollama":
        return head.keys & traits.added_keys & _MERGED_KEYS
    return (head.keys | traits.added_keys) & traits.unserved_keys
