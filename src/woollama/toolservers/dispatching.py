"""JSON-RPC with one tool server, below the SDK's session: whose an answer is, and who hears what nobody asked for.

The SDK's own dispatcher costs a call two channels, a task group and three turns of the event loop, and knows of what it
sends only that it went. Here whoever makes a request is woken by its answer, and a transport that reads the answer
itself, as HTTP does, does so in the task of the call: then a question that comes with it is that call's.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from anyio.abc import TaskStatus
from mcp import MCPError
from mcp.shared.dispatcher import (
    CallOptions,
    OnNotify,
    OnNotifyIntercept,
    OnRequest,
    ProgressFnT,
    as_request_id,
    coerce_request_id,
    run_notify_intercept,
)
from mcp.shared.transport_context import TransportContext
from pydantic import ValidationError

from woollama.domain.messages import Json
from woollama.toolservers.messages import Message

log = logging.getLogger(__name__)

Declare = Callable[[str, dict[str, Any]], None]
"""Changes the parameters of a request, given its method, into what this client declares of itself."""

SESSION_CLOSED = "Connection closed"
FAREWELL_S = 1.0


class Waiting:
    """Who waits for an answer, and hears what was told on the way to it before that."""

    __slots__ = ("_answer", "_hearing", "on_progress", "request_id")

    def __init__(self, request_id: types.RequestId, on_progress: ProgressFnT | None) -> None:
        self.request_id = request_id
        self.on_progress = on_progress
        self._hearing: set[asyncio.Task[None]] = set()
        self._answer: asyncio.Future[dict[str, Any] | types.ErrorData] = asyncio.get_running_loop().create_future()

    @property
    def is_answered(self) -> bool:
        return self._answer.done()

    def hears(self, task: asyncio.Task[None]) -> None:
        self._hearing.add(task)
        task.add_done_callback(self._hearing.discard)

    def answer(self, outcome: dict[str, Any] | types.ErrorData) -> None:
        if not self._answer.done():
            self._answer.set_result(outcome)

    async def answered(self) -> dict[str, Any]:
        outcome = await self._answer
        if self._hearing:
            await asyncio.wait(self._hearing)
        if isinstance(outcome, types.ErrorData):
            raise MCPError.from_error_data(outcome)
        return outcome


@dataclass(frozen=True, slots=True)
class Asked:
    """What a server asked or told, as the SDK's session wants to see it (`DispatchContext`)."""

    request_id: types.RequestId | None
    transport: TransportContext = field(default_factory=lambda: TransportContext(kind="", can_send_request=False))
    message_metadata: None = None
    can_send_request: bool = False
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise MCPError(types.INVALID_REQUEST, "nothing is asked back")

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Nothing is told back."""

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Nothing is told back."""


class Dispatching(ABC):
    """The SDK's `Dispatcher`, but for how messages go and come: that is a transport's."""

    def __init__(self, declare: Declare) -> None:
        self._declare = declare
        self._waiting: dict[types.RequestId, Waiting] = {}
        self._questions: dict[types.RequestId, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_id = 0
        self._closed = False

    @abstractmethod
    async def _send(self, message: Message, waiting: Waiting | None, opts: CallOptions) -> None:
        """`waiting` is whose request it is. Raises `MCPError` where that will not be answered."""

    @abstractmethod
    async def _receive(self) -> None:
        """Takes what comes unasked, until nothing will come any more."""

    @abstractmethod
    def _cancel(self, request_id: types.RequestId, why: str) -> None:
        """Tells the server that nobody waits any more."""

    def _end(self) -> None:  # noqa: B027 - most have nothing to do
        """Nothing is waited for any more."""

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        if self._closed:
            raise MCPError(types.CONNECTION_CLOSED, SESSION_CLOSED)
        opts = opts or {}
        request_id = self._id(opts.get("request_id"))
        said = dict(params or {})
        if (on_progress := opts.get("on_progress")) is not None:
            said["_meta"] = {**(said.get("_meta") or {}), "progressToken": request_id}
        self._declare(method, said)
        message: Message = {"jsonrpc": "2.0", "id": request_id, "method": method}
        if said:
            message["params"] = said
        key = coerce_request_id(request_id)
        waiting = self._waiting[key] = Waiting(request_id, on_progress)
        may_cancel = opts.get("cancel_on_abandon", True)
        try:
            async with asyncio.timeout(opts.get("timeout")):
                await self._send(message, waiting, opts)
                return await waiting.answered()
        except TimeoutError:
            if may_cancel:
                self._cancel(request_id, "timed out")
            raise MCPError(types.REQUEST_TIMEOUT, f"Request {method!r} timed out") from None
        except asyncio.CancelledError:
            if may_cancel and not self._closed:
                self._cancel(request_id, "the caller left")
            raise
        finally:
            del self._waiting[key]

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """What cannot be told is not told, as the protocol has it."""
        if self._closed:
            return
        message: Message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = dict(params)
        try:
            await self._send(message, None, opts or {})
        except MCPError as error:
            log.debug("%s was not sent: %s", method, error)

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        self._on_request, self._on_notify, self._intercept = on_request, on_notify, on_notify_intercept
        task_status.started()
        try:
            await self._receive()
        finally:
            self._closed = True
            self._end()
            for waiting in self._waiting.values():
                waiting.answer(types.ErrorData(code=types.CONNECTION_CLOSED, message=SESSION_CLOSED))
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait(self._tasks, timeout=FAREWELL_S)

    def take(self, message: Message, waiting: Waiting | None = None) -> None:
        """What has come. An answer that came with a request is `waiting`'s, whatever it says whose it is."""
        if "method" not in message:
            self._answered(message, waiting)
        elif "id" in message:
            self._asked(message["method"], message["id"], message.get("params"))
        else:
            self._told(message["method"], message.get("params"), waiting)

    def later(self, work: Coroutine[Any, Any, None], context: contextvars.Context | None = None) -> asyncio.Task[None]:
        """Does it in a task that ends with the connection at the latest."""
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _id(self, wanted: types.RequestId | None) -> types.RequestId:
        if wanted is not None:
            if coerce_request_id(wanted) in self._waiting:
                raise ValueError(f"request id {wanted!r} is already in flight")
            return wanted
        self._last_id += 1
        while self._last_id in self._waiting:
            self._last_id += 1
        return self._last_id

    def _answered(self, message: Message, waiting: Waiting | None) -> None:
        if waiting is None and (request_id := as_request_id(message.get("id"))) is not None:
            waiting = self._waiting.get(coerce_request_id(request_id))
        if waiting is None:
            log.debug("an answer that nobody waits for")
            return
        error = message.get("error")
        waiting.answer(message["result"] if error is None else types.ErrorData.model_construct(**error))

    def _told(self, method: str, params: dict[str, Any] | None, waiting: Waiting | None) -> None:
        if method == "notifications/cancelled":
            asked = as_request_id((params or {}).get("requestId"))
            if asked is not None and (question := self._questions.get(coerce_request_id(asked))) is not None:
                question.cancel()
        elif method == "notifications/progress":
            self._progressed(params or {})
        if not run_notify_intercept(self._intercept, method, params):
            hearing = self.later(self._tell(method, params))
            if waiting is not None and method == "notifications/message":
                waiting.hears(hearing)

    async def _tell(self, method: str, params: dict[str, Any] | None) -> None:
        try:
            await self._on_notify(Asked(None), method, params)
        except Exception:
            log.exception("hearing %s failed", method)

    def _progressed(self, said: Mapping[str, Json]) -> None:
        token, progress = as_request_id(said.get("progressToken")), _number(said.get("progress"))
        waiting = self._waiting.get(coerce_request_id(token)) if token is not None else None
        if waiting is not None and waiting.on_progress is not None and progress is not None:
            message = said.get("message")
            text = message if isinstance(message, str) else None
            showing = _shown(waiting.on_progress, progress, _number(said.get("total")), text)
            waiting.hears(self.later(showing))

    def _asked(self, method: str, request_id: types.RequestId, params: dict[str, Any] | None) -> None:
        key = coerce_request_id(request_id)
        task = self._questions[key] = self.later(self._answer(method, request_id, params))
        task.add_done_callback(lambda done: self._questions.pop(key) if self._questions.get(key) is done else None)

    async def _answer(self, method: str, request_id: types.RequestId, params: dict[str, Any] | None) -> None:
        answer: Message = {"jsonrpc": "2.0", "id": request_id}
        try:
            answer["result"] = await self._on_request(Asked(request_id), method, params)
        except MCPError as error:
            answer["error"] = error.error.model_dump(mode="json", exclude_none=True)
        except ValidationError:
            answer["error"] = {"code": types.INVALID_PARAMS, "message": "Invalid request parameters"}
        except Exception:
            log.exception("answering %s failed", method)
            answer["error"] = {"code": types.INTERNAL_ERROR, "message": "it cannot be answered"}
        try:
            await self._send(answer, None, {})
        except MCPError as error:
            log.debug("the answer to %s was not sent: %s", method, error)


def cancelled(request_id: types.RequestId, why: str) -> Message:
    said = {"requestId": request_id, "reason": why}
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": said}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


async def _shown(tell: ProgressFnT, progress: float, total: float | None, message: str | None) -> None:
    try:
        await tell(progress, total, message)
    except Exception:
        log.exception("showing progress failed")
