"""The registry of names: each tool has one wire name for as long as we run, and a name leads back to one tool."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from woollama.domain.tools import WIRE_NAME_LIMIT, Tool, wire_name

Key = tuple[str, str]
"""(server, tool)"""


class WireNames:
    """Gives names and keeps them: a name in a running conversation must not change hands when a server restarts."""

    def __init__(self, taken: Collection[str] = ()) -> None:
        """`taken` are names that are somebody else's."""
        self._taken = frozenset(taken)
        self._name_of: dict[Key, str] = {}
        self._key_of: dict[str, Key] = {}
        self._spellings: dict[str, set[Key]] = {}

    def name(self, tool: Tool, prefix: str) -> str:
        key = (tool.server, tool.name)
        if key not in self._name_of:
            name = next(
                name for name in _candidates(tool, prefix) if name not in self._key_of and name not in self._taken
            )
            self._name_of[key], self._key_of[name] = name, key
            for spelling in (
                tool.qualified,
                f"{tool.server}__{tool.name}",
                f"mcp__{tool.server}__{tool.name}",
                f"mcp__{name}",
            ):
                self._spellings.setdefault(spelling, set()).add(key)
        return self._name_of[key]

    def resolve(self, name: str) -> Key | None:
        """By table and never by splitting. A spelling that could mean two tools means none."""
        if name in self._key_of:
            return self._key_of[name]
        keys = self._spellings.get(name, ())
        return next(iter(keys)) if len(keys) == 1 else None


def _candidates(tool: Tool, prefix: str) -> Iterable[str]:
    yield wire_name(prefix, tool.name)
    plain = wire_name(tool.server, tool.name)
    yield plain
    # Only where somebody else's plain name looks like ours: told apart by the whole digest, piece by piece.
    digest = hashlib.sha256(f"{len(tool.server)}:{tool.server}{tool.name}".encode()).hexdigest()
    for length in range(8, len(digest)):
        yield f"{plain[: WIRE_NAME_LIMIT - length - 1]}_{digest[:length]}"
