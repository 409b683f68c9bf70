"""Relay or engine: the whole table."""

from __future__ import annotations

import pytest

from woollama.core.names import Route
from woollama.core.recipes import Recipe
from woollama.core.route_of import BodyHead, Engine, Relay, Traits, route_of
from woollama.domain.messages import Dialect
from woollama.domain.turns import Target

TRAITS = {
    "plain": Traits(frozenset({"chat"})),
    "ollama": Traits(frozenset({"chat"}), unserved_keys=frozenset({"options", "keep_alive", "think"})),
    "tuned": Traits(frozenset({"chat"}), unserved_keys=frozenset({"options"}), added_keys=frozenset({"options", "x"})),
    "openai": Traits(frozenset({"chat", "responses"}), keeps_state=True),
    "small": Traits(frozenset({"chat"}), emulates_tools=True),
    "anthropic": Traits(frozenset({"anthropic"})),
    "shepherd": Traits(
        frozenset({"chat", "ollama"}),
        unserved_keys=frozenset({"options", "keep_alive", "think"}),
        added_keys=frozenset({"options", "keep_alive"}),
    ),
}


def head(*keys: str, dialect: Dialect = "chat") -> BodyHead:
    return BodyHead(dialect, "any", False, frozenset({"model", "messages", *keys}), "application/json")


def to(*inferencers: str, recipe: Recipe | None = None) -> Route:
    return Route("any", tuple(Target(name, "m") for name in inferencers), recipe)


@pytest.mark.parametrize(
    ("given", "route", "why"),
    [
        (head(), to("plain"), None),
        (head("tools", "temperature", "vendor_field"), to("plain"), None),
        (head(), to("plain", "openai"), None),
        (head(), to("plain", "anthropic"), "dialect"),
        (head(), to("anthropic"), "dialect"),
        (head(), to("plain", recipe=Recipe("r", "plain/m")), "recipe"),
        (head("options"), to("plain"), None),
        (head("options"), to("ollama"), "field options"),
        (head(), to("tuned"), "field options"),
        (head("think", "keep_alive"), to("ollama"), "field keep_alive"),
        (head("tools"), to("small"), "emulated tools"),
        (head(), to("small"), None),
        (head(dialect="responses"), to("plain"), "dialect"),
        (head(dialect="responses"), to("openai"), None),
        (head("previous_response_id", dialect="responses"), to("openai"), None),
        (head("conversation"), to("plain"), "state"),
        (head("thinking", dialect="anthropic"), to("anthropic"), None),
        (head(dialect="anthropic"), to("plain"), "dialect"),
        (head("think", "keep_alive", dialect="ollama"), to("shepherd"), None),
        (head("options", dialect="ollama"), to("shepherd"), "field options"),
        (head(dialect="ollama"), to("ollama"), "dialect"),
    ],
)
def test_a_request_is_relayed_exactly_when_nothing_is_to_be_done_for_it(
    given: BodyHead, route: Route, why: str | None
) -> None:
    decision = route_of(given, route, TRAITS)
    assert decision == (Relay(route.targets) if why is None else Engine(why))
