"""A finished answer, played again: the events add up to the same answer."""

from __future__ import annotations

from woollama.domain.answers import Answer
from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import (
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
    TextDelta,
    ThinkingDelta,
    ToolReturned,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Ask, Opaque, Sealed
from woollama.domain.tools import Returned
from woollama.domain.turns import Target
from woollama.surfaces.openai_responses.replay import replay

TARGET = Target("lab", "model")
TOKEN = {"token": "Done", "logprob": -0.1}
EVERYTHING: list[Event] = [
    RoundBegan(0, TARGET, "native_1"),
    Rewrote("answered by another"),
    ItemOpened("reasoning", "rs_1"),
    ThinkingDelta("h"),
    ThinkingDelta("m"),
    ThinkingDelta("one", summary=True),
    ThinkingDelta("two", summary=True, part=1),
    SealedSeen(Sealed("x", "lab")),
    ItemOpened("reasoning", "rs_2", redacted=True),
    SealedSeen(Sealed("y", "lab")),
    OpaqueSeen(Opaque("responses", {"type": "web_search_call", "id": "ws_1"})),
    CallOpened(0, "call_1", "clock__now", "server", "mcp_1", {"chat": {"x": 1}}, "clock", "now"),
    ArgumentsDelta(0, "{}"),
    CallClosed(0, "{}"),
    UsageSeen(0, Usage(1, 2)),
    Asked(Ask("ask_1", "call_1", "clock", "now", "{}")),
    ToolReturned("call_1", Returned.of_text("noon")),
    RoundBegan(1, TARGET),
    ItemOpened("message", "msg_1", "final_answer"),
    TextDelta("Done", (TOKEN,)),
    TextDelta(".", annotations=({"type": "file_path"},)),
    RefusalDelta("But no."),
    UsageSeen(1, Usage(3, 4)),
]


def test_nothing_of_an_answer_is_lost() -> None:
    answer = Answer([*EVERYTHING, Stopped("end")])
    again = Answer(replay(answer))

    assert again.items == answer.items
    assert (again.rounds, again.rewrites, again.ending) == (answer.rounds, answer.rewrites, answer.ending)
    assert again.logprobs == answer.logprobs == [TOKEN]
    assert again.usage.rounds == answer.usage.rounds


def test_a_failure_stays_a_failure() -> None:
    answer = Answer([*EVERYTHING, Failed(UpstreamBroke("gone"))])

    assert Answer(replay(answer)).ending == answer.ending


def test_an_unfinished_answer_stays_unfinished() -> None:
    assert list(replay(Answer())) == []
