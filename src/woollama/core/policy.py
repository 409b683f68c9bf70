"""The owner's policy about tools: what is never called, and what needs a person's yes. Recipes can only tighten it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from woollama.core.recipes import Recipe
from woollama.domain.messages import ConfirmBy
from woollama.domain.tools import Tool


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """What is said of one server's tools, as globs over a tool's own name or `server.tool`.

    `auto` are those that another program was told never to ask about: a yes to the shipped floor, and to nothing else.
    """

    trusted: bool = False
    confirm: Sequence[str] = ()
    deny: Sequence[str] = ()
    auto: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """A call needs a yes: `why` is a sentence for the person, `confirm_by` says whose yes counts."""

    why: str
    confirm_by: ConfirmBy


class Rules(Protocol):
    """What is never called, and what needs a yes."""

    def denies(self, tool: Tool) -> bool: ...

    def need(self, tool: Tool, recipe: Recipe | None) -> Need | None: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """`confirm` and `deny` are globs over `server.tool`, for all servers; `servers` adds what is said of single ones.

    The shipped floor lies below all of it: without a recipe, whose allow-list is a yes, a tool that is not marked as
    read-only and whose server is not trusted needs one.
    """

    confirm: Sequence[str] = ()
    deny: Sequence[str] = ()
    servers: Mapping[str, ServerPolicy] = field(default_factory=dict)

    def denies(self, tool: Tool) -> bool:
        return _names(self.deny, tool) or _names_of_server(self._of(tool).deny, tool)

    def confirms(self, tool: Tool) -> bool:
        """Whether the owner wants to be asked about it on every path."""
        return _names(self.confirm, tool) or _names_of_server(self._of(tool).confirm, tool)

    def need(self, tool: Tool, recipe: Recipe | None) -> Need | None:
        server = self._of(tool)
        if self.confirms(tool) or (recipe is not None and _names(recipe.confirm, tool)):
            return Need(f"{tool.qualified} is to be confirmed.", recipe.confirm_by if recipe else "owner")
        if recipe is not None or tool.read_only or server.trusted or _names_of_server(server.auto, tool):
            return None
        return Need(f"{tool.qualified} is not marked as read-only.", "client")

    def _of(self, tool: Tool) -> ServerPolicy:
        return self.servers.get(tool.server, _NOTHING_SAID)


NO_POLICY = Policy()
_NOTHING_SAID = ServerPolicy()


def _names(globs: Sequence[str], tool: Tool) -> bool:
    return any(fnmatchcase(tool.qualified, glob) for glob in globs)


def _names_of_server(globs: Sequence[str], tool: Tool) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs for name in (tool.name, tool.qualified))
