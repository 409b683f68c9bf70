"""The calls in flight on one connection, and whom to ask and to tell when a server asks or tells in their middle."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import anyio
import mcp_types as types
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult
from pydantic import BaseModel, TypeAdapter, ValidationError

from woollama.domain.ids import new_id
from woollama.domain.messages import Answer, Ask, Json
from woollama.domain.peers import Host, HostSession, PeerError
from woollama.domain.ports import Sampler, ToolContext
from woollama.domain.turns import INTERNAL
from woollama.domain.visible import visible

log = logging.getLogger(__name__)

MOST_LINKS = 256


class ToolCallInFlight:
    """One call: its time limit, which stands still while a person is asked, and its context."""

    def __init__(self, tool: str, arguments: Mapping[str, Json], context: ToolContext, timeout_s: float) -> None:
        self.tool = tool
        self.arguments = arguments
        self.context = context
        self.limit = anyio.move_on_after(timeout_s)
        self.sampling: set[asyncio.Task[Mapping[str, Json]]] = set()
        """What it waits for a model to say; of no use to anybody once the call is over."""
        self._asking = 0
        self._left_s = timeout_s

    @contextmanager
    def clock_stopped(self) -> Iterator[None]:
        if not self._asking:
            self._left_s = self.limit.deadline - anyio.current_time()
            self.limit.deadline = math.inf
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self.limit.deadline = anyio.current_time() + self._left_s


class CallsInFlight:
    """Knows whose call a server's question belongs to, or that nobody can know it.

    Over HTTP, and in the modern era, a question arrives in the context of its call. A handshake-era pipe says nothing
    of the kind: there the question belongs to the only call in flight, and with several it is declined, because it
    must not be put to a guessed person. On a connection of one host's own all calls are that host's (`session`, which
    also hears what belongs to no call), or are one parked call's.
    """

    def __init__(
        self,
        server: str,
        *,
        is_own: bool = False,
        session: HostSession | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self._server = server
        self._is_own = is_own
        self._session = session
        self._sampler = sampler
        self._calls: dict[ToolCallInFlight, None] = {}  # in the order of their beginning
        self._links: dict[str, HostSession] = {}
        """Whom a link was shown to, by its id: that it was followed may be said when the call is over."""
        self._current: ContextVar[ToolCallInFlight | None] = ContextVar("current_call", default=None)

    @contextmanager
    def one(
        self, tool: str, arguments: Mapping[str, Json], context: ToolContext, timeout_s: float
    ) -> Iterator[ToolCallInFlight]:
        call = ToolCallInFlight(tool, arguments, context, timeout_s)
        self._calls[call] = None
        token = self._current.set(call)
        try:
            yield call
        finally:
            self._current.reset(token)
            del self._calls[call]
            for task in call.sampling:
                task.cancel()

    @property
    def host(self) -> Host | None:
        """The host whose request is being sent, in the task that sends it."""
        current = self._current.get()
        return current.context.host if current in self._calls else None

    @property
    def in_one(self) -> bool:
        """Whether what is being sent is somebody's request, in the task that sends it."""
        return self._current.get() in self._calls

    @contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """In this block the time of the call that it belongs to stands still."""
        call = self._current.get()
        with call.clock_stopped() if call is not None and call in self._calls else nullcontext():
            yield

    async def elicit(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult | types.ErrorData:
        """A server's question, as the callback of `Client`. A form is put to everybody who can answer for the call."""
        call = self._asked()
        asker = call.context.asker if call else None
        by_form = isinstance(params, types.ElicitRequestFormParams)
        if (asker is None or not by_form) and (call.context.host if call else self._session):
            if isinstance(params, types.ElicitRequestURLParams) and params.elicitation_id is not None:
                self._note_link(params.elicitation_id, call)
            shown = params.model_copy(update={"message": visible(f"{self._server}: {params.message}")})
            return await self._relayed("elicitation/create", shown, TypeAdapter(ElicitResult))
        if call is None or asker is None:
            log.info("%s asked a question that nobody can be asked: declined", self._server)
            return ElicitResult(action="decline")
        ask = Ask(
            id=new_id("ask_"),
            call_id=call.context.call_id,
            server=self._server,
            tool=call.tool,
            arguments=json.dumps(call.arguments, ensure_ascii=False),
            preview=visible(f"{self._server}: {params.message}"),
            question=params.model_dump(by_alias=True, mode="json", exclude_none=True),
            caller=call.context.caller.name,
        )
        try:
            with call.clock_stopped():
                answer = await asker.ask(ask)
        except Exception:
            log.exception("asking a question of %s failed", self._server)
            return ElicitResult(action="cancel")
        return _result(answer, params.requested_schema if isinstance(params, types.ElicitRequestFormParams) else {})

    def _note_link(self, link: str, call: ToolCallInFlight | None) -> None:
        session = call.context.host.session if call and call.context.host else self._session
        if session is not None:
            self._links[link] = session
            if len(self._links) > MOST_LINKS:
                del self._links[next(iter(self._links))]

    async def followed(self, link: str) -> None:
        """A server says that what was behind a link is done. Who was not shown it may know it from an error."""
        if (session := self._links.pop(link, self._session)) is not None:
            await session.followed(link)

    async def sample(
        self, context: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.CreateMessageResultWithTools | types.ErrorData:
        """By the host of the call where it can, else by a model that the owner has chosen for it."""
        call = self._asked()
        host = call.context.host if call else self._session
        if self._sampler is not None and (host is None or "sampling" not in host.capabilities):
            return await self._sampled(self._sampler, [call] if call else list(self._calls), params)
        with_tools = params.tools is not None or params.tool_choice is not None
        result = types.CreateMessageResultWithTools if with_tools else types.CreateMessageResult
        return await self._relayed("sampling/createMessage", params, TypeAdapter(result))

    async def _sampled(
        self, sampler: Sampler, calls: Sequence[ToolCallInFlight], params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        """`calls` are those that it can be for: with several, it is for somebody whom nobody needs to guess."""
        if not calls or len({call.context.caller.scope for call in calls}) > 1:
            log.info("%s asked for a model, and it cannot be told for which call: refused", self._server)
            return types.ErrorData(code=types.INVALID_REQUEST, message="it cannot be told for which call that is")
        deepest = max((call.context for call in calls), key=lambda context: context.caller.depth)
        context = deepest if len(calls) == 1 else ToolContext(replace(deepest.caller, name=INTERNAL.name))
        task = asyncio.create_task(sampler.sample(self._server, _wire(params), context, context.asker))
        with ExitStack() as stopped:
            for call in calls:
                stopped.enter_context(call.clock_stopped())
                call.sampling.add(task)
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
        try:
            return types.CreateMessageResult.model_validate(task.result(), by_name=False)
        except asyncio.CancelledError:
            return types.ErrorData(code=types.INVALID_REQUEST, message="the call that it was for is over")
        except PeerError as error:
            log.info("%s got no answer of a model: %s", self._server, error)
            return types.ErrorData(code=error.code, message=error.message, data=error.data)

    async def roots(self, context: ClientRequestContext) -> types.ListRootsResult | types.ErrorData:
        return await self._relayed("roots/list", None, TypeAdapter(types.ListRootsResult))

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        """A line of a server's log goes to the host whose call it belongs to, or to nobody."""
        call = self._asked()
        said = _wire(params)
        if call is not None and call.context.host is not None:
            await call.context.host.log(said)
        elif call is None and self._session is not None:
            await self._session.log(said)

    async def _relayed(self, method: str, params: BaseModel | None, result: TypeAdapter[Any]) -> Any | types.ErrorData:
        """What only the host can answer, and nobody else."""
        call = self._asked()
        host = call.context.host if call else self._session
        if host is None:
            log.info("%s asked for %s, which nobody can answer: refused", self._server, method)
            hint = ": sampling_recipe in [mcp] of woollama.toml is not set" if method.startswith("sampling/") else ""
            return types.ErrorData(code=types.INVALID_REQUEST, message=f"nobody can answer {method} here{hint}")
        try:
            if call is None:
                return result.validate_python(await host.ask(method, _wire(params)), by_name=False)
            with call.clock_stopped():
                return result.validate_python(await host.ask(method, _wire(params)), by_name=False)
        except PeerError as error:
            return types.ErrorData(code=error.code, message=error.message, data=error.data)
        except ValidationError:
            return types.ErrorData(code=types.INTERNAL_ERROR, message="the host's answer breaks the protocol")

    def _asked(self) -> ToolCallInFlight | None:
        current = self._current.get()
        if current in self._calls:
            return current
        if self._is_own and self._calls:
            return list(self._calls)[-1]  # the newest: all of them are of the same host
        return next(iter(self._calls)) if len(self._calls) == 1 else None


def _wire(params: BaseModel | None) -> dict[str, Json]:
    return params.model_dump(by_alias=True, mode="json", exclude_none=True) if params else {}


def _result(answer: Answer | None, schema: Mapping[str, Json]) -> ElicitResult:
    """What a person left out of a form that offers a default for it is that default."""
    if answer is None or answer.missing:
        return ElicitResult(action="cancel")
    if not answer.approved:
        return ElicitResult(action="decline")
    fields = schema.get("properties") or {}
    content: dict[str, Any] = {name: field["default"] for name, field in fields.items() if "default" in field}
    return ElicitResult(action="accept", content={**content, **(answer.content or {})})
