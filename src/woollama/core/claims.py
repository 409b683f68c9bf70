"""What a turn does to a conversation: it claims a place, reads what was said, and keeps what came of it.

Three moments. `claim`, while the client waits: what the request refers to is found or refused, and the response gets
its row. `begin`, in the run: the claim waits for its turn to write and reads the transcript. `keep` or `drop`, at the
end: items, usage and state are written at once, or nothing is. A turn that is not to be kept reads without waiting and
writes nothing.

Continuing from a response that is no longer the last of its chain forks: the new turn gets a chain of its own that
begins with a copy. A conversation that its first turn was to make is `opening` until that turn has ended well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from woollama.core.conversations import NATIVE, STORE, Conversations, is_editable
from woollama.core.unstored import Held
from woollama.core.writers import LOCK_S
from woollama.domain.errors import BadRequest, Conflict, RouterError, UnknownConversation, UnknownResponse
from woollama.domain.ids import new_id
from woollama.domain.messages import Json
from woollama.domain.state import UNFINISHED, Handle, Raw, ResponseStatus, StoredResponse, is_open_to
from woollama.domain.stores import TranscriptStore
from woollama.domain.turns import StateWish

PARENT_POLL_S = 0.2


class Claim:
    """A turn's place in a conversation. `kept` tells whether anything of it is written; `why_not` why that changed.

    `session` is the one that the turn goes on with, where the conversation's backend has sessions.
    """

    backend = STORE
    session: str | None = None

    def __init__(self, conversations: Conversations, wish: StateWish, row: StoredResponse, *, kept: bool) -> None:
        self._all = conversations
        self._tables = conversations.tables
        self._wish = wish
        self._row = row
        self.kept = kept
        self.why_not: str | None = None
        self.handle: Handle | None = None
        self.parent: StoredResponse | None = None
        self._entered = False
        self._held: str | None = None
        self._is_free = False
        """Whether the row of what is held was given back with what was written."""
        self._has_moved = False
        """Whether the row of the response names another handle than this turn goes on in."""
        self._fork_of: tuple[Handle, int] | None = None

    def __repr__(self) -> str:
        return f"<Claim of {self._row.id} on {self.handle.id if self.handle else 'nothing'}>"

    @property
    def conversation(self) -> str | None:
        """The conversation's id, if it is one that clients know."""
        return self.handle.id if self.handle is not None and self.handle.listed else None

    async def find(self) -> None:
        """What the wish refers to; raises for what is not there, cannot be continued, or does not agree."""
        wish = self._wish
        if wish.previous_response_id is not None:
            self._refuse_unstored(wish.previous_response_id)
            self.parent = await self._tables.response(wish.previous_response_id)
            if self.parent is None or not is_open_to(self._row.token, self.parent):
                raise nothing_to_continue(wish.previous_response_id)
            _refuse_unusable(self.parent)
        if wish.conversation is not None:
            self.handle = await self._all.conversation(wish.conversation, self._row.token)
            if self.parent is not None and (
                self.parent.handle != self.handle.id or self.parent.ends_at != self.handle.length
            ):
                raise not_the_last(self.parent, self.handle)
        elif self.parent is not None:
            self.handle = await self._tables.handle(self.parent.handle or "")
            if self.handle is None:  # deleted just now, or its first turn has failed just now
                raise nothing_to_continue(self.parent.id)
        elif wish.key is not None:
            self.handle = await self._tables.handle_of_key(wish.key)
            if self.handle is not None and not is_open_to(self._row.token, self.handle):
                raise Conflict(f"somebody else's conversation has the key {wish.key!r}", param="key")

    async def enter(self) -> None:
        """Write the response's row, and the handle's where there is none to attach to."""
        await self._all.presence.enter()
        self._entered = True
        try:
            async with self._tables.transaction():
                if self.handle is None:
                    self.handle = await self._new_handle(self._wish.key)
                self._row = replace(self._row, handle=self.handle.id)
                await self._tables.add_response(self._row)
        except BaseException:
            if self._held is not None:  # no row says so any more
                self._is_free = True
            await self.release()
            raise

    async def begin(self) -> Sequence[Raw]:
        """Wait until it is this turn's time to write, if it will; what was said before it."""
        if not self.kept:
            return await self._history()
        await self._take_turn()
        history = await self._history()
        await self._say_that_it_runs()
        return history

    async def keep(
        self,
        inputs: Sequence[Raw],
        outputs: Sequence[Raw],
        *,
        status: ResponseStatus,
        body: Mapping[str, Json],
        title: str | None,
        frames: bytes | None = None,
    ) -> None:
        """Write the turn. Raises `StoreUnreachable`, and then nothing of it is written."""
        handle = self._handle()
        items = [*inputs, *outputs]
        store = self._all.needed_store("a conversation") if handle.native_id is None else self._all.thread_of(handle)[0]
        async with self._all.together(store):
            thread, begins_at = await self._thread(handle, store)
            await store.append(thread, begins_at, items)
            outputs_at, ends_at = begins_at + len(inputs), begins_at + len(items)
            async with self._tables.transaction():
                await self._tables.change_handle(
                    handle.id,
                    native_id=self._all.native(store, thread),
                    model=self._row.model,
                    title=handle.title or title,
                    status="active",
                    length=ends_at,
                    updated_at=self._all.now(),
                    freed_by=self._all.instance,
                )
                await self._tables.change_response(
                    self._row.id,
                    status=status,
                    body=body,
                    begins_at=begins_at,
                    outputs_at=outputs_at,
                    ends_at=ends_at,
                    **given_frames(frames),
                )
        self._is_free = True

    async def drop(self, *, status: ResponseStatus, body: Mapping[str, Json], frames: bytes | None = None) -> None:
        """The turn failed or was cancelled: its response says so, and the transcript does not know of it."""
        async with self._tables.transaction():
            await self._tables.change_response(self._row.id, status=status, body=body, **given_frames(frames))
            if self.handle is not None:
                await self._tables.drop_opening(self.handle.id)

    @property
    def is_shared(self) -> bool:
        """Whether other instances can hear what this turn says, while it goes on."""
        return self.kept and self._tables.is_shared

    async def share(self, begins_at: int, frames: Sequence[bytes]) -> None:
        """Let other instances hear these frames of the turn's stream."""
        await self._tables.add_part(self._row.id, begins_at, begins_at + len(frames), b"".join(frames))

    async def lose(self) -> None:
        """The backend does not have the conversation any more."""
        await self._tables.change_handle(self._handle().id, status="dead")

    async def release(self) -> None:
        """The claim is over: let the next turn write."""
        if self._entered:
            self._entered = False
            self._all.presence.leave()
        await self._step_aside()

    async def _step_aside(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            if self._is_free:
                self._is_free = False
                self._all.writers.leave(held)
            else:
                await self._all.writers.release(held)

    def give_up(self, error: RouterError) -> None:
        """Nothing of this turn will be kept after all."""
        self.kept, self.why_not = False, f"not stored: {error.message}"

    def hold(
        self, inputs: Sequence[Raw], *, status: ResponseStatus, body: Mapping[str, Json], frames: bytes | None
    ) -> None:
        """Keep in memory what was given up at its end, for who asks for it by its id."""
        response = replace(self._row, handle=None, status=status, body=body)
        self._all.unstored.hold(Held(response, inputs, frames), self._row.handle)

    # --- the way to one's turn

    async def _take_turn(self) -> None:
        while self._held is None:  # a handle that this turn has made is held from its first instant
            handle = self._handle()
            await self._all.writers.acquire(handle.id)
            self._held = handle.id
            if self.parent is not None:
                self._refuse_unstored(self.parent.id)
            parent = self.parent and await self._tables.response(self.parent.id)
            if self.parent is not None and parent is None:
                raise UnknownResponse(f"{self.parent.id!r} was deleted meanwhile", param="previous_response_id")
            if parent is not None and parent.status in UNFINISHED:
                await self._step_aside()
                await asyncio.sleep(PARENT_POLL_S)  # it runs elsewhere, or has not taken its turn yet
                continue
            if parent is not None:
                _refuse_unusable(parent)
                self.parent = parent
            now = await self._tables.handle(handle.id)
            if now is None:  # its first turn failed, or somebody deleted it
                await self._step_aside()
                await self._make_anew()
                continue
            self.handle = now
            if parent is not None and parent.handle == now.id and parent.ends_at < now.length:
                await self._step_aside()
                await self._make_fork()

    async def _say_that_it_runs(self) -> None:
        """In the row of the response, and where; one in the foreground has said so from its beginning."""
        if self._has_moved or self._row.status == "queued":
            await self._tables.change_response(self._row.id, status="in_progress", handle=self._row.handle)

    async def _make_anew(self) -> None:
        wish = self._wish
        if wish.conversation is not None or self.parent is not None:
            raise UnknownConversation("the conversation was deleted meanwhile", param="conversation")
        async with self._tables.transaction():
            self.handle = (wish.key and await self._tables.handle_of_key(wish.key)) or await self._new_handle(wish.key)
        self._move()

    async def _make_fork(self) -> None:
        assert self.handle is not None
        assert self.parent is not None
        if self._wish.conversation is not None:
            raise not_the_last(self.parent, self.handle)
        self._fork_of = (self.handle, self.parent.ends_at)
        self.handle = await self._new_handle(None)
        self._move()

    def _move(self) -> None:
        self._row = replace(self._row, handle=self._handle().id)
        self._has_moved = True

    async def _new_handle(self, key: str | None) -> Handle:
        now = self._all.now()
        handle = Handle(
            new_id("conv_" if key else "chain_"),
            self.backend,
            listed=key is not None,
            key=key,
            model=self._row.model,
            status="opening",
            created_at=now,
            updated_at=now,
            token=self._row.token,
        )
        if await self._tables.add_handle(handle, self._all.instance, LOCK_S):
            self._held = handle.id
            await self._all.writers.hold_new(handle.id)
            return handle
        return await self._tables.handle_of_key(key or "") or handle  # another turn was faster

    # --- reading and writing

    async def _history(self) -> Sequence[Raw]:
        source, end = self._fork_of or (self.handle, self.handle.length if self.handle else 0)
        if not self.kept and self.parent is not None:
            end = (await self._finished(self.parent)).ends_at
        if source is None or source.native_id is None:
            return ()
        store, thread = self._all.thread_of(source)
        async with self._all.noting_loss(source):
            if is_editable(store) or not self.kept or self._fork_of is not None:
                return await store.read(thread, 0, end)
            # others may write there, too, and so has a turn of ours that was killed: it is gone on with where it ends
            items = await store.read(thread)
        self.handle = replace(source, length=len(items))
        return items

    async def _finished(self, parent: StoredResponse) -> StoredResponse:
        while parent.status in UNFINISHED:
            await asyncio.sleep(PARENT_POLL_S)
            self._refuse_unstored(parent.id)
            parent = await self._all.response(parent.id)
        _refuse_unusable(parent)
        return parent

    def _refuse_unstored(self, response_id: str) -> None:
        held = self._all.unstored.get(response_id)
        if held is not None and is_open_to(self._row.token, held.response):
            raise BadRequest(
                f"{response_id!r} could not be stored, so nothing can go on from it", param="previous_response_id"
            )

    async def _thread(self, handle: Handle, store: TranscriptStore) -> tuple[str, int]:
        """The thread to write to and the place in it; a fork's is a copy of the beginning that it shares."""
        if handle.native_id is not None:
            return self._all.thread_of(handle)[1], handle.length
        if self._fork_of is None:
            return await store.create(), 0
        source, end = self._fork_of
        original, thread = self._all.thread_of(source)
        if is_editable(original):
            return await original.fork(thread, end), end
        copy = await store.create()
        await store.append(copy, 0, await original.read(thread, 0, end))
        return copy, end

    def _handle(self) -> Handle:
        assert self.handle is not None, "a claim that is kept has a handle from `enter` on"
        return self.handle


def not_the_last(parent: StoredResponse, handle: Handle) -> BadRequest:
    return BadRequest(
        f"{parent.id!r} is not the last response of the conversation {handle.id!r}; name one",
        param="previous_response_id",
    )


def nothing_to_continue(response_id: str) -> UnknownResponse:
    return UnknownResponse(
        f"there is no response {response_id!r} to continue from",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def _refuse_unusable(parent: StoredResponse) -> None:
    if parent.backend == NATIVE:
        raise BadRequest(
            f"{parent.id!r} is kept by its upstream and can only be continued there", param="previous_response_id"
        )
    if parent.status in ("failed", "cancelled"):
        instead = f"; its predecessor is {parent.parent!r}" if parent.parent else ""
        raise BadRequest(
            f"{parent.id!r} is {parent.status} and cannot be continued{instead}", param="previous_response_id"
        )


def given_frames(frames: bytes | None) -> dict[str, Any]:
    return {} if frames is None else {"frames": frames}
