"""recipes.toml: aliases and recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from woollama.config.documents import Document
from woollama.config.entries import Entry, entries, place, read_entry, section_of, switched_off
from woollama.config.expand import Variables
from woollama.config.model import Recipe
from woollama.config.problems import Finding, Problem, Wrong, dotted

PROSE = frozenset({"system", "description", "examples", "variables"})
"""Texts for models and people: a `${…}` in them is theirs."""
_CHOICES = frozenset({"auto", "none", "required"})


def read_aliases(documents: Sequence[Document], variables: Variables, problems: list[Problem]) -> Mapping[str, str]:
    aliases: dict[str, str] = {}
    for document in documents:
        for name, raw in section_of("aliases", document, problems).items():
            aliases.pop(name, None)
            try:
                if not name.strip() or not isinstance(raw, str) or not raw.strip():
                    raise Wrong("must be the name of a model, such as ollama/qwen3 or woollama/assistant")
                aliases[name] = variables.expand(raw)
            except Wrong as wrong:
                path = ("aliases", name)
                problems += [place(document, path, finding, dotted(path)) for finding in wrong.findings]
    return aliases


def read_recipes(documents: Sequence[Document], variables: Variables, problems: list[Problem]) -> Mapping[str, Recipe]:
    recipes: dict[str, Recipe] = {}
    for entry in entries("recipes", documents, problems):
        if switched_off(entry, problems):
            continue
        recipe = read_entry(
            Recipe,
            entry,
            variables,
            problems,
            verbatim=PROSE,
            written=frozenset(entry.raw),
        )
        if recipe is not None and not _tell(entry, list(_inconsistencies(recipe)), problems):
            recipes[recipe.name] = recipe
    return recipes


def _tell(entry: Entry, findings: list[Finding], problems: list[Problem]) -> bool:
    problems += entry.problems(findings)
    return bool(findings)


def _inconsistencies(recipe: Recipe) -> Iterator[Finding]:
    for name, variable in recipe.variables.items():
        if variable.choices and variable.default is not None and variable.default not in variable.choices:
            yield Finding("is none of the choices", ("variables", name, "default"))
    # Over another recipe the allow-list may be that recipe's: then there is nothing here to compare with.
    if "tools" not in recipe.written:
        return
    if recipe.tool_choice not in _CHOICES and not _allows(recipe, recipe.tool_choice):
        yield Finding(
            "must be auto, none, required, or a tool that the recipe's tools allow, as server.tool", ("tool_choice",)
        )
    if recipe.tool_choice == "required" and not recipe.tools:
        yield Finding("requires a tool, and the recipe has none", ("tool_choice",))
    for index, example in enumerate(recipe.examples):
        if not _allows(recipe, example.call):
            yield Finding("is a tool that the recipe's tools do not allow", ("examples", index, "call"))


def _allows(recipe: Recipe, tool: str) -> bool:
    return any(fnmatchcase(tool, glob) for glob in recipe.tools)
