"""The port of those that keep conversations themselves."""

from __future__ import annotations

from typing import Protocol

from woollama.domain.turns import Target


class Sessions(Protocol):
    """Conversations that a backend keeps itself, each as a session that remembers what it was told.

    Asked with such a session in `Call.session`, the inferencer is told what is new and goes on; one that is not there
    any more raises `Gone`. `backend` is what handles call it.
    """

    backend: str
    forgets_calls: bool
    """Whether a session does not remember calls that its turn ended with: they are told again, with their results."""

    async def open(self, target: Target, system: str) -> str:
        """Begin a session of `target`, with those words for it; the session's name."""
        ...

    async def delete(self, session: str) -> None:
        """A session that is not there has been deleted."""
        ...
