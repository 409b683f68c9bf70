"""Results of tools made smaller before a model sees them, and the tool that gives back what was left out.

Each new result goes once through the shrinker; what comes out is what is kept, so no later turn rewrites it. The
retrieve tool is offered from the first round on, because to add it later would change the prompt that a provider has
cached. Only refs that stand in this conversation are honoured, and what was retrieved is given as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from woollama.domain import retrieve_tool
from woollama.domain.messages import Item, Json, Message, ToolResult
from woollama.domain.ports import Shrinker, ShrinkLevel, Toolbox, ToolContext
from woollama.domain.tools import Function, Invalid, Returned, ToolOutcome

Block = Mapping[str, Json]
"""One of MCP's content blocks."""


class Compressed:
    def __init__(
        self, inner: Toolbox, shrinker: Shrinker, level: ShrinkLevel, items: Sequence[Item], recipe: str = ""
    ) -> None:
        """`items` are the turn's: its question decides what stays, and its results show which refs were given out."""
        self._inner = inner
        self._shrinker = shrinker
        self._level = level
        self._query = question_of(items)
        self._recipe = recipe
        self._refs = set(_refs_in(items, shrinker))
        self._hints: dict[str, Sequence[str]] = {}
        self._retrieves = level in ("auto", "aggressive") and shrinker.leaves_out and bool(inner.functions())

    def __repr__(self) -> str:
        return f"<Compressed {self._level}, {len(self._refs)} refs, {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        functions = self._inner.functions()
        return [*functions, retrieve_tool.FUNCTION] if self._retrieves else functions

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        if self._retrieves and function.name == retrieve_tool.WIRE_NAME:
            return await self._retrieved(arguments)
        outcome = await self._inner.call(function, arguments, context)
        if not isinstance(outcome, Returned):
            return outcome
        tool = function.tool.qualified if function.tool else function.name
        return await self._smaller(outcome, tool)

    async def _smaller(self, outcome: Returned, tool: str) -> Returned:
        blocks = outcome.content
        if not blocks and outcome.structured is not None:
            blocks = ({"type": "text", "text": json.dumps(outcome.structured, ensure_ascii=False)},)
        content: list[Block] = []
        for run in _runs(blocks):
            text = "\n".join(map(_text_of, run))
            shrunk = await self._shrunk(text, tool) if text else text
            content += run if shrunk == text else (_with_text(run[0], shrunk),)
        return outcome if content == list(blocks) else replace(outcome, content=tuple(content))

    async def _shrunk(self, text: str, tool: str) -> str:
        if tool not in self._hints:
            self._hints[tool] = self._shrinker.hints(tool)
        shrunk = await self._shrinker.shrink(
            text,
            level=self._level if self._retrieves or self._level == "off" else "lossless",
            query=self._query,
            tool=tool,
            recipe=self._recipe,
            hints=self._hints[tool],
        )
        self._refs.update(shrunk.refs)
        return shrunk.text

    async def _retrieved(self, arguments: Mapping[str, Json]) -> ToolOutcome:
        if arguments.get("ref") not in self._refs:
            known = ", ".join(sorted(self._refs)[:4]) or "none"
            return Invalid((f"no result of this conversation has the ref {arguments.get('ref')!r}; there is: {known}",))
        try:
            return Returned.of_text(await self._shrinker.retrieve(arguments, recipe=self._recipe))
        except (LookupError, ValueError) as problem:
            return Invalid((str(problem.args[0] if problem.args else problem),))


def question_of(items: Sequence[Item]) -> str:
    """What the person asked last."""
    asked = (item.text for item in reversed(items) if isinstance(item, Message) and item.role == "user" and item.text)
    return next(asked, "")


def _refs_in(items: Sequence[Item], shrinker: Shrinker) -> Iterable[str]:
    for item in items:
        if isinstance(item, ToolResult) and isinstance(item.outcome, Returned):
            for block in item.outcome.content:
                if ref := shrinker.ref_in(_text_of(block)):
                    yield ref


def _runs(blocks: Iterable[Block]) -> Iterator[tuple[Block, ...]]:
    """Texts side by side are one to the model, and so they are here: many servers put each record of a list into a
    block of its own. Where one of them is most of it, it stays a text that a path can lead into."""
    for are_texts, found in groupby(blocks, lambda block: block.get("type") == "text" and bool(_text_of(block))):
        run = tuple(found)
        sizes = [len(_text_of(block)) for block in run]
        if are_texts and 2 * max(sizes) <= sum(sizes):
            yield run
        else:
            yield from ((block,) for block in run)


def _text_of(block: Block) -> str:
    """The text of a block, or of the resource in it."""
    holder = block.get("resource") if block.get("type") == "resource" else block
    text = holder.get("text") if isinstance(holder, Mapping) else None
    return text if isinstance(text, str) else ""


def _with_text(block: Block, text: str) -> Block:
    if block.get("type") == "resource":
        return {**block, "resource": {**block["resource"], "text": text}}
    return {**block, "text": text}
