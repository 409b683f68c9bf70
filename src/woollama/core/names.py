"""From what a client calls a model to who answers. The only resolver: every surface and every path asks here.

In order: an alias; `woollama/<recipe>`; `<inferencer>/<model>`, split at the first `/`; a bare name that is a recipe;
a bare name that exactly one inferencer is known to have.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from woollama.core.catalog import Catalog
from woollama.core.recipes import Recipe
from woollama.domain.errors import BadRequest, Forbidden, RouterError, UnknownModel
from woollama.domain.turns import Target

OWN_PREFIX = "woollama"
_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Route:
    """Who may answer: `targets` in the order in which they are to be tried, never empty.

    `recipe` is set when the name stands for one; a recipe over a recipe is already one recipe here.
    """

    requested: str
    targets: tuple[Target, ...]
    recipe: Recipe | None = None


class Names:
    """`local` names the inferencers through which nothing leaves the machine: all that a private recipe may use."""

    def __init__(
        self,
        *,
        inferencers: Collection[str],
        recipes: Mapping[str, Recipe],
        aliases: Mapping[str, str],
        catalog: Catalog,
        local: Collection[str] = (),
    ) -> None:
        self._inferencers = frozenset(inferencers)
        self._recipes = dict(recipes)
        self._aliases = dict(aliases)
        self._catalog = catalog
        self._local = frozenset(local)

    def __repr__(self) -> str:
        return (
            f"<Names {len(self._aliases)} aliases, {len(self._recipes)} recipes, {len(self._inferencers)} inferencers>"
        )

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        return self._recipes

    def resolve(self, model: object) -> Route:
        """The route of a request's `model`, whatever it holds.

        Raises `BadRequest` for what is no name at all, `UnknownModel` for a name that nothing has (with the nearest
        that exist), `Forbidden` where a private recipe has no inferencer on this machine.
        """
        if model is None:
            raise BadRequest("the request names no model: 'model' is required", param="model")
        if not isinstance(model, str):
            raise BadRequest(f"'model' must be a string, not {_kind_of(model)}", param="model")
        if not model.strip():
            raise BadRequest("'model' must not be empty", param="model")
        route = self._resolve(model, ())
        return replace(self._kept_private(route), requested=model)

    def broken(self) -> Iterable[tuple[str, str, RouterError]]:
        """The aliases and recipes that lead nowhere, each with its kind, its name and the reason."""
        for kind, names in (("alias", self._aliases), ("recipe", self._recipes)):
            for name in names:
                try:
                    self.resolve(name if kind == "alias" else f"{OWN_PREFIX}/{name}")
                except RouterError as error:
                    yield kind, name, error

    def _resolve(self, name: str, trail: tuple[str, ...]) -> Route:
        """`trail` is the aliases and recipes that led here; coming back to one of them would never end."""
        if name in self._aliases and f"alias {name}" not in trail:
            return self._resolve(self._aliases[name], (*trail, f"alias {name}"))
        recipe = self._recipe_called(name)
        if recipe is not None:
            return self._of_recipe(recipe, trail)
        inferencer, slash, model = name.partition("/")
        if slash and model and inferencer in self._inferencers:
            return Route(name, (Target(inferencer, model),))
        having = self._catalog.having(name)
        if len(having) == 1:
            return Route(name, tuple(having))
        self._unknown(name, having, trail)

    def _recipe_called(self, name: str) -> Recipe | None:
        prefix, slash, rest = name.partition("/")
        return self._recipes.get(rest if slash and prefix == OWN_PREFIX else name)

    def _of_recipe(self, recipe: Recipe, trail: tuple[str, ...]) -> Route:
        step = f"recipe {recipe.name}"
        if step in trail:
            circle = " -> ".join([*trail[trail.index(step) :], step])
            raise UnknownModel(f"the recipes go round in a circle: {circle}", param="model", code="model_not_found")
        inner = self._resolve(recipe.inferencer, (*trail, step))
        whole = recipe if inner.recipe is None else recipe.over(inner.recipe)
        others = [self._resolve(name, (*trail, step)).targets for name in recipe.fallbacks]
        targets = dict.fromkeys([*inner.targets, *(target for targets in others for target in targets)])
        return Route(recipe.name, tuple(targets), whole)

    def _kept_private(self, route: Route) -> Route:
        if route.recipe is None or not route.recipe.private:
            return route
        targets = tuple(target for target in route.targets if target.inferencer in self._local)
        if not targets:
            raise Forbidden(
                f"recipe {route.recipe.name!r} is private and none of its inferencers is local:"
                f" {', '.join(map(str, route.targets))}",
                param="model",
            )
        return replace(route, targets=targets)

    def _unknown(self, name: str, having: Collection[Target], trail: tuple[str, ...]) -> NoReturn:
        if having:
            message = f"several inferencers have a model {name!r}; say which: {', '.join(map(str, having))}"
        else:
            nearest = difflib.get_close_matches(name, self._all(), n=_NEAREST, cutoff=0.5)
            message = f"there is no model {name!r}" + (f"; the nearest are {', '.join(nearest)}" if nearest else "")
        led_here = f"{' -> '.join(trail)}: " if trail else ""
        raise UnknownModel(led_here + message, param="model", code="model_not_found")

    def _all(self) -> list[str]:
        bare = (target.model for target in self._catalog.targets())
        return [
            *self._aliases,
            *(f"{OWN_PREFIX}/{name}" for name in self._recipes),
            *self._recipes,
            *map(str, self._catalog.targets()),
            *dict.fromkeys(bare),
        ]


def _kind_of(value: object) -> str:
    kinds: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return kinds.get(type(value), "an object")
