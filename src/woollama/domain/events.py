"""What happens while a turn is answered, in past participles. Exactly one terminal event ends a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from woollama.domain.errors import RouterError
from woollama.domain.messages import Answer, Ask, Extra, Json, Opaque, Runner, Sealed, no_extra
from woollama.domain.tools import Returned, Tool, ToolOutcome
from woollama.domain.turns import Target

StopReason = Literal[
    "end",
    "length",
    "tool_calls",
    "stop_sequence",
    "content_filter",
    "refusal",
    "paused",
    "max_rounds",
    "cancelled",
]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one round. `cached_tokens` and `cache_write_tokens` are parts of `input_tokens`.

    `reasoning_tokens` is a part of `output_tokens`. `native` is the upstream's own object.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    native: Mapping[str, Json] | None = None

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class RoundBegan:
    """A target has begun to answer. `native_id` and `model` are what it calls the answer and itself.

    `attempts` counts the tries until it did, over all candidates.

    `extra` keeps what else it says of the answer as a whole (`{"chat": {"system_fingerprint": …}}`).
    """

    round: int
    target: Target
    native_id: str | None = None
    model: str | None = None
    extra: Extra = field(default_factory=no_extra)
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class ItemOpened:
    """A message or a reasoning item begins; it ends where the next item or call opens, or the round ends."""

    kind: Literal["message", "reasoning"]
    id: str | None = None
    phase: str | None = None
    redacted: bool = False


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str
    logprobs: tuple[Mapping[str, Json], ...] = ()
    annotations: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of reasoning; `summary` when the maker shows a summary instead of the thought itself.

    `part` counts the parts of a summary from 0; a thought has one.
    """

    text: str
    summary: bool = False
    part: int = 0


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    text: str


@dataclass(frozen=True, slots=True)
class SealedSeen:
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class CallOpened:
    """`index` counts the calls of a round from 0. `server` and `tool` say what `name` stands for, where we run it.

    An inferencer that sets them runs the call itself, and tells what it `ToolReturned` before its round ends.
    """

    index: int
    id: str
    name: str
    runs: Runner = "client"
    item_id: str | None = None
    extra: Extra = field(default_factory=no_extra)
    server: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class CallClosed:
    """`arguments` is all of them, and what the deltas before it add up to."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class OpaqueSeen:
    """A whole item that only its own dialect can say: a search that the upstream ran itself, and what it found."""

    item: Opaque


@dataclass(frozen=True, slots=True)
class ToolProgressed:
    call_id: str
    progress: float
    total: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class ToolReturned:
    call_id: str
    outcome: ToolOutcome


@dataclass(frozen=True, slots=True)
class ToolsListed:
    """What a tool server has that the request brought along, or why that is nothing."""

    server: str
    tools: tuple[Tool, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    ask: Ask


@dataclass(frozen=True, slots=True)
class Answered:
    answer: Answer


@dataclass(frozen=True, slots=True)
class UsageSeen:
    """Cumulative for its round: a later one of the same round replaces the earlier. The engine knows what it cost."""

    round: int
    usage: Usage
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Rewrote:
    """Something that was asked for was changed or left out on the way to the target."""

    what: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The end. `detail` is the upstream's own word for it; `stop_sequence` the sequence that was met.

    `extra` keeps what else the upstream says of the end (`{"anthropic": {"stop_details": …}}`).
    """

    reason: StopReason
    detail: str | None = None
    native_id: str | None = None
    stop_sequence: str | None = None
    extra: Extra = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True)
class Failed:
    error: RouterError


Event = (
    RoundBegan
    | ItemOpened
    | TextDelta
    | ThinkingDelta
    | RefusalDelta
    | SealedSeen
    | CallOpened
    | ArgumentsDelta
    | CallClosed
    | OpaqueSeen
    | ToolProgressed
    | ToolReturned
    | ToolsListed
    | Asked
    | Answered
    | UsageSeen
    | Rewrote
    | Stopped
    | Failed
)
Terminal = Stopped | Failed


EVENT_BYTES = 200
"""About what an event takes in memory beside its text."""


def weight_bytes(event: Event) -> int:
    """About how much memory an event holds on to."""
    match event:
        case TextDelta() | ThinkingDelta() | RefusalDelta() | ArgumentsDelta():
            return EVENT_BYTES + len(event.text)
        case CallClosed():
            return EVENT_BYTES + len(event.arguments)
        case ToolReturned(outcome=Returned() as outcome):
            return EVENT_BYTES + outcome.size_bytes
        case _:
            return EVENT_BYTES


class UsageMeter:
    """Sums the rounds of a run; the last round stands alone for clients that steer by the last prompt's size."""

    def __init__(self) -> None:
        self._rounds: dict[int, Usage] = {}
        self._costs_usd: dict[int, float | None] = {}

    def see(self, event: UsageSeen) -> None:
        self._rounds[event.round] = event.usage
        self._costs_usd[event.round] = event.cost_usd

    @property
    def seen(self) -> bool:
        return bool(self._rounds)

    @property
    def rounds(self) -> Mapping[int, Usage]:
        return dict(self._rounds)

    @property
    def total(self) -> Usage:
        return sum(self._rounds.values(), Usage())

    @property
    def cost_usd(self) -> float | None:
        """What all rounds cost; `None` where that of any is not known."""
        known = [cost for cost in self._costs_usd.values() if cost is not None]
        return round(sum(known), 9) if known and len(known) == len(self._costs_usd) else None

    @property
    def last_round(self) -> Usage:
        return self._rounds[max(self._rounds)] if self._rounds else Usage()
