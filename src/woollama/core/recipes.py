"""Recipes: a name that stands for a model with its words, its tools and its settings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

from woollama.domain.errors import BadRequest
from woollama.domain.messages import ConfirmBy
from woollama.domain.ports import ShrinkLevel
from woollama.domain.tools import Example
from woollama.domain.turns import Params

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Variable:
    """What is known of one `{{name}}`. Without a default a value must be given; with choices it must be one of them."""

    default: str | None = None
    choices: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe as it is used: `inferencer` and `fallbacks` are model names, `tools` globs over `server.tool`.

    `confirm` are globs over those of them that a person is asked about first, and `confirm_by` says whose yes counts.
    `tool_choice` is `auto`, `none`, `required` or one tool's `server.tool`. `examples` are worked calls by
    `server.tool`. `max_turns` counts rounds. `locked` names the params that a request may not change.
    Above `tools_budget_tokens` its tools are found instead of shown; 0: never.
    `written` names the settings that its author wrote, which matters over another recipe only: see `over`. `source` is
    `fabric` for one that was found in the directory of patterns.
    """

    name: str
    inferencer: str
    fallbacks: tuple[str, ...] = ()
    description: str = ""
    system: str = ""
    variables: Mapping[str, Variable] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    tool_choice: str = "auto"
    examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    params: Params = field(default_factory=Params)
    locked: frozenset[str] = frozenset()
    max_turns: int = 16
    max_parallel_tools: int = 8
    tool_timeout_s: float = 120.0
    private: bool = False
    compress: ShrinkLevel = "off"
    tools_budget_tokens: int = 0
    confirm: tuple[str, ...] = ()
    confirm_by: ConfirmBy = "owner"
    written: frozenset[str] = frozenset()
    source: Literal["recipe", "fabric"] = "recipe"

    def __repr__(self) -> str:
        return f"<Recipe {self.name!r} on {self.inferencer}, {len(self.tools)} tool globs>"

    @property
    def digest(self) -> str:
        """Stands for all that the recipe says: it changes when any of that does."""
        said = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "written"}
        text = json.dumps(said, default=_plain, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def variable_names(self) -> tuple[str, ...]:
        """The `{{names}}` in the system text, in the order in which they first appear."""
        return variables_in(self.system)

    def render(self, values: Mapping[str, str]) -> str:
        """The system text with its variables filled in. Raises `BadRequest` for a missing or forbidden value."""
        return render(self.system, self.variables, values)

    def over(self, inner: Recipe) -> Recipe:
        """This recipe where its inferencer is the recipe `inner`.

        What its author wrote wins, what he left out is the inner recipe's. The system texts follow each other, the
        inner one first; variables and params are laid over the inner ones key by key; but what the inner recipe
        locks, what it wants confirmed, and that it is private, cannot be undone from outside.
        """
        wins = {key: getattr(self, key) for key in _REPLACED & self.written}
        return replace(
            inner,
            name=self.name,
            description=self.description,
            fallbacks=(*inner.fallbacks, *self.fallbacks),
            system="\n\n".join(filter(None, (inner.system, self.system))),
            variables={**inner.variables, **self.variables},
            params=laid_over(inner.params, self.params, inner.locked),
            locked=inner.locked | self.locked,
            private=inner.private or self.private,
            confirm=(*inner.confirm, *self.confirm),
            confirm_by="owner" if inner.confirm and inner.confirm_by == "owner" else self.confirm_by,
            written=inner.written | self.written,
            source=self.source,
            **wins,
        )


_REPLACED = frozenset(
    {
        "tools",
        "tool_choice",
        "examples",
        "max_turns",
        "max_parallel_tools",
        "tool_timeout_s",
        "compress",
        "tools_budget_tokens",
    }
)


def variables_in(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_VARIABLE.findall(text)))


def render(text: str, variables: Mapping[str, Variable], values: Mapping[str, str]) -> str:
    """`text` with each `{{name}}` replaced, in one pass: what stands in a value is never itself replaced."""
    return _VARIABLE.sub(lambda found: _value_of(found[1], variables.get(found[1], Variable()), values), text)


def _value_of(name: str, variable: Variable, values: Mapping[str, str]) -> str:
    value = values.get(name, variable.default)
    if value is None:
        raise BadRequest(f"the variable {name!r} has no default and needs a value", param=f"variables.{name}")
    if variable.choices and value not in variable.choices:
        choices = ", ".join(map(repr, variable.choices))
        raise BadRequest(f"the variable {name!r} must be one of {choices}", param=f"variables.{name}")
    return value


def _plain(value: Any) -> Any:
    """What JSON has no word for, in an order that does not change from one start to the next."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return sorted(value) if isinstance(value, frozenset) else dict(value) if isinstance(value, Mapping) else str(value)


def laid_over(under: Params, over: Params, locked: frozenset[str]) -> Params:
    """The settings of `over` where it has some, `options` one by one; of what is `locked` those of `under`."""
    given = {name: value for name, value in over.given() if name not in locked}
    if under.options and "options" in given:
        given["options"] = {**under.options, **given["options"]}
    return replace(under, **given)
