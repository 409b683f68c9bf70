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

    def __repr__(self) -> str:
        return f"<Exports {len(self._name_of)} names given>"

    def current(self) -> Mapping[str, Function]:
        """Every exported tool by its name, in the order of the servers."""
        return {
            self._name(function, function.tool): function
            for function in self._functions()
            if function.tool is not None and self._exposes(function.tool)
        }

    def resolve(self, name: str) -> Function | None:
        return self.current().get(name)

    def _name(self, function: Function, tool: Tool) -> str:
        key = (tool.server, tool.name)
        if key not in self._name_of:
            name = next(each for each in _candidates(function, tool) if self._free(each))
            self._name_of[key], self._key_of[name] = name, key
        return self._name_of[key]

    def _free(self, name: str) -> bool:
        return len(name) <= NAME_LIMIT and name not in self._reserved and name not in self._key_of


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
