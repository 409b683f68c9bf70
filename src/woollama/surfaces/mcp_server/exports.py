"""The tools of the tool servers as hosts see them: as their server described them, under names that hosts can take."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from woollama.domain.messages import Json
from woollama.domain.tools import Function, Tool, wire_name

NAME_LIMIT = 46
"""Hosts put a prefix of their own before a name, and models take 64 characters."""

Key = tuple[str, str]
"""(server, tool)"""


class Exports:
    """Names are given once and kept, and lead back to a tool by table, never by splitting.

    `reserved` are the names of our own tools, which no server's tool can take.
    """

    def __init__(
        self,
        functions: Callable[[], Sequence[Function]],
        exposes: Callable[[Tool], bool],
        *,
        reserved: Sequence[str] = (),
    ) -> None:
        self._functions = functions
        self._exposes = exposes
        self._reserved = frozenset(reserved)
        self._name_of: dict[Key, str] = {}
        self._key_of: dict[str, Key] = {}
        self._made_of: Sequence[Function] | None = None
        self._made: Mapping[str, Function] = {}

    def __repr__(self) -> str:
        return f"<Exports {len(self._name_of)} names given>"

    def current(self) -> Mapping[str, Function]:
        """Every exported tool by its name, in the order of the servers. Made once for each set of functions."""
        if (functions := self._functions()) is not self._made_of:
            self._made, self._made_of = self.named(functions), functions
        return self._made

    def named(self, functions: Sequence[Function]) -> Mapping[str, Function]:
        """Those of them that are exported, by their names."""
        return {
            self._name(function, function.tool): function
            for function in functions
            if function.tool is not None and self._exposes(function.tool)
        }

    def renew(self) -> None:
        """What is exposed may be another."""
        self._made_of = None

    def resolve(self, name: str) -> Function | None:
        return self.current().get(name)

    def qualified(self, name: str) -> str | None:
        """As which tool of which server a name was given, if it ever was, exported or not: `server.tool`."""
        key = self._key_of.get(name)
        return ".".join(key) if key else None

    def _name(self, function: Function, tool: Tool) -> str:
        key = (tool.server, tool.name)
        if key not in self._name_of:
            name = next(each for each in _candidates(function, tool) if self._free(each))
            self._name_of[key], self._key_of[name] = name, key
        return self._name_of[key]

    def _free(self, name: str) -> bool:
        return len(name) <= NAME_LIMIT and name not in self._reserved and name not in self._key_of


class Judged:
    """Whether what a tool's server says of it keeps to the protocol, found out once for each revision and tool."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Function, bool]] = {}

    def __repr__(self) -> str:
        return f"<Judged {len(self._known)}>"

    def is_sound(self, revision: str, name: str, function: Function, find_out: Callable[[], bool]) -> bool:
        known = self._known.get((revision, name))
        if known is None or known[0] is not function:
            known = self._known[revision, name] = (function, find_out())
        return known[1]


def definition(name: str, tool: Tool) -> dict[str, Json]:
    """MCP's Tool object as its server wrote it, but for the name, and for a schema that every host can read."""
    return {**tool.raw, "name": name, "inputSchema": {"type": "object", **tool.input_schema}}


def _candidates(function: Function, tool: Tool) -> Iterator[str]:
    yield function.name
    plain = wire_name(tool.server, tool.name, NAME_LIMIT)
    yield plain
    digest = hashlib.sha256(f"{len(tool.server)}:{tool.server}{tool.name}".encode()).hexdigest()
    for length in range(8, NAME_LIMIT - 1):
        yield f"{plain[: NAME_LIMIT - length - 1]}_{digest[:length]}"
