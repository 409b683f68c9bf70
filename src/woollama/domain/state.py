"""What is remembered: handles by which clients name conversations, and responses that were given in them.

A handle is a name and a place, never a transcript: the bytes of what was said belong to a backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from woollama.domain.messages import Json

Raw = Mapping[str, Json]
"""An item of a transcript as the Responses dialect writes it, always with an `id`. Stores never look inside."""

HandleStatus = Literal["opening", "active", "dead"]
"""`opening`: its first turn has not ended, and takes it along if it fails. `dead`: its backend lost the transcript."""
ResponseStatus = Literal["queued", "in_progress", "requires_action", "completed", "incomplete", "failed", "cancelled"]
UNFINISHED: frozenset[ResponseStatus] = frozenset({"queued", "in_progress"})


@dataclass(frozen=True, slots=True)
class Handle:
    """A conversation, or (not `listed`) the chain of responses that nobody gave a name.

    `native_id` is the transcript's name at the backend, unset until there is one. `length` counts what was ever
    written to it: the position of the next item. Times are in seconds of the epoch.

    `token` is the name of the client token whose bearer made it; without one it is the owner's.
    """

    id: str
    backend: str
    listed: bool
    key: str | None = None
    native_id: str | None = None
    model: str | None = None
    title: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    status: HandleStatus = "active"
    length: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0
    token: str | None = None


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as it is remembered: its object without the output, and where in the transcript its items are.

    Its input is at `begins_at` up to `outputs_at`, its output from there to `ends_at`. Of one that failed or was
    cancelled nothing is in the transcript: what it had said stands in `body` itself. `handle` is unset when the
    conversation that it was to begin never came to be.
    """

    id: str
    model: str
    status: ResponseStatus
    handle: str | None = None
    parent: str | None = None
    backend: str = "store"
    background: bool = False
    cancelling: bool = False
    instance: str | None = None
    body: Mapping[str, Json] = field(default_factory=dict)
    begins_at: int = 0
    outputs_at: int = 0
    ends_at: int = 0
    created_at: float = 0.0
    token: str | None = None


def is_open_to(token: str | None, kept: Handle | StoredResponse) -> bool:
    """Whether the bearer of a token may know of what is kept: of what it made itself. The owner sees everything."""
    return token is None or kept.token == token


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted: at most `limit` behind the one whose id is `after`."""

    after: str | None = None
    limit: int = 20
    newest_first: bool = True
