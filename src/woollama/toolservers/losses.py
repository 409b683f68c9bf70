"""How a call can lose its server. Known to all parts, also to those that do not load the MCP SDK."""

from __future__ import annotations

UNSENT = "woollama: not sent"
BROKEN = "woollama: broken off"
"""Marks in the `data` of a JSON-RPC error that our transports make themselves."""


class ConnectionLost(Exception):
    """The server went away. `unsent`: the call never reached it, so that it may be made again."""

    def __init__(self, why: str, *, unsent: bool) -> None:
        super().__init__(why)
        self.unsent = unsent
