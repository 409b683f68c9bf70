"""Handles: what clients call a conversation, and where its bytes are.

woollama routes handles and backends own state. This module finds a handle by id, by a response in it or by key, knows
which store has its transcript, and lets one writer at a time change it. What a turn does to a handle is in `claims`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeGuard

from woollama.core.presence import Presence
from woollama.core.unstored import Unstored
from woollama.core.writers import Writers
from woollama.domain.errors import (
    BadRequest,
    Conflict,
    ConversationBusy,
    Gone,
    NoStateOwner,
    RouterError,
    StoreUnreachable,
    UnknownConversation,
    UnknownResponse,
)
from woollama.domain.ids import new_id
from woollama.domain.messages import Json
from woollama.domain.sessions import Sessions
from woollama.domain.state import UNFINISHED, Handle, Page, Raw, StoredResponse, is_open_to
from woollama.domain.stores import EditableStore, StateTables, TranscriptStore

_log = logging.getLogger("woollama.state")
STORE = "store"
"""The backend of models that keep nothing themselves."""
NATIVE = "native"
"""The backend of responses that their upstream keeps."""
BUSY_AFTER_S = 10.0
"""How long a change that is no turn waits for a turn to end."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A stored response with its items."""

    response: StoredResponse
    inputs: Sequence[Raw]
    outputs: Sequence[Raw]


class Conversations:
    """`store` is unset where none is configured, and then nobody keeps a state: `how_to_keep` says what would."""

    def __init__(
        self,
        tables: StateTables,
        store: TranscriptStore | None,
        *,
        instance: str,
        place: str,
        how_to_keep: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.tables = tables
        self.store = store
        self.sessions: Mapping[str, Sessions] = {}
        """Of those inferencers that keep their conversations themselves, by name."""
        self.instance = instance
        self.writers = Writers(tables, instance)
        self.unstored = Unstored(tables)
        self.presence = Presence(tables, instance, place, self.unstored.mend)
        self.now = now
        self._how_to_keep = how_to_keep

    def __repr__(self) -> str:
        return f"<Conversations in {self.tables!r}, transcripts in {self.store!r}>"

    # --- handles

    async def create(
        self,
        *,
        metadata: Mapping[str, Json],
        items: Sequence[Raw] = (),
        key: str | None = None,
        title: str | None = None,
        token: str | None = None,
    ) -> Handle:
        """A listed conversation. Raises `Conflict` where another one has its key."""
        store = self.needed_store("a conversation")
        now = self.now()
        handle = Handle(
            new_id("conv_"),
            STORE,
            True,
            key,
            title=title,
            metadata=metadata,
            created_at=now,
            updated_at=now,
            token=token,
        )
        thread = await store.create() if items else None
        if thread is not None:
            handle = replace(handle, native_id=self.native(store, thread), length=len(items))
        async with self.together(store):
            if thread is not None:
                await store.append(thread, 0, items)
            if await self.tables.add_handle(handle):
                return handle
        if thread is not None:
            await store.delete(thread)
        taken = await self.tables.handle_of_key(key or "")
        raise Conflict(f"the conversation {taken.id if taken else ''} has the key {key!r}", param="key")

    async def conversation(self, handle_id: str, token: str | None = None) -> Handle:
        """The conversation, if there is one that the bearer of `token` may know of."""
        handle = await self.tables.handle(handle_id)
        if handle is None or not is_open_to(token, handle):
            raise _unknown(handle_id)
        return handle

    async def check_owner(self, handle_id: str, token: str | None) -> None:
        """Raises `UnknownConversation` for one of somebody else's; what is not there is nobody's."""
        handle = None if token is None else await self.tables.handle(handle_id)
        if handle is not None and not is_open_to(token, handle):
            raise _unknown(handle_id)

    async def listing(
        self, page: Page, *, key_prefix: str, backend: str | None, token: str | None = None
    ) -> Sequence[Handle]:
        if page.after is not None:
            await self.conversation(page.after, token)
        return await self.tables.handles(page, key_prefix=key_prefix, backend=backend, token=token)

    async def update(self, handle_id: str, **changes: Json) -> Handle:
        await self.conversation(handle_id)
        await self.tables.change_handle(handle_id, **changes, updated_at=self.now())
        return await self.conversation(handle_id)

    async def delete(self, handle_id: str, token: str | None = None) -> None:
        """The transcript first: if its backend cannot be reached the handle stays.

        One that is not there has been deleted, and so has one that the bearer of `token` may not know of.
        """
        handle = await self.tables.handle(handle_id)
        if handle is None or not is_open_to(token, handle):
            return
        async with self.writing(handle_id):
            if (handle := await self.tables.handle(handle_id)) is None:
                return
            there = handle.native_id is not None and handle.status != "dead"
            if handle.native_id is not None and handle.backend != STORE:
                try:
                    await self._sessions_of(handle).delete(session_in(handle)[1])
                except RouterError:
                    if there:  # what is left of a lost one is nobody's loss
                        raise
            async with self.together(self.store):
                if there and handle.backend == STORE:
                    store, thread = self.thread_of(handle)
                    await store.delete(thread)
                await self.tables.remove_handle(handle_id)

    # --- items

    async def items(self, handle_id: str, page: Page) -> Sequence[Raw]:
        handle = await self.conversation(handle_id)
        if handle.native_id is None:
            return ()
        store, thread = self.thread_of(handle)
        async with self.noting_loss(handle):
            if not is_editable(store):
                return _part(await store.read(thread), page)
            if page.after is not None:
                await self.item(handle_id, page.after)
            return await store.page(thread, page)

    async def item(self, handle_id: str, item_id: str) -> Raw:
        handle = await self.conversation(handle_id)
        if handle.native_id is not None:
            store, thread = self.thread_of(handle)
            if is_editable(store):
                found = await store.find(item_id, thread)
            else:
                found = next((each for each in await store.read(thread) if each["id"] == item_id), None)
            if found is not None:
                return found
        message = f"the conversation {handle_id!r} has no item {item_id!r}"
        raise UnknownConversation(message, param="item_id", code="item_not_found")

    async def add_items(self, handle_id: str, items: Sequence[Raw]) -> None:
        async with self.writing(handle_id):
            handle = await self.conversation(handle_id)
            store, thread = await self.opened(handle)
            if handle.native_id is not None:
                await _refuse_known(store, thread, [str(item["id"]) for item in items])
            async with self.together(store):
                await store.append(thread, handle.length, items)
                await self.tables.change_handle(
                    handle_id,
                    native_id=self.native(store, thread),
                    length=handle.length + len(items),
                    updated_at=self.now(),
                )

    async def remove_item(self, handle_id: str, item_id: str) -> Handle:
        async with self.writing(handle_id):
            handle = await self.conversation(handle_id)
            await self.item(handle_id, item_id)
            store, thread = self.thread_of(handle)
            if not is_editable(store):
                raise NoStateOwner(f"the store {store.name!r} cannot take out single items", param="item_id")
            await store.remove(thread, item_id)
            await self.tables.change_handle(handle_id, updated_at=self.now())
        return handle

    async def find_item(self, item_id: str, token: str | None = None) -> Raw | None:
        """An item of any transcript that the bearer of `token` may know of.

        Raises `NoStateOwner` where the store cannot look for one.
        """
        store = self.needed_store(f"the item {item_id!r}")
        if not is_editable(store):
            raise NoStateOwner(f"the store {store.name!r} cannot look up single items; send the item itself")
        if token is None:
            return await store.find(item_id)
        for thread in await store.threads_of(item_id):
            handle = await self.tables.handle_of_thread(self.native(store, thread))
            if handle is not None and is_open_to(token, handle):
                return await store.find(item_id, thread)
        return None

    # --- responses

    async def response(self, response_id: str) -> StoredResponse:
        if (held := self.unstored.get(response_id)) is not None:
            return held.response
        response = await self.tables.response(response_id)
        if response is None:
            raise UnknownResponse(f"there is no response {response_id!r}", param="response_id")
        if response.status in UNFINISHED and response.instance != self.instance:
            await self.presence.look_around()
            response = await self.tables.response(response_id) or response
        return response

    async def transcript(self, response_id: str) -> Transcript:
        response = await self.response(response_id)
        handle = await self.tables.handle(response.handle) if response.handle else None
        if handle is None or handle.native_id is None or response.begins_at == response.ends_at:
            return Transcript(response, (), ())
        if handle.backend != STORE:  # the response has its output itself
            return Transcript(response, (), ())
        store, thread = self.thread_of(handle)
        async with self.noting_loss(handle):
            inputs = await store.read(thread, response.begins_at, response.outputs_at)
            outputs = await store.read(thread, response.outputs_at, response.ends_at)
        return Transcript(response, inputs, outputs)

    async def inputs(self, response_id: str) -> Sequence[Raw]:
        """What a response was asked with. Raises `NoStateOwner` where its backend does not show it."""
        if (held := self.unstored.get(response_id)) is not None:
            return held.inputs
        response = await self.response(response_id)
        if response.backend != STORE:
            raise NoStateOwner(f"what {response_id!r} was asked is kept by {response.backend}, which does not show it")
        return (await self.transcript(response_id)).inputs

    async def frames(self, response_id: str) -> bytes | None:
        """What the stream of a response in the background has said, once that has ended."""
        held = self.unstored.get(response_id)
        return held.frames if held is not None else await self.tables.frames(response_id)

    async def delete_response(self, response_id: str) -> None:
        """A chain that has no response left goes with its last one; a conversation stays."""
        response = await self.response(response_id)
        await self.tables.remove_response(response_id)
        self.unstored.forget(response_id)
        handle = await self.tables.handle(response.handle) if response.handle else None
        if handle is not None and not handle.listed and not await self.tables.responses_in(handle.id):
            await self.delete(handle.id)

    async def forget(self, chain_days: float, conversation_days: float) -> int:
        """Delete what nothing has happened to for so long, 0 being for ever; how many handles.

        One whose transcript cannot be deleted now is left for the next time.
        """
        count = 0
        for listed, days in ((False, chain_days), (True, conversation_days)):
            for handle in await self.tables.outdated(listed=listed, days=days) if days else ():
                try:
                    await self.delete(handle.id)
                    count += 1
                except RouterError as error:
                    _log.warning("%s cannot be forgotten: %s", handle.id, error.message)
        if chain_days:
            await self.tables.forget_lost(chain_days)
        return count

    # --- for claims

    def needed_store(self, what: str, param: str | None = None) -> TranscriptStore:
        if self.store is None:
            raise NoStateOwner(f"nobody keeps {what} here. {self._how_to_keep}", param=param)
        return self.store

    def thread_of(self, handle: Handle) -> tuple[TranscriptStore, str]:
        """Where the handle's transcript is. Raises `StoreUnreachable` where that is not the configured store, and
        `NoStateOwner` where its backend shows it to nobody."""
        if handle.backend != STORE:
            raise NoStateOwner(f"{handle.id} is kept by {handle.backend}, which does not show single items")
        name, _, thread = (handle.native_id or "").partition(" ")
        if self.store is None or self.store.name != name:
            raise StoreUnreachable(
                f"the transcript of {handle.id} is in the store {name!r}, and `conversationStore` names"
                f" {self.store.name if self.store else 'none'!r} now"
            )
        return self.store, thread

    async def opened(self, handle: Handle) -> tuple[TranscriptStore, str]:
        """The handle's thread, made if there is none yet. Who made it notes it in the handle."""
        if handle.native_id is not None:
            return self.thread_of(handle)
        store = self.needed_store("a conversation")
        return store, await store.create()

    def together(self, store: TranscriptStore | None) -> AbstractAsyncContextManager[object]:
        """What is written to `store` and to the tables inside is written at once, where the two are one database."""
        return self.tables.transaction() if store is not None and store.shares(self.tables) else nullcontext()

    @asynccontextmanager
    async def writing(self, handle_id: str) -> AsyncIterator[None]:
        """Change a handle when no turn is writing to it. Raises `ConversationBusy` when one goes on for too long."""
        if not await self.writers.acquire(handle_id, BUSY_AFTER_S):
            raise ConversationBusy(f"a turn of {handle_id!r} is still running; cancel it or wait for its end")
        try:
            yield
        finally:
            await self.writers.release(handle_id)

    @asynccontextmanager
    async def noting_loss(self, handle: Handle) -> AsyncIterator[None]:
        """A handle whose backend lost the transcript is dead, not empty, from the first time that this is seen."""
        try:
            yield
        except Gone:
            await self.tables.change_handle(handle.id, status="dead")
            raise

    def _sessions_of(self, handle: Handle) -> Sessions:
        target, _ = session_in(handle)
        if (sessions := self.sessions.get(target.partition("/")[0])) is None:
            raise StoreUnreachable(f"{handle.id} is a session of {target}, which is not configured any more")
        return sessions

    @staticmethod
    def native(store: TranscriptStore, thread: str) -> str:
        return f"{store.name} {thread}"


def _unknown(handle_id: str) -> UnknownConversation:
    return UnknownConversation(f"there is no conversation {handle_id!r}", param="conversation")


async def _refuse_known(store: TranscriptStore, thread: str, ids: Sequence[str]) -> None:
    """Raises `BadRequest` for an item that is there already: an id that stands there twice is none."""
    if is_editable(store):
        known = set(await store.known(thread, ids))
    else:
        known = {str(item["id"]) for item in await store.read(thread)}
    for index, item_id in enumerate(ids):
        if item_id in known:
            raise BadRequest(f"the conversation has an item {item_id!r} already", param=f"items[{index}].id")


def session_in(handle: Handle) -> tuple[str, str]:
    """The target that the handle's session belongs to, and the session's own name."""
    target, _, session = (handle.native_id or "").rpartition(" ")
    return target, session


def is_editable(store: TranscriptStore | None) -> TypeGuard[EditableStore]:
    return hasattr(store, "find")


def _part(items: Sequence[Raw], page: Page) -> Sequence[Raw]:
    """A page of a transcript that its store can only read whole."""
    ordered = list(reversed(items)) if page.newest_first else list(items)
    if page.after is not None:
        places = [number for number, item in enumerate(ordered) if item["id"] == page.after]
        ordered = ordered[places[0] + 1 :] if places else []
    return ordered[: page.limit]
