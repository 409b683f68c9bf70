"""Calls of the stateless era that ask a person.

There the server cannot ask. A call that needs an answer returns the question as its result and is parked; the host
comes back with the answer in a new request, finds the call by its state and goes on waiting for it. The state is
sealed and bound to tool and arguments by the SDK's boundary, so what comes back here is what was given out.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.server.session import ServerSession

from woollama.domain.messages import Answer, Ask, Json
from woollama.domain.ports import Asker
from woollama.surfaces.mcp_server.questions import PATIENCE_S, answer_of, elicitation

MOST_PARKED = 256

Tell = Callable[[float, float | None, str | None], Awaitable[None]]
Begin = Callable[[Asker | None, Tell], Coroutine[Any, Any, dict[str, Json]]]
"""Begins a call, given the host as somebody who can be asked (or not), and whom to tell of progress."""
Result = dict[str, Json] | types.InputRequiredResult


class ParkedCall:
    """A call from its first request to its result, over any number of requests. It is the asker of its tool."""

    def __init__(self, begin: Begin) -> None:
        self.id = secrets.token_urlsafe(16)
        self.round = 0
        self._open: dict[str, tuple[Ask, asyncio.Future[Answer]]] = {}
        self._asked = asyncio.Event()
        self._session: ServerSession | None = None
        self._task = asyncio.create_task(begin(self, self._tell))

    async def ask(self, ask: Ask) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[ask.id] = (ask, answer)
        self._note_open()
        try:
            return await answer
        finally:
            del self._open[ask.id]
            self._note_open()

    def answer(self, responses: types.InputResponses) -> None:
        """Questions without an answer stay open and are asked again."""
        for key, (ask, answer) in self._open.items():
            result = responses.get(key)
            if isinstance(result, types.ElicitResult) and not answer.done():
                answer.set_result(answer_of(ask, result))
        self._note_open()

    async def leg(self, session: ServerSession) -> Result:
        """One request: until the call has ended, or asks. A host that leaves meanwhile ends the call."""
        self._session = session
        asked = asyncio.create_task(self._asked.wait())
        try:
            await asyncio.wait({self._task, asked}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.end()
            raise
        finally:
            asked.cancel()
            self._session = None
        if self._task.done():
            return self._task.result()
        self.round += 1
        requests: types.InputRequests = {
            key: elicitation(ask) for key, (ask, answer) in self._open.items() if not answer.done()
        }
        return types.InputRequiredResult(
            input_requests=requests, request_state=json.dumps({"call": self.id, "round": self.round})
        )

    async def end(self) -> None:
        """Cancels what runs and waits until it has let go."""
        self._task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({self._task})

    def _note_open(self) -> None:
        """A question may have been answered, or be over, without the host."""
        if all(answer.done() for _, answer in self._open.values()):
            self._asked.clear()
        else:
            self._asked.set()

    async def _tell(self, progress: float, total: float | None, message: str | None) -> None:
        if self._session is not None:
            await self._session.report_progress(progress, total, message)


class ParkedCalls:
    """The calls that wait for their hosts to come back, for a while and not without bound."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._parked: dict[str, tuple[ParkedCall, asyncio.Task[None]]] = {}

    def __repr__(self) -> str:
        return f"<ParkedCalls {len(self._parked)}>"

    @property
    def full(self) -> bool:
        return len(self._parked) >= MOST_PARKED

    async def serve(
        self, ctx: ServerRequestContext[Any, Any], params: types.CallToolRequestParams, begin: Begin
    ) -> Result:
        """Answers a request: the first of a call, or one that comes back with answers. Raises `MCPError`."""
        if params.request_state is None:
            call = ParkedCall(begin)
        else:
            call = self._taken(params.request_state)
            call.answer(params.input_responses or {})
        result = await call.leg(ctx.session)
        if isinstance(result, types.InputRequiredResult):
            self._parked[call.id] = (call, asyncio.create_task(self._expire(call)))
        return result

    async def close(self) -> None:
        parked, self._parked = self._parked, {}
        for call, expiry in parked.values():
            expiry.cancel()
            await call.end()

    def _taken(self, state: str) -> ParkedCall:
        wanted = json.loads(state)
        call, expiry = self._parked.get(wanted["call"], (None, None))
        if call is None or expiry is None or call.round != wanted["round"]:
            raise MCPError(types.INVALID_PARAMS, "this call does not wait any more: make it again")
        del self._parked[call.id]
        expiry.cancel()
        return call

    async def _expire(self, call: ParkedCall) -> None:
        await asyncio.sleep(self._patience_s)
        self._parked.pop(call.id, None)
        await call.end()
