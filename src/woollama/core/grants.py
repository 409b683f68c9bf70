"""Tools that a request itself asks for, by the name of their server: with any model, beside what a recipe has.

A request can narrow what it gets and have itself asked more often than the owner wants. It cannot lift a rule of his.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from woollama.core.policy import Need, Policy
from woollama.core.recipes import Recipe
from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import Json
from woollama.domain.ports import Toolbox, ToolContext
from woollama.domain.tools import Function, Invalid, Tool, ToolOutcome
from woollama.domain.turns import ToolGrant


@dataclass(frozen=True, slots=True)
class Tightened:
    """The owner's policy, and what the request wants to be asked about beyond it. Only its own yes is needed there."""

    policy: Policy
    grants: Sequence[ToolGrant]

    def denies(self, tool: Tool) -> bool:
        return self.policy.denies(tool)

    def need(self, tool: Tool, recipe: Recipe | None) -> Need | None:
        if (need := self.policy.need(tool, recipe)) is not None or recipe is not None:
            return need
        if any(grant.server == tool.server and _wants_to_be_asked(grant.approval, tool) for grant in self.grants):
            return Need(f"The request wants to be asked about {tool.qualified}.", "client")
        return None


class Both:
    """Two toolboxes as one. A tool that both have is the first one's."""

    def __init__(self, first: Toolbox, second: Toolbox) -> None:
        self._boxes = (first, second)

    def functions(self) -> Sequence[Function]:
        first, second = (box.functions() for box in self._boxes)
        names = {function.name for function in first}
        return [*first, *(function for function in second if function.name not in names)]

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        for box in self._boxes:
            if any(each.name == function.name for each in box.functions()):
                return await box.call(function, arguments, context)
        return Invalid((f"there is no tool {function.name!r}",))


def globs_of(grants: Sequence[ToolGrant], functions: Sequence[Function], visited: Collection[str] = ()) -> list[str]:
    """The tools that were asked for, as an allow-list. Raises for a server that is not there.

    `visited` are the servers of the request's own that were reached for, whether they have any tools or not.
    """
    servers = sorted({function.tool.server for function in functions if function.tool is not None})
    return [glob for grant in grants for glob in _globs(grant, servers, visited)]


def _globs(grant: ToolGrant, servers: Sequence[str], visited: Collection[str]) -> Iterator[str]:
    if grant.url is not None and grant.server not in visited:
        raise UnsupportedField("a server of the request's own is not asked here", param="tools.server_url")
    if grant.url is None and grant.server not in servers:
        known = ", ".join(servers) or "none"
        raise BadRequest(f"no tool server {grant.server!r} has tools now; there are: {known}", param="tools")
    if grant.allowed is None:
        yield f"{grant.server}.*"
    else:
        yield from (f"{grant.server}.{name}" for name in grant.allowed)


def _wants_to_be_asked(approval: Json, tool: Tool) -> bool:
    """`always` (and nothing said), `never`, or which tools are which; those in neither are asked about."""
    if isinstance(approval, Mapping):
        return not _fits(approval.get("never"), tool) or _fits(approval.get("always"), tool)
    return bool(approval != "never")


def _fits(wanted: Any, tool: Tool) -> bool:
    if not isinstance(wanted, Mapping):
        return False
    names, read_only = wanted.get("tool_names"), wanted.get("read_only")
    fits = names is None or tool.name in names
    return (
        fits and (read_only is None or bool(read_only) == tool.read_only) and not (names is None and read_only is None)
    )
