"""Tool calls as output items: functions and custom tools that the client runs, and the calls that we run ourselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from woollama.domain.events import CallOpened
from woollama.domain.messages import Json
from woollama.domain.tools import (
    Cancelled,
    Denied,
    Invalid,
    Offline,
    Paused,
    Returned,
    TimedOut,
    ToolOutcome,
    Unanswered,
    images_of,
)
from woollama.surfaces.openai_responses.custom import OneText, input_of
from woollama.surfaces.openai_responses.output import OutputItem, Status
from woollama.surfaces.openai_responses.parts import Wire
from woollama.surfaces.openai_responses.tools import OUR_LABEL, SHOWN, ClientTool

_SERVER_ERROR, _BAD_PARAMS, _TIMED_OUT = -32000, -32602, -32001


class CallItem(OutputItem):
    """A call whose arguments come in pieces. `family` is the first half of the names of its events."""

    family: str

    def __init__(self, id: str, index: int, opened: CallOpened) -> None:  # noqa: A002
        super().__init__(id, index)
        self._opened = opened
        self._arguments: list[str] = []
        self._argued = False

    def argue(self, text: str) -> Iterator[Wire]:
        if text and not self._argued:
            self._arguments.append(text)
            yield self._event(f"{self.family}.delta", delta=text)

    def end_arguments(self, arguments: str | None = None) -> Iterator[Wire]:
        """The arguments are complete: `arguments`, or what has come."""
        if self._argued:
            return
        if arguments is not None:
            if not self._arguments:
                yield from self.argue(arguments)
            self._arguments = [arguments]
        self._argued = True
        yield self._event(f"{self.family}.done", **self._said_when_done())

    def _said_when_done(self) -> dict[str, Json]:
        return {"arguments": self.arguments}

    @property
    def arguments(self) -> str:
        return "".join(self._arguments)

    def _closing(self) -> Iterator[Wire]:
        yield from self.end_arguments()


class FunctionItem(CallItem):
    family = "response.function_call_arguments"

    def __init__(self, id: str, index: int, opened: CallOpened, tool: ClientTool) -> None:  # noqa: A002
        super().__init__(id, index, opened)
        self._tool = tool

    def _said_when_done(self) -> dict[str, Json]:
        return {"name": self._tool.name, "arguments": self.arguments}

    def render(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "call_id": self._opened.id,
            "name": self._tool.name,
            "arguments": self.arguments,
            **({"namespace": self._tool.namespace} if self._tool.namespace else {}),
        }


class CustomItem(CallItem):
    """A call of a custom tool: the one string in its arguments is told as it comes."""

    family = "response.custom_tool_call_input"

    def __init__(self, id: str, index: int, opened: CallOpened, tool: ClientTool) -> None:  # noqa: A002
        super().__init__(id, index, opened)
        self._tool = tool
        self._raw: list[str] = []
        self._text = OneText()

    def argue(self, text: str) -> Iterator[Wire]:
        self._raw.append(text)
        yield from super().argue(self._text.feed(text))

    def end_arguments(self, arguments: str | None = None) -> Iterator[Wire]:
        if self._argued:
            return
        if arguments is not None and not self._raw:
            yield from self.argue(arguments)
        raw, told = "".join(self._raw) if arguments is None else arguments, self.arguments
        whole = input_of(raw)
        if whole is None:  # cut short, or a model that did not keep the form
            whole = told + self._text.rest() if self._text.inside else raw
        if whole.startswith(told):
            yield from super().argue(whole[len(told) :])
        yield from super().end_arguments(whole)

    def _said_when_done(self) -> dict[str, Json]:
        return {"input": self.arguments}

    def render(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "type": "custom_tool_call",
            "status": self.status,
            "call_id": self._opened.id,
            "name": self._tool.name,
            "input": self.arguments,
            **({"namespace": self._tool.namespace} if self._tool.namespace else {}),
        }


class ServerCallItem(CallItem):
    """A call that we run. It stays open until the tool has returned, which may be rounds later."""

    family = "response.mcp_call_arguments"

    def __init__(self, id: str, index: int, opened: CallOpened, ask_id: str | None = None) -> None:  # noqa: A002
        """`ask_id` is the ask after whose answer the call goes on."""
        super().__init__(id, index, opened)
        self._ask_id = ask_id
        self._outcome: ToolOutcome | None = None

    def added(self) -> Iterator[Wire]:
        yield from super().added()
        yield self._event("response.mcp_call.in_progress")

    def end(self, outcome: ToolOutcome) -> Iterator[Wire]:
        self._outcome = outcome
        yield from self.close(_status_of(outcome))

    def render(self) -> dict[str, Json]:
        outcome, opened = self._outcome, self._opened
        return {
            "id": self.id,
            "type": "mcp_call",
            "status": self.status,
            "server_label": opened.server or OUR_LABEL,
            "name": opened.tool or opened.name,
            "arguments": self.arguments,
            "output": outcome.for_model() if outcome is not None and _status_of(outcome) == "completed" else None,
            "error": _error_of(outcome) if outcome is not None else None,
            "approval_request_id": outcome.ask_id if isinstance(outcome, Paused) else self._ask_id,
            **_shown(outcome),
        }

    def _closing(self) -> Iterator[Wire]:
        yield from super()._closing()
        if self._outcome is not None and (status := _status_of(self._outcome)) != "incomplete":
            yield self._event(f"response.mcp_call.{status}")


def _shown(outcome: ToolOutcome | None) -> dict[str, Json]:
    if isinstance(outcome, Returned) and not outcome.is_error and any(images_of(outcome)):
        return {SHOWN: {"content": [dict(block) for block in outcome.content]}}
    return {}


def _status_of(outcome: ToolOutcome) -> Status:
    if isinstance(outcome, Paused):
        return "incomplete"
    return "completed" if isinstance(outcome, Returned) and not outcome.is_error else "failed"


def _error_of(outcome: ToolOutcome) -> dict[str, Json] | None:
    match outcome:
        case Returned(is_error=False) | Paused():
            return None
        case Returned():
            return {"type": "mcp_tool_execution_error", "content": [dict(block) for block in outcome.content]}
        case Offline():
            code = _SERVER_ERROR
        case TimedOut():
            code = _TIMED_OUT
        case Invalid():
            code = _BAD_PARAMS
        case Denied() | Unanswered() | Cancelled():
            content = [{"type": "text", "text": outcome.for_model()}]
            return {"type": "mcp_tool_execution_error", "content": content}
        case _:
            assert_never(outcome)
    return {"type": "mcp_protocol_error", "code": code, "message": outcome.for_model()}
