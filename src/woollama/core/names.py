"""From what a client calls a model to who answers. The only resolver: every surface and every path asks here.

In order: an alias; `woollama/<recipe>`; `<inferencer>/<model>`, split at the first `/`; a bare name that is a recipe;
a bare name that exactly one inferencer is known to have. Ollama's clients say `:latest` where they mean no tag at all,
so a name may have it where there is none, or lack it where there is one.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from woollama.core.catalog import Catalog
from woollama.core.recipes import Recipe
from woollama.domain.capabilities import CAPABILITIES, Declared, can, capabilities_of
from woollama.domain.errors import BadRequest, Forbidden, RouterError, UnknownModel
from woollama.domain.turns import EVERYTHING, Scope, Target

OWN_PREFIX = "woollama"
LATEST = ":latest"
_NEAREST = 3
_SHOWN_CHARS = 200
# A name comes back in headers and log lines, which they would break.
_control = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Route:
    """Who may answer: `targets` in the order in which they are to be tried, never empty.

    `recipe` is set when the name stands for one; a recipe over a recipe is already one recipe here. `known_as` are the
    names by which a scope can allow it: the aliases on the way, and the recipe's or the target's own.
    """

    requested: str
    targets: tuple[Target, ...]
    recipe: Recipe | None = None
    known_as: tuple[str, ...] = field(default=(), compare=False)


class _LeadsNowhere(UnknownModel):
    """`name` is nobody's, or that of several: `having`. Which names are near is looked up only where it is told."""

    def __init__(self, name: str, having: Collection[Target], trail: tuple[str, ...]) -> None:
        super().__init__(f"there is no model {_shown(name)}", param="model", code="model_not_found")
        self.name = name
        self.having = having
        self.trail = trail


class Names:
    """`local` names the inferencers through which nothing leaves the machine: all that a private recipe may use.

    `capabilities` are what is declared of each inferencer's models.
    """

    def __init__(
        self,
        *,
        inferencers: Collection[str],
        recipes: Mapping[str, Recipe],
        aliases: Mapping[str, str],
        catalog: Catalog,
        local: Collection[str] = (),
        capabilities: Mapping[str, Declared] = MappingProxyType({}),
    ) -> None:
        self._inferencers = frozenset(inferencers)
        self._recipes = dict(recipes)
        self._aliases = dict(aliases)
        self._catalog = catalog
        self._local = frozenset(local)
        self._capabilities = dict(capabilities)

    def __repr__(self) -> str:
        return (
            f"<Names {len(self._aliases)} aliases, {len(self._recipes)} recipes, {len(self._inferencers)} inferencers>"
        )

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        return self._recipes

    def capabilities_of(self, target: Target) -> Sequence[str]:
        """What is declared of a model, in the order of `CAPABILITIES`; empty where nothing is."""
        known = capabilities_of(target.model, self._capabilities.get(target.inferencer, {}))
        return [capability for capability in CAPABILITIES if capability in known]

    def can(self, target: Target, needs: Collection[str]) -> bool:
        """Whether nothing that is declared of a model speaks against it."""
        return can(target.model, self._capabilities.get(target.inferencer, {}), needs)

    def resolve(self, model: object, scope: Scope, recipe: str | None = None, *, needs: Collection[str] = ()) -> Route:
        """The route of a request's `model`, whatever it holds; with a `recipe` that of this recipe on that model.

        `needs` are the capabilities that the request asks for: targets that are declared without them are no targets.
        Raises `BadRequest` for what is no name at all and where no target can do it, `UnknownModel` for a name that
        nothing has (with the nearest that `scope` allows), `Forbidden` for one that it does not allow, and where a
        private recipe has no inferencer on this machine.
        """
        if model is None:
            raise BadRequest("the request names no model: 'model' is required", param="model")
        if not isinstance(model, str):
            raise BadRequest(f"'model' must be a string, not {_kind_of(model)}", param="model")
        if not model.strip():
            raise BadRequest("'model' must not be empty", param="model")
        if _control.search(model):
            raise BadRequest("'model' must not contain control characters", param="model")
        route = self._allowed(model, scope)
        if recipe is not None:
            self.check_recipe(recipe, scope)
            route = self._of_recipe(replace(self._recipes[recipe], inferencer=model, fallbacks=()), (), scope)
        return replace(self._able(self._kept_private(route), needs), requested=model)

    def allows(self, name: str, scope: Scope) -> bool:
        """Whether a listing may show `name`."""
        if scope == EVERYTHING:
            return True
        try:
            known_as = self._resolve(name, (), EVERYTHING).known_as
        except RouterError:
            known_as = (name,)
        return scope.allows_model(known_as)

    def allows_recipe(self, name: str, scope: Scope) -> bool:
        return scope.allows_model(_names_of_recipe(name))

    def check_recipe(self, name: str, scope: Scope) -> None:
        """Raises `Forbidden` for a recipe that `scope` does not allow."""
        if not self.allows_recipe(name, scope):
            raise _forbidden(f"{OWN_PREFIX}/{name}", scope)

    def recipe_of(self, name: str, scope: Scope) -> Recipe | None:
        """A recipe as it is used, with what it has of those that it stands on; `None` where it leads nowhere now, or
        is not for `scope`. For listings: why that is takes much longer to tell."""
        try:
            route = self._resolve(f"{OWN_PREFIX}/{name}", (), scope)
            return self._kept_private(route).recipe if scope.allows_model(route.known_as) else None
        except RouterError:
            return None

    def _allowed(self, model: str, scope: Scope) -> Route:
        try:
            route = self._resolve(model, (), scope)
        except _LeadsNowhere as lost:
            raise self._unknown(lost, scope) from None
        if not scope.allows_model(route.known_as):
            raise _forbidden(model, scope)
        return route

    def _resolve(self, name: str, trail: tuple[str, ...], scope: Scope) -> Route:
        """`trail` is the aliases and recipes that led here; coming back to one of them would never end."""
        step = f"alias {name}"
        if name in self._aliases and step not in trail:
            route = self._resolve(self._aliases[name], (*trail, step), scope)
            return replace(route, known_as=(name, *route.known_as))
        recipe = self._recipe_called(name)
        if recipe is not None:
            return self._of_recipe(recipe, trail, scope)
        inferencer, slash, model = name.partition("/")
        if slash and model and inferencer in self._inferencers:
            target = self._target(inferencer, model)
            return Route(name, (target,), known_as=(str(target),))
        having = self._catalog.having(name) or self._catalog.having(name + LATEST)
        if len(having) == 1:
            return Route(name, tuple(having), known_as=(str(having[0]),))
        if (untagged := self._untagged(name)) is not None:
            return self._resolve(untagged, trail, scope)
        if step in trail:
            raise _circle(trail, step)
        raise _LeadsNowhere(name, having, trail)

    def _target(self, inferencer: str, model: str) -> Target:
        target, untagged = Target(inferencer, model), Target(inferencer, model.removesuffix(LATEST))
        if target == untagged:
            return target
        known = self._catalog.targets()
        return untagged if untagged in known and target not in known else target

    def _untagged(self, name: str) -> str | None:
        """`name` without its `:latest`, if something is called that."""
        untagged = name.removesuffix(LATEST)
        if untagged == name:
            return None
        called = untagged in self._aliases or self._recipe_called(untagged) or self._catalog.having(untagged)
        return untagged if called else None

    def _recipe_called(self, name: str) -> Recipe | None:
        prefix, slash, rest = name.partition("/")
        return self._recipes.get(rest if slash and prefix == OWN_PREFIX else name)

    def _of_recipe(self, recipe: Recipe, trail: tuple[str, ...], scope: Scope) -> Route:
        step = f"recipe {recipe.name}"
        if step in trail:
            raise _circle(trail, step)
        inner = self._resolve(recipe.inferencer, (*trail, step), scope)
        whole = recipe if inner.recipe is None else recipe.over(inner.recipe)
        targets = dict.fromkeys(inner.targets)
        for name in recipe.fallbacks:
            # A fallback that leads nowhere is told by `woollama check`; it must not take the recipe along.
            with contextlib.suppress(UnknownModel):
                targets |= dict.fromkeys(self._resolve(name, (*trail, step), scope).targets)
        return Route(recipe.name, tuple(targets), whole, _names_of_recipe(recipe.name))

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

    def _able(self, route: Route, needs: Collection[str]) -> Route:
        if "chat" in needs and route.recipe is not None and route.recipe.tools:
            needs = {*needs, "tools"}
        able = tuple(target for target in route.targets if self.can(target, needs))
        if able:
            return replace(route, targets=able)
        known = "; ".join(f"{target} as {', '.join(self.capabilities_of(target))}" for target in route.targets)
        asked = " and ".join(capability for capability in CAPABILITIES if capability in needs)
        raise BadRequest(
            f"this needs a model for {asked}, and what is declared is {known}"
            " (`capabilities` in inferencers.toml says what a model is)",
            param="model",
            code="model_lacks_capability",
        )

    def _unknown(self, lost: _LeadsNowhere, scope: Scope) -> UnknownModel:
        shown = _shown(lost.name)
        if having := [target for target in lost.having if scope.allows_model([str(target)])]:
            message = f"several inferencers have a model {shown}; say which: {', '.join(map(str, having))}"
        else:
            nearest = [each for each in self._nearest(lost.name) if self.allows(each, scope)]
            message = f"there is no model {shown}" + (f"; the nearest are {', '.join(nearest)}" if nearest else "")
        led_here = f"{' -> '.join(lost.trail)}: " if lost.trail else ""
        return UnknownModel(led_here + message, param="model", code="model_not_found")

    def _nearest(self, name: str) -> list[str]:
        inferencer, slash, model = name.partition("/")
        similar = difflib.get_close_matches(inferencer, [OWN_PREFIX, *self._inferencers], n=1)
        if slash and model and similar and similar[0] != OWN_PREFIX:
            return [f"{similar[0]}/{model}"]
        known = self._catalog.targets()
        candidates = [
            *self._aliases,
            *(f"{OWN_PREFIX}/{recipe}" for recipe in self._recipes),
            *self._recipes,
            *map(str, known),
            *(target.model for target in known),
        ]
        return difflib.get_close_matches(name, list(dict.fromkeys(candidates)), n=_NEAREST, cutoff=0.5)


def _names_of_recipe(name: str) -> tuple[str, ...]:
    return f"{OWN_PREFIX}/{name}", name


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN_CHARS else f"{name[:_SHOWN_CHARS]}…")


def _forbidden(model: str, scope: Scope) -> Forbidden:
    return Forbidden(f"the token {scope.token!r} may not use the model {_shown(model)}", param="model")


def _circle(trail: tuple[str, ...], step: str) -> UnknownModel:
    circle = " -> ".join([*trail[trail.index(step) :], step])
    return UnknownModel(f"these names go round in a circle: {circle}", param="model", code="model_not_found")


def _kind_of(value: object) -> str:
    kinds: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return kinds.get(type(value), "an object")
