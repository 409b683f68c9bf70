"""Tool servers that a request brings along, for as long as it lasts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from woollama.domain.ports import Toolbox
from woollama.domain.tools import Tool
from woollama.domain.turns import ToolGrant


@dataclass(frozen=True, slots=True)
class Visited:
    """A server that a request has brought along: its tools, or why it has none."""

    server: str
    tools: Sequence[Tool]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    toolbox: Toolbox
    servers: Sequence[Visited]


class RemoteServers(Protocol):
    def visit(self, grants: Sequence[ToolGrant], taken: Collection[str]) -> AbstractAsyncContextManager[Visit]:
        """Connects to the servers of these grants, each with its `url`, and in the end leaves them.

        No function has a name of `taken`. Raises `RouterError` for one that is not allowed; one that does not answer
        is in the visit with its error.
        """
        ...
