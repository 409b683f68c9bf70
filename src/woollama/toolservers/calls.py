"""The calls in flight on one connection, and whom to ask when a tool asks in the middle of one."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from woollama.domain.ids import new_id
from woollama.domain.messages import Answer, Ask, Json
from woollama.domain.ports import ToolContext
from woollama.domain.visible import visible

log = logging.getLogger(__name__)


class ToolCallInFlight:
    """One call: its time limit, which stands still while a person is asked, and its context."""

    def __init__(self, tool: str, arguments: Mapping[str, Json], context: ToolContext, timeout_s: float) -> None:
        self.tool = tool
        self.arguments = arguments
        self.context = context
        self.limit = anyio.move_on_after(timeout_s)
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
    must not be put to a guessed person.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._calls: set[ToolCallInFlight] = set()
        self._current: ContextVar[ToolCallInFlight | None] = ContextVar("current_call", default=None)

    @contextmanager
    def one(
        self, tool: str, arguments: Mapping[str, Json], context: ToolContext, timeout_s: float
    ) -> Iterator[ToolCallInFlight]:
        call = ToolCallInFlight(tool, arguments, context, timeout_s)
        self._calls.add(call)
        token = self._current.set(call)
        try:
            yield call
        finally:
            self._current.reset(token)
            self._calls.discard(call)

    async def elicit(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        """A server's question, as the callback of `Client`."""
        call = self._asked()
        asker = call.context.asker if call else None
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
        return _result(answer)

    def _asked(self) -> ToolCallInFlight | None:
        current = self._current.get()
        if current in self._calls:
            return current
        return next(iter(self._calls)) if len(self._calls) == 1 else None


def _result(answer: Answer | None) -> ElicitResult:
    if answer is None or answer.missing:
        return ElicitResult(action="cancel")
    if not answer.approved:
        return ElicitResult(action="decline")
    content: dict[str, Any] = dict(answer.content or {})
    return ElicitResult(action="accept", content=content)
