"""Wrappers around a toolbox: what is allowed, what is sound to call, what runs at once.

What the owner's policy says, and who is asked, is in `approved`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from woollama.core.arguments import problems_of, ready
from woollama.domain.messages import Answer, Ask, Json
from woollama.domain.ports import Asker, Toolbox, ToolContext
from woollama.domain.tools import Denied, Example, Function, Invalid, TimedOut, ToolOutcome


class NoTools:
    """The empty toolbox."""

    def functions(self) -> Sequence[Function]:
        return ()

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        return Invalid((f"there is no tool {function.name!r}",))


class Filtered:
    """Only the tools that an allow-list of globs over `server.tool` names. Enforced at the call as well."""

    def __init__(self, inner: Toolbox, allow: Sequence[str]) -> None:
        self._inner = inner
        self._allow = tuple(allow)

    def __repr__(self) -> str:
        return f"<Filtered {list(self._allow)} of {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        return [function for function in self._inner.functions() if self._allows(function)]

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        if not self._allows(function):
            return Denied("the allow-list", f"{function.name} is not among the tools that may be used here.")
        return await self._inner.call(function, arguments, context)

    def _allows(self, function: Function) -> bool:
        tool = function.tool
        return tool is not None and any(fnmatchcase(tool.qualified, glob) for glob in self._allow)


class Scoped:
    """Calls only what the caller's own scope allows. Around everything that is called, whoever offers it."""

    def __init__(self, inner: Toolbox) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return f"<Scoped {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        return self._inner.functions()

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        scope = context.caller.scope
        if function.tool is not None and not scope.allows_tool([function.tool.qualified]):
            return Denied(f"the token {scope.token!r}", f"It may not use {function.tool.qualified}.")
        return await self._inner.call(function, arguments, context)


class Validated:
    """Arguments that do not fit a tool's schema never reach it: the model is told what is wrong."""

    def __init__(self, inner: Toolbox) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return f"<Validated {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        return self._inner.functions()

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        if function.renamed:
            arguments = {function.renamed.get(name, name): value for name, value in arguments.items()}
        if function.schema:
            await ready(function.schema)
            if problems := problems_of(arguments, function.schema):
                return Invalid(problems)
        return await self._inner.call(function, arguments, context)


class Paced:
    """At most `most` calls at once, none longer than `timeout_s`, and on one server one after the other but for those
    that are read-only. The time stands still while a tool waits for a person's answer to its question."""

    def __init__(self, inner: Toolbox, most: int, timeout_s: float) -> None:
        self._inner = inner
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(most)
        self._in_order: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def __repr__(self) -> str:
        return f"<Paced {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        return self._inner.functions()

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        tool = function.tool
        if tool is None or tool.read_only:
            return await self._timed(function, arguments, context)
        async with self._in_order[tool.server]:
            return await self._timed(function, arguments, context)

    async def _timed(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        async with self._places:
            try:
                async with asyncio.timeout(self._timeout_s) as limit:
                    asker = _Untimed(context.asker, limit) if context.asker else None
                    context = replace(context, timeout_s=self._timeout_s, asker=asker)
                    return await self._inner.call(function, arguments, context)
            except TimeoutError:
                return TimedOut(self._timeout_s)


class _Untimed:
    """Asks, and stops a clock meanwhile."""

    def __init__(self, asker: Asker, limit: asyncio.Timeout) -> None:
        self._asker = asker
        self._limit = limit
        self._asking = 0
        self._left_s = 0.0

    async def ask(self, ask: Ask) -> Answer | None:
        clock = asyncio.get_running_loop().time
        if not self._asking:
            self._left_s = (self._limit.when() or 0.0) - clock()
            self._limit.reschedule(None)
        self._asking += 1
        try:
            return await self._asker.ask(ask)
        finally:
            self._asking -= 1
            if not self._asking and not self._limit.expired():
                self._limit.reschedule(clock() + self._left_s)


class WithExamples:
    """Adds worked examples, by `server.tool`, for models that need to be shown how a tool is called."""

    def __init__(self, inner: Toolbox, examples: Mapping[str, Sequence[Example]]) -> None:
        self._inner = inner
        self._examples = examples

    def __repr__(self) -> str:
        return f"<WithExamples {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        return [self._shown(function) for function in self._inner.functions()]

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        return await self._inner.call(function, arguments, context)

    def _shown(self, function: Function) -> Function:
        shown = self._examples.get(function.tool.qualified, ()) if function.tool else ()
        return replace(function, examples=(*shown, *function.examples)) if shown else function
