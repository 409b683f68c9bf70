"""Recipes as parameterised prompts: what there is, what one reads like with its variables filled in, and running it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.core.names import OWN_PREFIX, Names
from woollama.core.recipes import Recipe, Variable
from woollama.core.route_of import Engine
from woollama.domain.errors import BadRequest, UnknownPattern
from woollama.domain.ids import new_id
from woollama.domain.turns import EVERYTHING
from woollama.domain.turns import Scope as Allowed
from woollama.surfaces import openai_chat
from woollama.surfaces.bodies import parse_json, read_json, send_json
from woollama.surfaces.departure import Departure
from woollama.surfaces.exchange import Exchange
from woollama.surfaces.fields import Fields


class Patterns:
    """`GET /w1/patterns`, `POST /w1/patterns/{name}/render` and `…/run`. Running goes through the chat exchange."""

    def __init__(self, names: Names, chat: Exchange) -> None:
        self._names = names
        self._chat = chat

    async def listing(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = scope["state"]["caller"].scope
        recipes = [each for each in self._names.recipes.values() if self._names.allows_recipe(each.name, allowed)]
        await send_json(send, 200, {"data": [self._listed(recipe) for recipe in recipes]})

    async def render(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`{input?, variables?}` gives `{"prompt"}`: the system text, a blank line and the input."""
        recipe = self._whole(self._called(scope))
        fields = Fields(parse_json(await read_json(scope, receive)))
        system = recipe.render(fields.strings("variables"))
        await send_json(send, 200, {"prompt": "\n\n".join(filter(None, (system, fields.text("input"))))})

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`{input: text or messages, variables?, model?, stream?, options?}` gives a chat completion, or its stream.

        Other members are those of a chat completion (`temperature`, `stream_options`).
        """
        name = self._called(scope).name
        body = parse_json(await read_json(scope, receive))
        fields = Fields(body)
        model = fields.model() if fields.given("model") else None
        asked = {key: value for key, value in body.items() if key != "input"}
        asked |= {"model": model or f"{OWN_PREFIX}/{name}", "messages": _messages(body.get("input"))}
        turn = openai_chat.decode(asked, turn_id=new_id("turn_"), caller=scope["state"]["caller"])
        note = scope["state"]["span"].note
        note(surface="patterns", model=turn.model, by="engine")
        async with Departure(receive):
            turn = replace(turn, recipe=name if model else None)
            await self._chat.play(turn, Engine("recipe"), send, note, stream=fields.boolean("stream") is True)

    def _called(self, scope: Scope) -> Recipe:
        name = scope["path_params"]["name"]
        allowed: Allowed = scope["state"]["caller"].scope
        recipe = self._names.recipes.get(name)
        if recipe is None:
            known = [each for each in self._names.recipes if self._names.allows_recipe(each, allowed)]
            nearest = difflib.get_close_matches(name, known, n=3)
            hint = f"; the nearest are {', '.join(nearest)}" if nearest else ""
            raise UnknownPattern(f"there is no pattern {name!r}{hint}", code="pattern_not_found")
        self._names.check_recipe(name, allowed)
        return recipe

    def _whole(self, recipe: Recipe) -> Recipe:
        """A recipe over another has that one's words and variables, too. What it says can be read where it cannot be
        run now."""
        return self._names.recipe_of(recipe.name, EVERYTHING) or recipe

    def _listed(self, recipe: Recipe) -> dict[str, Any]:
        whole = self._whole(recipe)
        variables = [_variable(name, whole.variables.get(name, Variable())) for name in whole.variable_names]
        return {
            "name": recipe.name,
            "description": recipe.description,
            "variables": variables,
            "source": recipe.source,
        }


def _variable(name: str, variable: Variable) -> dict[str, Any]:
    told: Mapping[str, Any] = {
        "default": variable.default,
        "choices": list(variable.choices) or None,
        "description": variable.description or None,
    }
    return {"name": name, **{key: value for key, value in told.items() if value is not None}}


def _messages(given: object) -> list[Any]:
    if isinstance(given, str) and given:
        return [{"role": "user", "content": given}]
    if isinstance(given, list) and given:
        return given
    raise BadRequest("`input` must be a text or an array of messages, and not empty", param="input")
