"""A finished answer as events that add up to it, for a dialect whose one path is the stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from woollama.domain.answers import Answer
from woollama.domain.events import (
    Answered,
    Asked,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    OpaqueSeen,
    RefusalDelta,
    Rewrote,
    SealedSeen,
    TextDelta,
    ThinkingDelta,
    ToolReturned,
    UsageSeen,
)
from woollama.domain.messages import Answer as AnswerToAsk
from woollama.domain.messages import (
    Ask,
    Item,
    Json,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)


def replay(answer: Answer) -> Iterator[Event]:
    """`Answer(replay(answer))` has the items, usage, rewrites and ending of `answer`."""
    yield from answer.rounds
    for what in answer.rewrites:
        yield Rewrote(what)
    items = answer.items
    spoken = [number for number, item in enumerate(items) if isinstance(item, Message)]
    for number, item in enumerate(items):
        yield from _events_of(item, number, answer.logprobs if [number] == spoken[-1:] else ())
    for number, usage in answer.usage.rounds.items():
        yield UsageSeen(number, usage)
    if answer.ending is not None:
        yield answer.ending


def _events_of(item: Item, number: int, logprobs: Iterable[Mapping[str, Json]]) -> Iterator[Event]:
    match item:
        case Message():
            yield ItemOpened("message", item.id, item.phase)
            for part in item.parts:
                if isinstance(part, Text):
                    yield TextDelta(part.text, tuple(logprobs), part.annotations)
                elif isinstance(part, Refusal):
                    yield RefusalDelta(part.text)
        case Reasoning():
            yield ItemOpened("reasoning", item.id, redacted=item.redacted)
            if item.text:
                yield ThinkingDelta(item.text)
            for place, text in enumerate(item.summary):
                yield ThinkingDelta(text, summary=True, part=place)
            if item.sealed is not None:
                yield SealedSeen(item.sealed)
        case ToolCall():
            yield CallOpened(number, item.id, item.name, item.runs, item.item_id, item.extra, item.server, item.tool)
            yield CallClosed(number, item.arguments)
        case ToolResult():
            yield ToolReturned(item.call_id, item.outcome)
        case Opaque():
            yield OpaqueSeen(item)
        case Ask():
            yield Asked(item)
        case AnswerToAsk():
            yield Answered(item)
        case _:
            assert_never(item)
