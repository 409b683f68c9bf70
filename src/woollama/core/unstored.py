"""Responses whose end could not be written: the disk was full, or the database away.

What they said is held in memory, bounded, for the client that asks for it by its id: one in the background has no other
way to its answer. Their rows, which still say that they run, are mended as soon as that can be done.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from woollama.domain.messages import Json
from woollama.domain.state import Raw, StoredResponse
from woollama.domain.stores import StateTables

MOST = 64
LOST: Json = {
    "code": "server_error",
    "message": "this response was answered and could not be stored",
    "at_fault": "router",
}


@dataclass(frozen=True, slots=True)
class Held:
    """`response` has its output in its body; `frames` are its stream's, of one in the background."""

    response: StoredResponse
    inputs: Sequence[Raw]
    frames: bytes | None


class Unstored:
    def __init__(self, tables: StateTables) -> None:
        self._tables = tables
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._owed: dict[str, tuple[StoredResponse, str | None]] = {}

    def __repr__(self) -> str:
        return f"<Unstored {len(self._held)} responses, {len(self._owed)} rows to mend>"

    def hold(self, held: Held, handle: str | None) -> None:
        """`handle` is the conversation that the row of the response names."""
        self._held[held.response.id] = held
        self._owed[held.response.id] = held.response, handle
        while len(self._held) > MOST:
            self._held.popitem(last=False)

    def get(self, response_id: str) -> Held | None:
        return self._held.get(response_id)

    def forget(self, response_id: str) -> None:
        self._held.pop(response_id, None)

    async def mend(self) -> None:
        """The rows say that these failed; a conversation that one of them was to begin is not made."""
        for response_id, (response, handle) in list(self._owed.items()):
            body = {**response.body, "status": "failed", "error": LOST, "output": []}
            async with self._tables.transaction():
                await self._tables.change_response(response_id, status="failed", body=body)
                if handle is not None:
                    await self._tables.drop_opening(handle)
            del self._owed[response_id]
