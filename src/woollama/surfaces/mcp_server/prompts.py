"""Recipes as prompts: the words of a recipe, with its variables as arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from woollama.core.names import Names
from woollama.core.recipes import Recipe, Variable
from woollama.domain.errors import BadRequest
from woollama.domain.turns import Scope


def listing(names: Names, scope: Scope) -> list[dict[str, Any]]:
    """MCP's Prompt objects, one for each recipe that says something to a model."""
    return [_prompt(recipe) for recipe in _spoken(names, scope)]


def get(names: Names, name: str, values: Mapping[str, str], scope: Scope) -> dict[str, Any]:
    """MCP's result of `prompts/get`. Raises `BadRequest` for a name that no prompt has, and for wrong values."""
    recipe = next((each for each in _spoken(names, scope) if each.name == name), None)
    if recipe is None:
        raise BadRequest(f"there is no prompt {name!r}")
    text = recipe.render(values)
    message = {"role": "user", "content": {"type": "text", "text": text}}
    return {"messages": [message], **({"description": recipe.description} if recipe.description else {})}


def _spoken(names: Names, scope: Scope) -> Iterator[Recipe]:
    """The recipes as they are used: one over another recipe has the words of both. What leads nowhere, or is not for
    this caller, is left out."""
    for name in names.recipes:
        recipe = names.recipe_of(name, scope)
        if recipe is not None and recipe.system:
            yield recipe


def _prompt(recipe: Recipe) -> dict[str, Any]:
    prompt: dict[str, Any] = {"name": recipe.name}
    if recipe.description:
        prompt["description"] = recipe.description
    if recipe.variable_names:
        prompt["arguments"] = [_argument(name, recipe.variables.get(name)) for name in recipe.variable_names]
    return prompt


def _argument(name: str, variable: Variable | None) -> dict[str, Any]:
    variable = variable or Variable()
    choices = f"one of {', '.join(variable.choices)}" if variable.choices else ""
    description = "; ".join(filter(None, (variable.description, choices)))
    argument: dict[str, Any] = {"name": name, "required": variable.default is None}
    return {**argument, "description": description} if description else argument


def completions(names: Names, name: str, argument: str, begun: str, scope: Scope) -> list[str]:
    """The choices of a variable that begin so. Raises `BadRequest` for a name that no prompt has."""
    recipe = next((each for each in _spoken(names, scope) if each.name == name), None)
    if recipe is None:
        raise BadRequest(f"there is no prompt {name!r}")
    variable = recipe.variables.get(argument) or Variable()
    return [choice for choice in variable.choices if choice.startswith(begun)]
