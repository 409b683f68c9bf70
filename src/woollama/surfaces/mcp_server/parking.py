"""Requests of the stateless era that ask their host.

There the server cannot ask. A call that needs an answer returns the question as its result and is parked; the host
comes back with the answer in a new request, finds the call by its state and goes on waiting for it. The state is
sealed and bound to tool and arguments by the SDK's boundary, so what comes back here is what was given out.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from pydantic import TypeAdapter, ValidationError

from woollama.domain.messages import Answer, Ask, Json
from woollama.domain.peers import PeerError
from woollama.surfaces.mcp_server.lines import Line, RequestLine, wire
from woollama.surfaces.mcp_server.questions import PATIENCE_S, answer_of, elicitation

MOST_PARKED = 256
GATHERING_S = 0.01
"""Questions that are asked at the same time are put to the host in one round."""

Begin = Callable[[Line], Coroutine[Any, Any, dict[str, Json]]]
"""Begins a call, given the way back to its host."""
Result = dict[str, Json] | types.InputRequiredResult
_INPUT = TypeAdapter[types.InputRequest](types.InputRequest)


class ParkedCall:
    """A call from its first request to its result, over any number of requests. It is the line to its host."""

    def __init__(self, begin: Begin) -> None:
        self.id = secrets.token_urlsafe(16)
        self.round = 0
        self._asked_so_far = 0
        self._open: dict[str, tuple[types.InputRequest, asyncio.Future[types.InputResponse]]] = {}
        self._asked = asyncio.Event()
        self._line: RequestLine | None = None
        self._task = asyncio.create_task(begin(self))

    async def ask(self, ask: Ask) -> Answer:
        result = await self._put(ask.id, elicitation(ask))
        assert isinstance(result, types.ElicitResult)
        return answer_of(ask, result)

    async def request(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        self._asked_so_far += 1
        try:
            request = _INPUT.validate_python({"method": method, "params": dict(params)}, by_name=False)
        except ValidationError as error:
            raise PeerError(types.INVALID_PARAMS, f"{method} cannot be put to the host") from error
        return wire(await self._put(f"ask_{self._asked_so_far}", request))

    async def tell(self, progress: float, total: float | None, message: str | None) -> None:
        if self._line is not None:
            await self._line.tell(progress, total, message)

    async def log(self, params: Mapping[str, Json]) -> None:
        if self._line is not None:
            await self._line.log(params)

    def answer(self, responses: types.InputResponses) -> None:
        """Questions without an answer stay open and are asked again."""
        for key, (request, answer) in self._open.items():
            result = responses.get(key)
            fits = result is not None and isinstance(result, _ANSWERS[request.method])
            if result is not None and fits and not answer.done():
                answer.set_result(result)
        self._note_open()

    async def leg(self, line: RequestLine) -> Result:
        """One request: until the call has ended, or asks. A host that leaves meanwhile ends the call."""
        self._line = line
        asked = asyncio.create_task(self._asked.wait())
        try:
            await asyncio.wait({self._task, asked}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({self._task}, timeout=GATHERING_S)
        except asyncio.CancelledError:
            await self.end()
            raise
        finally:
            asked.cancel()
            self._line = None
        if self._task.done():
            return self._task.result()
        self.round += 1
        requests: types.InputRequests = {
            key: request for key, (request, answer) in self._open.items() if not answer.done()
        }
        return types.InputRequiredResult(
            input_requests=requests, request_state=json.dumps({"call": self.id, "round": self.round})
        )

    async def end(self) -> None:
        """Cancels what runs and waits until it has let go."""
        self._task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({self._task})

    async def _put(self, key: str, request: types.InputRequest) -> types.InputResponse:
        answer: asyncio.Future[types.InputResponse] = asyncio.get_running_loop().create_future()
        self._open[key] = (request, answer)
        self._note_open()
        try:
            return await answer
        finally:
            del self._open[key]
            self._note_open()

    def _note_open(self) -> None:
        """A question may have been answered, or be over, without the host."""
        if all(answer.done() for _, answer in self._open.values()):
            self._asked.clear()
        else:
            self._asked.set()


_ANSWERS: Mapping[str, type[types.InputResponse] | tuple[type[types.InputResponse], ...]] = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": (types.CreateMessageResult, types.CreateMessageResultWithTools),
    "roots/list": types.ListRootsResult,
}


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

    async def serve(self, line: RequestLine, params: types.InputResponseRequestParams, begin: Begin) -> Result:
        """Answers a request: the first of a call, or one that comes back with answers. Raises `MCPError`."""
        wanted = json.loads(params.request_state) if params.request_state else {}
        if "call" not in wanted:
            if self.full:
                raise MCPError(
                    types.INTERNAL_ERROR, "too many calls wait for an answer of their hosts; try again later"
                )
            call = ParkedCall(begin)
        else:
            call = self._taken(wanted)
            call.answer(params.input_responses or {})
        result = await call.leg(line)
        if isinstance(result, types.InputRequiredResult):
            self._parked[call.id] = (call, asyncio.create_task(self._expire(call)))
        return result

    async def close(self) -> None:
        parked, self._parked = self._parked, {}
        for call, expiry in parked.values():
            expiry.cancel()
            await call.end()

    def _taken(self, wanted: Mapping[str, Json]) -> ParkedCall:
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
