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
_LAUNCH = ("command", "args", "env", "cwd")
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


def cautious(before: Config, after: Config) -> tuple[Config, tuple[Pending, ...]]:
    """As much of `after` as a file change may put in force over `before`, and what waits for the owner."""
    pending: list[Pending] = []
    kept: dict[str, Any] = {}
    risks: Mapping[str, Callable[[Any, Any], str | None]] = {
        "servers": _server_risk,
        "inferencers": _inferencer_risk,
        "recipes": _recipe_risk,
    }
    for field in fields(Config):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name in _HARMLESS or old == new:
            continue
        if field.name in risks:
            kept[field.name] = _kept(_WORDS[field.name], old, new, risks[field.name], pending)
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


def _kept(
    word: str,
    before: Mapping[str, T],
    after: Mapping[str, T],
    risk: Callable[[T, T | None], str | None],
    pending: list[Pending],
) -> Mapping[str, T]:
    entries: dict[str, T] = {}
    for name, new in after.items():
        old = before.get(name)
        why = risk(new, old) if new != old else None
        if why is None:
            entries[name] = new
            continue
        pending.append(Pending(word, name, why))
        if old is not None:
            entries[name] = old
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
    if getattr(new, "command", ()) and _differ(new, old, _LAUNCH):
        return "would start another command"
    if _sends_keys(new) and _differ(new, old, _SENT):
        return "would send a key to another address"
    if new.local and _differ(new, old, ("local", *_SENT)):
        return "would get what private recipes say"
    return None


def _sends_keys(entry: Inferencer) -> bool:
    return bool(entry.api_key_env or entry.headers) or getattr(entry, "auth", "key") == "client"


def _recipe_risk(new: Recipe, old: Recipe | None) -> str | None:
    """An allow-list is a yes, so a longer one is for the owner to say."""
    if set(new.tools) - set(old.tools if old else ()):
        return "would be allowed further tools"
    if _confirm(old) != _confirm(new) and (old or "confirm" in new.written):
        return "would change what is asked before"
    if old and old.private and not new.private:
        return "would not be private any more"
    return None


def _confirm(recipe: Recipe | None) -> object:
    return recipe and (recipe.confirm, recipe.confirm_by)


def _differ(new: object, old: object | None, names: tuple[str, ...]) -> bool:
    """Whether one of these fields, as far as entries of this sort have them, is another one now."""
    return any(getattr(new, name, None) != getattr(old, name, None) for name in names)
