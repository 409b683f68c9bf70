"""Many tools behind two: above a budget of tokens a model is not shown every schema, but finds the tools it needs.

What is found is called through the toolbox inside, so that the allow-list, the owner's policy and the check of its
arguments are those of a direct call, and people are asked about the tool itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from woollama.core.estimates import schema_tokens
from woollama.core.ranking import ranked
from woollama.domain.find_tools import CALL, CALL_FUNCTION, FIND, MOST_FOUND, SERVER, find_function
from woollama.domain.messages import Json
from woollama.domain.ports import Toolbox, ToolContext
from woollama.domain.tools import Function, Invalid, Returned, ToolOutcome

SERVERS_SHOWN = 20


class FoundTools:
    """`hidden` are the tools that can be found. `always` are those that are shown in any case, by wire name or
    `server.tool`. Within `budget_tokens` everything is as it is without this wrapper."""

    def __init__(
        self,
        inner: Toolbox,
        budget_tokens: int,
        always: Collection[str] = (),
        why_not: Callable[[str], ToolOutcome | None] = lambda name: None,
    ) -> None:
        """`why_not` knows more of some tools that are not in `inner`."""
        self._inner = inner
        self._why_not = why_not
        functions = inner.functions()
        if not budget_tokens or schema_tokens(functions) <= budget_tokens:
            self.hidden: tuple[Function, ...] = ()
            self._shown = tuple(functions)
            return
        self.hidden = tuple(each for each in functions if not _is_one_of(each, always))
        shown = [each for each in functions if _is_one_of(each, always)]
        self._shown = (*shown, find_function(_description(self.hidden)), CALL_FUNCTION)

    def __repr__(self) -> str:
        return f"<FoundTools {len(self.hidden)} hidden, {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        return self._shown

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        if self.hidden and function.tool is not None and function.tool.server == SERVER:
            if function.name == FIND:
                return self._found(arguments)
            if function.name == CALL:
                return await self._called(arguments, context)
        return await self._inner.call(function, arguments, context)

    def _found(self, arguments: Mapping[str, Json]) -> ToolOutcome:
        query, limit = arguments.get("query"), arguments.get("limit", MOST_FOUND)
        if not isinstance(query, str) or not isinstance(limit, int) or limit < 1:
            return Invalid(("`query` must be a text, and `limit`, if it is there, a number from 1",))
        found = ranked(self.hidden, query)
        told = [
            {"name": each.name, "description": each.description, "parameters": each.parameters or {}}
            | ({"examples": [dict(example.arguments) for example in each.examples]} if each.examples else {})
            for each in found[:limit]
        ]
        if not told:
            return Returned.of_text(f"No tool fits these words. {_description(self.hidden)}")
        more = f"\n{len(found) - len(told)} more fit." if len(found) > len(told) else ""
        return Returned.of_text(json.dumps(told, ensure_ascii=False) + more)

    async def _called(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        name, given = arguments.get("name"), arguments.get("arguments", {})
        if isinstance(given, str):  # many models write an object inside an object as text
            with suppress(ValueError):
                given = json.loads(given)
        if not isinstance(given, dict):
            return Invalid(("`arguments` must be an object",))
        meant = next((each for each in self._inner.functions() if _is_one_of(each, (name,))), None)
        if meant is None:
            if (known := self._why_not(str(name))) is not None:
                return known
            return Invalid((f"there is no tool {name!r}; {FIND} finds those that are there",))
        return await self._inner.call(meant, given, context)


def _is_one_of(function: Function, names: Collection[object]) -> bool:
    return function.name in names or (function.tool is not None and function.tool.qualified in names)


def _description(hidden: Sequence[Function]) -> str:
    counts = Counter(each.tool.server for each in hidden if each.tool is not None)
    named = ", ".join(f"{server} ({count})" for server, count in counts.most_common(SERVERS_SHOWN))
    rest = f" and {len(counts) - SERVERS_SHOWN} more servers" if len(counts) > SERVERS_SHOWN else ""
    return (
        f"Find tools by what they do; {CALL} calls them. There are {len(hidden)} tools, of {named}{rest}. Returns the"
        " best fitting ones with their parameters. An empty query lists them."
    )
