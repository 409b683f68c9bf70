"""What another configuration changes, and how much of it a mere file change may put in force.

The files can be written by more programs than their owner's editor, an agent with a tool that writes files among them.
Such a program must not gain execution, keys or permissions by it. So what was changed in the files alone takes effect
as far as it is harmless; the rest is pending until the owner says `woollama reload`, or starts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from woollama.config.model import Config, Inferencer, Recipe, ToolServer

T = TypeVar("T")

_WORDS: Mapping[str, str] = {
    "aliases": "alias",
    "recipes": "recipe",
    "inferencers": "inferencer",
    "servers": "tool server",
}
"""A table of the configuration -> what an entry of it is called."""
_SECTIONS: Mapping[str, str] = {"door": "server", "conversation_store": "conversationStore"}
"""A field of the configuration -> its section of woollama.toml, where that has another name."""
_HARMLESS = frozenset({"aliases", "limits", "prices"})
_PERMISSIONS = (
    *("trusted", "confirm", "deny", "auto_approve", "always_allow"),
    *("disabled_tools", "expose", "pin", "sharing"),
)
OWN_PREFIX = "woollama/"
_LAUNCH = ("command", "args", "env", "cwd")
_ASKED_OVER_PIPES = "claude-code"
"""The API of a program that is started without a `command` being written: what it is told decides what it runs."""
_SENT = ("api", "base_url", "url", "api_key_env", "headers", "auth")


@dataclass(frozen=True, slots=True)
class Change:
    """`what` is an alias, a recipe, an inferencer, a tool server, or `section` (of woollama.toml)."""

    what: str
    name: str
    how: Literal["added", "changed", "removed"]

    def __str__(self) -> str:
        return f"{self.what} {self.name!r} {self.how}"


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that waits for the owner; `why` completes the sentence that begins with the entry."""

    what: str
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} {self.name!r} {self.why}"


def changes(before: Config, after: Config) -> list[Change]:
    """What is different in `after`, in the order of the tables."""
    return list(_changes(before, after))


def cautious(before: Config, after: Config, by_owner: Config | None = None) -> tuple[Config, tuple[Pending, ...]]:
    """As much of `after` as a file change may put in force over `before`, and what waits for the owner.

    `by_owner` is what the owner has put in force last: an entry that was taken out since, and comes back, is held
    against that. Else taking out and putting in again would be a way around.
    """
    pending: list[Pending] = []
    kept: dict[str, Any] = {}
    earlier = before if by_owner is None else _with_what_is_gone(before, by_owner)
    risks: Mapping[str, Callable[[Any, Any], str | None]] = {
        "servers": _server_risk,
        "inferencers": _inferencer_risk,
        "recipes": lambda new, old: _recipe_risk(_rights(new, after), old and _rights(old, earlier)),
    }
    for field in fields(Config):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name in _HARMLESS or old == new:
            continue
        if field.name in risks:
            known = getattr(earlier, field.name)
            kept[field.name] = _kept(_WORDS[field.name], old, known, new, risks[field.name], pending)
        else:
            pending.append(Pending("section", _SECTIONS.get(field.name, field.name), "says who may do what"))
            kept[field.name] = old
    return replace(after, **kept), tuple(pending)


def _changes(before: Config, after: Config) -> Iterator[Change]:
    for field in fields(Config):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new:
            continue
        if field.name not in _WORDS:
            yield Change("section", _SECTIONS.get(field.name, field.name), "changed")
            continue
        for name in dict.fromkeys((*old, *new)):
            if name not in old:
                yield Change(_WORDS[field.name], name, "added")
            elif name not in new:
                yield Change(_WORDS[field.name], name, "removed")
            elif old[name] != new[name]:
                yield Change(_WORDS[field.name], name, "changed")


def _with_what_is_gone(config: Config, by_owner: Config) -> Config:
    """`config`, and of each of its tables of entries those that only `by_owner` has."""
    tables: dict[str, Any] = {table: {**getattr(by_owner, table), **getattr(config, table)} for table in _WORDS}
    return replace(config, **tables)


def _kept(
    word: str,
    before: Mapping[str, T],
    known: Mapping[str, T],
    after: Mapping[str, T],
    risk: Callable[[T, T | None], str | None],
    pending: list[Pending],
) -> Mapping[str, T]:
    """`known` are the entries to hold others against: those of `before`, and some that are in force no more."""
    entries: dict[str, T] = {}
    for name, new in after.items():
        old = known.get(name)
        why = risk(new, old) if new != old else None
        if why is None:
            entries[name] = new
            continue
        pending.append(Pending(word, name, why))
        if name in before:
            entries[name] = before[name]
    return entries


def _server_risk(new: ToolServer, old: ToolServer | None) -> str | None:
    if new.disabled:
        return None
    if new.command and _differ(new, old, _LAUNCH):
        return "would start another command"
    if new.headers and _differ(new, old, _SENT):
        return "would send its headers to another address"
    if _differ(new, old or ToolServer(new.name), _PERMISSIONS):
        return "would change what may be called without asking"
    return None


def _inferencer_risk(new: Inferencer, old: Inferencer | None) -> str | None:
    if new.command and _differ(new, old, _LAUNCH):
        return "would start another command"
    if new.api == _ASKED_OVER_PIPES and new.env != (old.env if old and old.api == new.api else {}):
        return "would start its program with other variables"
    if _sends_keys(new) and _differ(new, old, _SENT):
        return "would send a key to another address"
    if new.local and _differ(new, old, ("local", *_SENT)):
        return "would get what private recipes say"
    return None


def _sends_keys(entry: Inferencer) -> bool:
    return bool(entry.api_key_env or entry.headers) or getattr(entry, "auth", "key") == "client"


@dataclass(frozen=True, slots=True)
class _Rights:
    """What a recipe may do, with what it has of the recipes that it stands on."""

    tools: frozenset[str]
    asks: tuple[frozenset[str], str]
    private: bool


def _rights(recipe: Recipe, config: Config) -> _Rights:
    """As `core.recipes.Recipe.over` puts recipes together."""
    chain = [recipe]
    while (inner := _recipe_called(chain[-1].inferencer, config)) is not None and inner not in chain:
        chain.append(inner)
    tools = next((each.tools for each in chain if each.tools or "tools" in each.written), ())
    confirm, confirm_by = frozenset(chain[-1].confirm), chain[-1].confirm_by
    for outer in reversed(chain[:-1]):
        confirm_by = "owner" if confirm and confirm_by == "owner" else outer.confirm_by
        confirm |= set(outer.confirm)
    return _Rights(frozenset(tools), (confirm, confirm_by), any(each.private for each in chain))


def _recipe_called(name: str, config: Config) -> Recipe | None:
    for _ in config.aliases:
        name = config.aliases.get(name, name)
    return config.recipes.get(name.removeprefix(OWN_PREFIX))


def _recipe_risk(new: _Rights, old: _Rights | None) -> str | None:
    """An allow-list is a yes, so a longer one is for the owner to say."""
    if new.tools - (old.tools if old else frozenset()):
        return "would be allowed further tools"
    if old and old.asks != new.asks:
        return "would change what is asked before"
    if old and old.private and not new.private:
        return "would not be private any more"
    return None


def _differ(new: object, old: object | None, names: tuple[str, ...]) -> bool:
    """Whether one of these fields, as far as entries of this sort have them, is another one now."""
    return any(getattr(new, name, None) != getattr(old, name, None) for name in names)
