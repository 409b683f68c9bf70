"""Which tool call a piece of a streamed one belongs to, also where an upstream forgets to say.

A piece should carry the call's index, and its first piece an id and a name. Upstreams leave out the index, or give all
calls the index 0, or leave out the id, or repeat one id for all calls, or repeat id and name in every piece.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from woollama.domain.ids import new_id


@dataclass(slots=True)
class PlacedCall:
    """A call of one round: its place among them from 0, and what has been seen of it. `id` is unique in the round."""

    index: int
    id: str
    native_id: str | None
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.arguments)

    @property
    def whole(self) -> bool:
        """True when the arguments so far are a complete JSON object."""
        try:
            return isinstance(json.loads(self.text), dict)
        except (ValueError, RecursionError):
            return False


def arguments_text(arguments: Any) -> str:
    """The JSON text of arguments, also where an upstream sends the object itself."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.dumps(arguments, ensure_ascii=False)


class CallDeltas:
    """Sorts the pieces of one answer into calls."""

    def __init__(self) -> None:
        self.calls: list[PlacedCall] = []
        self._by_native_index: dict[int, PlacedCall] = {}

    def place(self, native_index: int | None, native_id: str | None, name: str | None, arguments: str) -> PlacedCall:
        """The call that the piece belongs to, with the piece added to it; a new one where the piece begins one."""
        call = self._by_native_index.get(native_index) if native_index is not None else self._of_unnumbered(native_id)
        if call is None or self._begins_another(call, native_index, native_id, name):
            call = self._open(native_id)
        if native_index is not None:
            self._by_native_index[native_index] = call
        call.name = call.name or name or ""
        if arguments:
            call.arguments.append(arguments)
        return call

    def _of_unnumbered(self, native_id: str | None) -> PlacedCall | None:
        if native_id:
            return next((call for call in self.calls if call.native_id == native_id), None)
        return self.calls[-1] if self.calls else None

    def _begins_another(
        self, call: PlacedCall, native_index: int | None, native_id: str | None, name: str | None
    ) -> bool:
        if not name or not call.name:
            return False
        if native_id and call.native_id and native_id != call.native_id:
            return True
        # A name that only repeats that of an unfinished call goes on with it.
        return name != call.name or (native_index is None and call.whole)

    def _open(self, native_id: str | None) -> PlacedCall:
        taken = {call.id for call in self.calls}
        own_id = native_id if native_id and native_id not in taken else new_id("call_")
        call = PlacedCall(len(self.calls), own_id, native_id or None)
        self.calls.append(call)
        return call
