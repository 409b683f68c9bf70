"""An inferencer without a model: it plays a script, and without one answers by rule, always the same.

By rule it honours a JSON Schema with a small instance of it, calls a tool where it must, tells a tool's result, and
else says what it was asked. For tests, and where no model can run; its words are never mistaken for a model's.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from woollama.domain.errors import BadRequest
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    Failed,
    ItemOpened,
    RoundBegan,
    Stopped,
    TextDelta,
    Usage,
    UsageSeen,
)
from woollama.domain.ids import new_id
from woollama.domain.messages import Message, ToolResult
from woollama.domain.tools import Function
from woollama.domain.turns import Call
from woollama.inferencers.schema_instance import instance_of

LABEL = "[scripted, no model]"

Round = Sequence[Event] | Callable[[Call], Sequence[Event]]
"""What one round yields, or a function of the call that says it. A `Failed` in it is raised, as by an upstream."""

_WORD = re.compile(r"\s*\S+|\s+$")


class ScriptedInferencer:
    """Plays `script` round by round, then answers by rule. `calls` holds every `Call` that it was given.

    A scripted round needs neither `RoundBegan` nor `Stopped`: each is added where it is missing.
    """

    def __init__(self, name: str = "scripted", script: Sequence[Round] = (), models: Sequence[str] = ("echo",)) -> None:
        self.name = name
        self.calls: list[Call] = []
        self._script = list(script)
        self._models = tuple(models)

    def __repr__(self) -> str:
        return f"<ScriptedInferencer {self.name!r}, {len(self.calls)} calls, {len(self._script)} rounds left>"

    async def list_models(self) -> Sequence[str]:
        return self._models

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        self.calls.append(call)
        async with aclosing(self._events(call)) as events:
            yield events

    async def _events(self, call: Call) -> AsyncGenerator[Event]:
        played: Round = self._script.pop(0) if self._script else by_rule
        events = list(played(call) if callable(played) else played)
        if not events or not isinstance(events[0], RoundBegan):
            events.insert(0, RoundBegan(0, call.target, new_id("scripted-"), call.target.model))
        if not isinstance(events[-1], Stopped | Failed):
            calls = any(isinstance(event, CallOpened) for event in events)
            events.append(Stopped("tool_calls" if calls else "end"))
        for event in events:
            await asyncio.sleep(0)  # a departure is noticed between any two events, as with a real upstream
            if isinstance(event, Failed):
                raise event.error
            yield event


def by_rule(call: Call) -> Sequence[Event]:
    asked = next((item.text for item in reversed(call.items) if isinstance(item, Message) and item.role == "user"), "")
    form = call.params.response_format
    if call.tools and call.choice.mode in ("required", "named"):
        said = calling(_function_of(call), asked)
    elif form and form.kind == "json_schema":
        said = saying(json.dumps(instance_of(form.schema or {}, asked), ensure_ascii=False))
    elif form and form.kind == "json_object":
        said = saying(json.dumps({"asked": asked}, ensure_ascii=False))
    elif call.items and isinstance(last := call.items[-1], ToolResult):
        said = saying(f"{LABEL} {last.outcome.for_model()}")
    else:
        said = saying(f"{LABEL} You said: {asked}")
    written = sum(len(event.text.split()) for event in said if isinstance(event, TextDelta | ArgumentsDelta))
    return (*said, UsageSeen(0, Usage(input_tokens=len(asked.split()), output_tokens=written)))


def saying(text: str) -> Sequence[Event]:
    """The events of a message, word by word."""
    return (ItemOpened("message"), *(TextDelta(word) for word in _WORD.findall(text)))


def calling(function: Function, asked: str) -> Sequence[Event]:
    """The events of one call, as in the worked call for `asked` or with arguments out of its words."""
    shown = next((each.arguments for each in function.examples if each.ask and each.ask == asked), None)
    arguments = json.dumps(instance_of(function.exemplified, asked) if shown is None else shown)
    opened = CallOpened(0, new_id("call_"), function.name)
    return (opened, ArgumentsDelta(0, arguments), CallClosed(0, arguments))


def _function_of(call: Call) -> Function:
    if call.choice.mode != "named":
        return call.tools[0]
    named = next((each for each in call.tools if each.name == call.choice.name), None)
    if named is None:
        raise BadRequest(f"there is no tool {call.choice.name!r} to be called", param="tool_choice")
    return named
