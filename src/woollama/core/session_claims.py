"""What a turn does to a conversation whose backend keeps the transcript itself: a hosted session, a session of a CLI.

Nothing is read before the turn and nothing is copied after it: the session remembers. So it can only be gone on with at
its tip and by its own model. What a failed turn has said stays in it, for nobody can take that back; a session that its
first turn opened goes with that turn, if it fails.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from woollama.core.claims import Claim, given_frames
from woollama.core.conversations import STORE, session_in
from woollama.domain.errors import BadRequest, Gone, RouterError
from woollama.domain.messages import Json
from woollama.domain.sessions import Sessions
from woollama.domain.state import Handle, Raw, ResponseStatus
from woollama.domain.turns import Target

_CALLS = frozenset({"function_call", "mcp_call", "mcp_approval_request"})
_log = logging.getLogger("woollama.state")


class SessionClaim(Claim):
    """`system` is what the session is opened with, if this turn opens it."""

    def __init__(self, claim: Claim, sessions: Sessions, target: Target, system: str) -> None:
        super().__init__(claim._all, claim._wish, replace(claim._row, backend=sessions.backend), kept=claim.kept)
        self.handle, self.parent = claim.handle, claim.parent
        self.backend = sessions.backend
        self._sessions = sessions
        self._target = target
        self._system = system
        self._opened_here = False
        self._check(claim.handle)
        if not self.kept:
            raise BadRequest(
                f"{self.handle.id if self.handle else 'it'} is a session, which remembers all that it is told:"
                " `store: false` cannot be kept",
                param="store",
            )

    async def begin(self) -> Sequence[Raw]:
        if not self.kept:  # its handle could not be written: it is answered all the same, and remembered by nobody
            return ()
        await self._take_turn()
        handle = self._handle()
        open_calls: Sequence[Raw] = ()
        self._check(handle)
        if handle.status == "dead":
            raise Gone(f"{handle.id}: its session is lost", code="session_lost")
        if handle.native_id is None:
            self.session = await self._sessions.open(self._target, self._system)
            self._opened_here = True
            await self._tables.change_handle(
                handle.id,
                backend=self.backend,
                native_id=f"{self._target} {self.session}",
                model=self._row.model,
                status="active",
            )
        else:
            self.session = session_in(handle)[1]
            open_calls = await self._open_calls(handle) if self._sessions.forgets_calls else ()
        await self._say_that_it_runs()
        return open_calls

    async def _open_calls(self, handle: Handle) -> Sequence[Raw]:
        """The calls of the last response, if it ended with one that waits for its result or for a person."""
        last = await self._tables.response_ending(handle.id, handle.length)
        output: Sequence[Raw] = (last.body.get("output") if last is not None else None) or ()
        calls = [item for item in output if item["type"] in _CALLS]
        return calls if calls and output[-1] in calls else ()

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
        handle = self._handle()
        outputs_at = handle.length + len(inputs)
        ends_at = outputs_at + len(outputs)
        async with self._tables.transaction():
            await self._tables.change_handle(
                handle.id, title=handle.title or title, length=ends_at, updated_at=self._all.now()
            )
            await self._tables.change_response(
                self._row.id,
                status=status,
                body={**body, "output": list(outputs)},
                begins_at=handle.length,
                outputs_at=outputs_at,
                ends_at=ends_at,
                **given_frames(frames),
            )

    async def drop(self, *, status: ResponseStatus, body: Mapping[str, Json], frames: bytes | None = None) -> None:
        handle = self._handle()
        if self._opened_here and self.session is not None:
            try:
                await self._sessions.delete(self.session)
            except RouterError as error:
                _log.warning("the session %s of %s is left behind: %s", self.session, self._target, error.message)
            before = {"backend": STORE, "model": handle.model, "status": handle.status}
            await self._tables.change_handle(handle.id, native_id=None, **before)
        await super().drop(status=status, body=body, frames=frames)

    async def _make_fork(self) -> None:
        assert self.parent is not None
        raise BadRequest(
            f"{self.parent.id!r} is not the last response of its session, and {self.backend} cannot go back",
            param="previous_response_id",
        )

    def _check(self, handle: Handle | None) -> None:
        if handle is not None and handle.native_id is not None and session_in(handle)[0] != str(self._target):
            raise other_model(handle, self._row.model)


def other_model(handle: Handle, model: str) -> RouterError:
    own = session_in(handle)[0]
    return BadRequest(
        f"{handle.id} is a session of {own}, and nobody else can go on with it: begin another conversation for {model}",
        param="model",
    )
