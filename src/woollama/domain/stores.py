"""The ports of those that remember: who holds transcripts, and the database of handles and responses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from woollama.domain.messages import Json
from woollama.domain.state import Handle, Page, Raw, StoredResponse


class TranscriptStore(Protocol):
    """Holds what was said, item by item, in threads. Everything that fails in it is a `StoreUnreachable`.

    Positions count the items that were ever appended to a thread. A thread that is not there raises `Gone`. `name` says
    which store it is (`sql`, `mcp:notes`), also to a later process.
    """

    name: str

    def shares(self, tables: object) -> bool:
        """Whether what is written here takes part in a transaction of those tables."""
        ...

    async def create(self) -> str:
        """Begin a thread; its name."""
        ...

    async def read(self, thread: str, begin: int = 0, end: int | None = None) -> Sequence[Raw]: ...

    async def append(self, thread: str, at: int, items: Sequence[Raw]) -> None:
        """Write all of `items` or none, the first one at position `at`, which is the thread's length."""
        ...

    async def delete(self, thread: str) -> None:
        """A thread that is not there has been deleted."""
        ...


class EditableStore(TranscriptStore, Protocol):
    """A store that can do more than the least: find, page through and take out single items, and copy a beginning."""

    async def fork(self, thread: str, end: int) -> str: ...

    async def find(self, item_id: str, thread: str | None = None) -> Raw | None: ...

    async def known(self, thread: str, ids: Sequence[str]) -> Sequence[str]:
        """Which of these items are in the thread."""
        ...

    async def threads_of(self, item_id: str) -> Sequence[str]:
        """Where the item is: a copied beginning has its items, too."""
        ...

    async def page(self, thread: str, page: Page) -> Sequence[Raw]: ...

    async def remove(self, thread: str, item_id: str) -> bool: ...


class StateTables(Protocol):
    """The database of handles and responses. Everything that fails in it is a `StoreUnreachable`.

    Changes made inside `transaction` are all kept or none; a store that `shares` the database takes part.
    """

    def transaction(self) -> AbstractAsyncContextManager[object]: ...

    async def handle(self, handle_id: str) -> Handle | None: ...

    async def handle_of_key(self, key: str) -> Handle | None: ...

    async def handle_of_thread(self, native_id: str) -> Handle | None: ...

    async def add_handle(self, handle: Handle, held_by: str | None = None, for_s: float = 0.0) -> bool:
        """False when another handle has its key. `held_by` has the lock from the first instant."""
        ...

    async def change_handle(self, handle_id: str, *, freed_by: str | None = None, **fields: Json) -> bool:
        """`freed_by` gives back the lock with the same stroke, if it still has it."""
        ...

    async def remove_handle(self, handle_id: str) -> None:
        """And the responses in it."""
        ...

    async def drop_opening(self, handle_id: str) -> None:
        """Remove a handle whose first turn came to nothing; the responses in it stay, in no conversation."""
        ...

    async def handles(
        self, page: Page, *, key_prefix: str = "", backend: str | None = None, token: str | None = None
    ) -> Sequence[Handle]:
        """Those that are listed, and no longer opening, in the order of their making; of a token its own."""
        ...

    async def outdated(self, *, listed: bool, days: float) -> Sequence[Handle]:
        """Handles that nothing has happened to for so long."""
        ...

    async def lock(self, handle_id: str, instance: str, for_s: float) -> bool:
        """Take the handle for one writer; false while another one has it."""
        ...

    async def unlock(self, handle_id: str, instance: str) -> None: ...

    async def response(self, response_id: str) -> StoredResponse | None: ...

    async def add_response(self, response: StoredResponse) -> None: ...

    async def change_response(self, response_id: str, **fields: Json) -> bool: ...

    async def remove_response(self, response_id: str) -> bool: ...

    async def responses_in(self, handle_id: str) -> int: ...

    async def response_ending(self, handle_id: str, ends_at: int) -> StoredResponse | None:
        """The one in the handle that ends there."""
        ...

    async def forget_lost(self, days: float) -> int:
        """Remove the responses in no conversation that are so old; how many."""
        ...

    async def frames(self, response_id: str) -> bytes | None:
        """What a background response's stream said, as it was written with `change_response(frames=…)`."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other instances can be at the same database."""
        ...

    async def add_part(self, response_id: str, begins_at: int, ends_at: int, frames: bytes) -> None:
        """What a stream has said, from its frame `begins_at` on, while it goes on; ended ones have no parts."""
        ...

    async def parts(self, response_id: str, begin: int) -> Sequence[tuple[int, bytes]]:
        """The parts with what was said from frame `begin` on, each with the number of its first one."""
        ...

    async def beat(self, instance: str, place: str, lock_s: float) -> Sequence[str]:
        """Say that `instance` lives, and renew its locks; its responses that somebody wants cancelled."""
        ...

    async def end_dead(self, instance: str, place: str, silent_s: float, why: Json) -> int:
        """Fail what instances were doing that ended without a word: silent for so long, or formerly at `place`."""
        ...

    async def leave(self, instance: str) -> None: ...
