"""The policy around a toolbox: what is denied is not there, and what needs a yes is asked about before it is called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from woollama.core.policy import Need, Rules
from woollama.core.recipes import Recipe
from woollama.domain.ids import new_id
from woollama.domain.messages import Ask, Json
from woollama.domain.ports import Toolbox, ToolContext
from woollama.domain.tools import Denied, Function, Paused, Tool, ToolOutcome, Unanswered
from woollama.domain.visible import visible

PREVIEW_CHARS = 2000


class Approved:
    """On every path the same: under a recipe, whose allow-list is a yes to all but what is to be confirmed, or none.

    The context's asker is asked. A call that a person has approved already is not asked about again.
    """

    def __init__(self, inner: Toolbox, policy: Rules, recipe: Recipe | None = None) -> None:
        self._inner = inner
        self._policy = policy
        self._recipe = recipe
        self._judged: Sequence[Function] = ()
        self._allowed: Sequence[Function] = ()

    def __repr__(self) -> str:
        return f"<Approved {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        """The same object as long as the toolbox inside gives the same one."""
        if (functions := self._inner.functions()) is not self._judged:
            self._judged = functions
            self._allowed = tuple(each for each in functions if each.tool is None or not self._policy.denies(each.tool))
        return self._allowed

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        if (tool := function.tool) is not None:
            if self._policy.denies(tool):
                return Denied("the owner of this machine", f"{tool.qualified} must not be used.")
            need = self._policy.need(tool, self._recipe)
            if need is not None and not context.approved:
                refusal = await self._refusal(need, tool, arguments, context)
                if refusal is not None:
                    return refusal
        return await self._inner.call(function, arguments, context)

    async def _refusal(
        self, need: Need, tool: Tool, arguments: Mapping[str, Json], context: ToolContext
    ) -> ToolOutcome | None:
        if context.asker is None:
            return Unanswered(f"nobody can be asked here{self._remedy(tool)}")
        ask = self._ask(need, tool, arguments, context)
        answer = await context.asker.ask(ask)
        if answer is None:
            return Paused(ask.id)
        if answer.missing:
            return Unanswered(answer.missing + self._remedy(tool))
        return None if answer.approved else Denied()

    def _ask(self, need: Need, tool: Tool, arguments: Mapping[str, Json], context: ToolContext) -> Ask:
        written = json.dumps(arguments, ensure_ascii=False)
        return Ask(
            id=new_id("ask_"),
            call_id=context.call_id,
            server=tool.server,
            tool=tool.name,
            arguments=written,
            preview=visible(f"{need.why} Call it with {_shortened(written)}?"),
            annotations=tool.annotations,
            pin=tool.pin,
            confirm_by=need.confirm_by,
            caller=context.caller.name,
            recipe=self._recipe.name if self._recipe else None,
            tool_digest=tool.digest,
            recipe_digest=self._recipe.digest if self._recipe else "",
        )

    def _remedy(self, tool: Tool) -> str:
        """What the owner can do where nobody has answered, and where a line of the configuration would."""
        if self._recipe is not None:
            return ""
        entry = f'"trusted": true in the entry {tool.server!r} of mcp.json'
        return f". The owner of this machine can answer with `woollama approvals`, or allow it for good: {entry}"


def _shortened(written: str) -> str:
    if len(written) <= PREVIEW_CHARS:
        return written
    return f"{written[:PREVIEW_CHARS]}… (and {len(written) - PREVIEW_CHARS} more characters)"
