"""Policies about tools, each a wrapper around a toolbox: what is allowed, what is sound to call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from woollama.core.arguments import problems_of
from woollama.domain.messages import Json
from woollama.domain.ports import Toolbox, ToolContext
from woollama.domain.tools import Denied, Example, Function, Invalid, ToolOutcome


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


class Validated:
    """Arguments that do not fit a tool's schema never reach it: the model is told what is wrong."""

    def __init__(self, inner: Toolbox) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return f"<Validated {self._inner!r}>"

    def functions(self) -> Sequence[Function]:
        return self._inner.functions()

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        if function.parameters and (problems := problems_of(arguments, function.parameters)):
            return Invalid(problems)
        return await self._inner.call(function, arguments, context)


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
