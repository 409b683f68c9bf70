"""The shipped floor of the tool policy: what may change things needs somebody's yes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from woollama.domain.ids import new_id
from woollama.domain.messages import Ask, Json
from woollama.domain.ports import Toolbox, ToolContext
from woollama.domain.tools import Denied, Function, Tool, ToolOutcome


class AskFirst:
    """A tool that is not marked as read-only, of a server that is not `trusted`, is called only after a yes.

    For paths without a recipe, whose allow-list is a yes. The context's asker is asked; where nobody can be asked the
    call is denied, with the line of the configuration that would allow it.
    """

    def __init__(self, inner: Toolbox, trusted: Collection[str]) -> None:
        self._inner = inner
        self._trusted = frozenset(trusted)

    def __repr__(self) -> str:
        return f"<AskFirst {self._inner!r}, {len(self._trusted)} servers trusted>"

    def functions(self) -> Sequence[Function]:
        return self._inner.functions()

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        tool = function.tool
        if tool is not None and not tool.read_only and tool.server not in self._trusted:
            if context.asker is None:
                return Denied("woollama's policy", _what_allows(tool))
            answer = await context.asker.ask(_ask(tool, arguments, context))
            if not answer.approved:
                return Denied()
        return await self._inner.call(function, arguments, context)


def _ask(tool: Tool, arguments: Mapping[str, Json], context: ToolContext) -> Ask:
    written = json.dumps(arguments, ensure_ascii=False)
    preview = f"{tool.qualified} is not marked as read-only. Call it with {written}?"
    return Ask(new_id("ask_"), context.call_id, tool.server, tool.name, written, preview)


def _what_allows(tool: Tool) -> str:
    return (
        f"{tool.qualified} is not marked as read-only, and nobody can be asked here."
        f' The owner of this machine can allow it: "trusted": true in the entry {tool.server!r} of mcp.json.'
    )
