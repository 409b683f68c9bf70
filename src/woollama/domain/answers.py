"""The events of a run, folded into what was answered: its items in order, how it ended and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic
from typing import assert_never

from woollama.domain.events import (
    Answered,
    ArgumentsDelta,
    Asked,
    CallClosed,
    CallOpened,
    Event,
    Failed,
    ItemOpened,
    OpaqueSeen,
    RefusalDelta,
    Rewrote,
    RoundBegan,
    SealedSeen,
    Stopped,
    Terminal,
    TextDelta,
    ThinkingDelta,
    ToolProgressed,
    ToolReturned,
    ToolsListed,
    UsageMeter,
    UsageSeen,
)
from woollama.domain.messages import (
    Ask,
    Item,
    Json,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Sealed,
    Text,
    ToolCall,
    ToolResult,
)


@dataclass(slots=True)
class _OpenMessage:
    id: str | None
    phase: str | None
    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    annotations: list[Mapping[str, Json]] = field(default_factory=list)

    def close(self) -> Message:
        parts: list[Part] = []
        if self.text or not self.refusal:
            parts.append(Text("".join(self.text), tuple(self.annotations)))
        if self.refusal:
            parts.append(Refusal("".join(self.refusal)))
        return Message("assistant", tuple(parts), id=self.id, phase=self.phase)


@dataclass(slots=True)
class _OpenReasoning:
    id: str | None
    redacted: bool
    text: list[str] = field(default_factory=list)
    summary: dict[int, list[str]] = field(default_factory=dict)
    sealed: Sealed | None = None

    def close(self) -> Reasoning:
        summary = tuple("".join(self.summary[part]) for part in sorted(self.summary))
        return Reasoning("".join(self.text), self.id, self.sealed, summary, self.redacted)


@dataclass(slots=True)
class _OpenCall:
    opened: CallOpened
    arguments: list[str] = field(default_factory=list)
    whole: str | None = None

    def close(self) -> ToolCall:
        arguments = self.whole if self.whole is not None else "".join(self.arguments)
        call = self.opened
        return ToolCall(call.id, call.name, arguments, call.runs, call.item_id, call.extra, call.server, call.tool)


class Answer:
    """Feed it the events of a run with `see`; read `items`, `ending`, `usage` whenever you like.

    Text without an opened item opens one, so a sloppy producer still makes a sound answer. `began_s`, `spoke_s` (its
    first word or thought) and `ended_s` are readings of a monotonic clock.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.ending: Terminal | None = None
        self.began_s = monotonic()
        self.spoke_s: float | None = None
        self.ended_s: float | None = None
        self.usage = UsageMeter()
        self.rewrites: list[str] = []
        self.rounds: list[RoundBegan] = []
        self.logprobs: list[Mapping[str, Json]] = []
        self._done: list[_OpenMessage | _OpenReasoning | _OpenCall | ToolResult | Opaque | Ask] = []
        self._message: _OpenMessage | None = None
        self._reasoning: _OpenReasoning | None = None
        self._calls: dict[int, _OpenCall] = {}
        self._rounds_at = [0]
        for event in events:
            self.see(event)

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(item if isinstance(item, ToolResult | Opaque | Ask) else item.close() for item in self._done)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of the last round."""
        return tuple(self._calls[index].close() for index in sorted(self._calls))

    @property
    def text(self) -> str:
        """What the last round said."""
        return self.texts[-1]

    @property
    def texts(self) -> tuple[str, ...]:
        """What each round said."""
        borders = [*self._rounds_at, len(self._done)]
        return tuple(self._said(begin, end) for begin, end in pairwise(borders))

    def _said(self, begin: int, end: int) -> str:
        said = [item for item in self._done[begin:end] if isinstance(item, _OpenMessage)]
        return "".join(text for message in said for text in message.text)

    def see(self, event: Event) -> None:
        if self.spoke_s is None and isinstance(event, TextDelta | ThinkingDelta | CallOpened):
            self.spoke_s = monotonic()
        match event:
            case RoundBegan():
                self.rounds.append(event)
                self._message = self._reasoning = None
                self._calls = {}
                self._rounds_at.append(len(self._done))
            case ItemOpened(kind="message"):
                self._open_message(event.id, event.phase)
            case ItemOpened():
                self._open_reasoning(event.id, event.redacted)
            case TextDelta():
                message = self._message or self._open_message(None, None)
                message.text.append(event.text)
                message.annotations.extend(event.annotations)
                self.logprobs.extend(event.logprobs)
            case RefusalDelta():
                (self._message or self._open_message(None, None)).refusal.append(event.text)
            case ThinkingDelta():
                reasoning = self._reasoning or self._open_reasoning(None, False)
                thought = reasoning.summary.setdefault(event.part, []) if event.summary else reasoning.text
                thought.append(event.text)
            case SealedSeen():
                (self._reasoning or self._open_reasoning(None, False)).sealed = event.sealed
            case CallOpened():
                self._message = self._reasoning = None
                self._calls[event.index] = call = _OpenCall(event)
                self._done.append(call)
            case ArgumentsDelta():
                self._calls[event.index].arguments.append(event.text)
            case CallClosed():
                self._calls[event.index].whole = event.arguments
            case OpaqueSeen():
                self._message = self._reasoning = None
                self._done.append(event.item)
            case ToolReturned():
                self._done.append(ToolResult(event.call_id, event.outcome))
            case UsageSeen():
                self.usage.see(event)
            case Rewrote():
                self.rewrites.append(event.what)
            case Stopped() | Failed():
                self.ending = event
                self.ended_s = monotonic()
            case Asked():
                self._done.append(event.ask)
            case Answered() | ToolProgressed() | ToolsListed():
                pass
            case _:
                assert_never(event)

    def _open_message(self, id: str | None, phase: str | None) -> _OpenMessage:  # noqa: A002
        self._message, self._reasoning = _OpenMessage(id, phase), None
        self._done.append(self._message)
        return self._message

    def _open_reasoning(self, id: str | None, redacted: bool) -> _OpenReasoning:  # noqa: A002
        self._message, self._reasoning = None, _OpenReasoning(id, redacted)
        self._done.append(self._reasoning)
        return self._reasoning
