"""Tool calling for models that have none: output that a JSON Schema constrains decides what is called.

A round is then one or two calls of the model. If a call may be made, the model first writes it as JSON: the arguments
alone where one tool must be called, which very small models can do, else a list of calls, which may be empty. If it
calls nothing, or must not, it answers in words, from the results that are there. To the engine this is one round
of a model that calls tools.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace

from woollama.domain.errors import BadRequest, UpstreamBroke
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    RoundBegan,
    Stopped,
    TextDelta,
    Usage,
    UsageSeen,
)
from woollama.domain.ids import new_id
from woollama.domain.messages import Item, Message, ToolCall, ToolResult
from woollama.domain.ports import Inferencer
from woollama.domain.tools import Function
from woollama.domain.turns import AUTO, Call, Params, ResponseFormat
from woollama.inferencers.emulated_tools.combined_schema import arguments_schema, calls_schema
from woollama.inferencers.emulated_tools.prompts import (
    after_examples,
    answer_system,
    arguments_system,
    choice_system,
    without_calls,
    worked_arguments,
    worked_calls,
)

MOST_CALLS = 8
_CUT = frozenset({"length", "content_filter", "refusal"})


class EmulatedTools:
    """An inferencer that gives `inner` tool calling. `inner` must honour `response_format` of kind `json_schema`."""

    def __init__(self, inner: Inferencer) -> None:
        self._inner = inner
        self.name = inner.name

    def __repr__(self) -> str:
        return f"<EmulatedTools over {self._inner!r}>"

    async def list_models(self) -> Sequence[str]:
        return await self._inner.list_models()

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        async with AsyncExitStack() as held, aclosing(self._events(call, held)) as events:
            yield events

    async def _events(self, call: Call, held: AsyncExitStack) -> AsyncGenerator[Event]:
        one_round = _OneRound()
        if (decision := _decision_of(call)) is not None:
            async for event in await self._begin(decision.call, held):
                for shown in one_round.show(decision.read(event)):
                    yield shown
            if decision.ended:
                return
            one_round.next()
        answering = replace(
            call,
            system=answer_system(call.system, call.items),
            items=without_calls(call.items),
            tools=(),
            choice=AUTO,
            params=replace(call.params, parallel_tool_calls=None),
        )
        async for event in await self._begin(answering, held):
            for shown in one_round.show([event]):
                yield shown

    async def _begin(self, call: Call, held: AsyncExitStack) -> AsyncIterator[Event]:
        await held.aclose()  # the decision's connection is not kept while the answer is written
        answering: AbstractAsyncContextManager[AsyncIterator[Event]] = self._inner.answer(call)
        return await held.enter_async_context(answering)


class _OneRound:
    """Shows several calls of the model as one round: one beginning, and tokens that add up."""

    def __init__(self) -> None:
        self._began = False
        self._earlier: Usage | None = None
        self._usage: Usage | None = None

    def next(self) -> None:
        self._earlier = self._usage

    def show(self, events: Sequence[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, RoundBegan):
                if not self._began:
                    yield event
                self._began = True
            elif isinstance(event, UsageSeen):
                self._usage = self._earlier + event.usage if self._earlier else event.usage
                yield replace(event, usage=self._usage)
            else:
                yield event


class _OneCall:
    """The arguments of the one function that must be called, passed on as they are written."""

    def __init__(self, call: Call, function: Function) -> None:
        self._function = function
        self._id = new_id("call_")
        self._written: list[str] = []
        self.ended = True
        self.call = replace(
            call,
            system=arguments_system(call.system, function),
            items=after_examples(worked_arguments(function), call.items),
            tools=(),
            choice=AUTO,
            params=_constrained(call.params, ResponseFormat("json_schema", function.name, arguments_schema(function))),
        )

    def read(self, event: Event) -> Sequence[Event]:
        match event:
            case ItemOpened(kind="message"):
                return ()
            case TextDelta():
                opened = () if self._written else (CallOpened(0, self._id, self._function.name),)
                self._written.append(event.text)
                return (*opened, ArgumentsDelta(0, event.text))
            case Stopped() if self._written:
                reason = event.reason if event.reason in _CUT else "tool_calls"
                return (CallClosed(0, "".join(self._written)), replace(event, reason=reason, stop_sequence=None))
            case Stopped() if event.reason not in _CUT:
                raise UpstreamBroke(f"{self.call.target} wrote no arguments for {self._function.name}")
            case _:
                return (event,)


class _Choice:
    """A list of calls, or none. It is complete before any of it is shown: half a list is no decision."""

    def __init__(self, call: Call, *, required: bool) -> None:
        self._done = frozenset() if required else _done_since_the_question(call.items)
        self._names = frozenset(function.name for function in call.tools)
        self._written: list[str] = []
        self.ended = False
        most = 1 if call.params.parallel_tool_calls is False else MOST_CALLS
        schema = calls_schema(call.tools, least=int(required), most=most)
        self.call = replace(
            call,
            system=choice_system(call.system, call.tools, required=required),
            items=after_examples(worked_calls(call.tools), call.items),
            tools=(),
            choice=AUTO,
            params=_constrained(call.params, ResponseFormat("json_schema", "calls", schema)),
        )

    def read(self, event: Event) -> Sequence[Event]:
        match event:
            case ItemOpened(kind="message"):
                return ()
            case TextDelta():
                self._written.append(event.text)
                return ()
            case Stopped() if event.reason in _CUT:
                self.ended = True
                return (event,)
            case Stopped():
                # A small model likes to repeat itself: what was called and answered already is a wish to answer.
                wanted = [each for each in dict.fromkeys(self._wanted()) if each not in self._done]
                self.ended = bool(wanted)
                calls = [shown for index, each in enumerate(wanted) for shown in _whole_call(index, *each)]
                return (*calls, replace(event, reason="tool_calls", stop_sequence=None)) if calls else ()
            case _:
                return (event,)

    def _wanted(self) -> list[tuple[str, str]]:
        try:
            calls = json.loads("".join(self._written))["calls"]
            wanted = [(str(each["name"]), _canonical(each["arguments"])) for each in calls]
        except (ValueError, KeyError, TypeError) as error:
            raise self._broke() from error
        if not {name for name, _ in wanted} <= self._names:
            raise self._broke()
        return wanted

    def _broke(self) -> UpstreamBroke:
        return UpstreamBroke(
            f"{self.call.target} did not keep to the JSON Schema that decides what is called;"
            ' tool_mode = "emulated" needs a server that honours response_format json_schema'
        )


def _decision_of(call: Call) -> _OneCall | _Choice | None:
    """What the model has to decide before it may speak."""
    if not call.tools or call.choice.mode == "none":
        return None
    if call.choice.mode == "named":
        named = next((each for each in call.tools if each.name == call.choice.name), None)
        if named is None:
            raise BadRequest(f"there is no tool {call.choice.name!r} to be called", param="tool_choice")
        return _OneCall(call, named)
    required = call.choice.mode == "required"
    if required and len(call.tools) == 1:
        return _OneCall(call, call.tools[0])
    return _Choice(call, required=required)


def _constrained(params: Params, form: ResponseFormat) -> Params:
    return replace(
        params,
        response_format=form,
        temperature=0.0 if params.temperature is None else params.temperature,
        stop=(),
        logprobs=None,
        top_logprobs=None,
        parallel_tool_calls=None,
    )


def _whole_call(index: int, name: str, arguments: str) -> tuple[Event, ...]:
    opened = CallOpened(index, new_id("call_"), name)
    return (opened, ArgumentsDelta(index, arguments), CallClosed(index, arguments))


def _done_since_the_question(items: Sequence[Item]) -> frozenset[tuple[str, str]]:
    asked = max((at for at, item in enumerate(items) if isinstance(item, Message) and item.role == "user"), default=-1)
    recent = items[asked + 1 :]
    answered = {item.call_id for item in recent if isinstance(item, ToolResult)}
    return frozenset(
        (item.name, _canonical_text(item.arguments))
        for item in recent
        if isinstance(item, ToolCall) and item.id in answered
    )


def _canonical_text(arguments: str) -> str:
    try:
        return _canonical(json.loads(arguments or "{}"))
    except ValueError:
        return arguments


def _canonical(arguments: object) -> str:
    return json.dumps(arguments, ensure_ascii=False)
