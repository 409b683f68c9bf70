"""Hidden rounds come back where the client's call does."""

from __future__ import annotations

from woollama.core.continuations import Continuations
from woollama.domain.messages import Item, Message, Text, ToolCall, ToolResult
from woollama.domain.tools import Returned

ASKED = Message("user", (Text("what?"),))
OURS = ToolCall("call_ours", "clock__now", "{}", "server")
OUR_RESULT = ToolResult("call_ours", Returned.of_text("noon"))
THEIRS = ToolCall("call_theirs", "open_door", "{}", "client")
THEIR_RESULT = ToolResult("call_theirs", Returned.of_text("open"))
SPOKEN = Message("assistant", (Text("a moment"),))
WHOLE: list[Item] = [OURS, OUR_RESULT, SPOKEN, THEIRS]


def test_what_the_client_did_not_see_is_put_back_in_its_place() -> None:
    kept = Continuations()
    kept.keep(["call_theirs"], WHOLE)
    assert kept.splice([ASKED, SPOKEN, THEIRS, THEIR_RESULT]) == (ASKED, *WHOLE, THEIR_RESULT)


def test_each_turn_of_a_long_history_gets_its_own_rounds_back() -> None:
    kept = Continuations()
    second = ToolCall("call_2", "open_door", "{}", "client")
    kept.keep(["call_theirs"], WHOLE)
    kept.keep(["call_2"], [SPOKEN, second])
    result = ToolResult("call_2", Returned.of_text("still open"))
    history = [ASKED, THEIRS, THEIR_RESULT, second, result, ASKED]
    assert kept.splice(history) == (ASKED, *WHOLE, THEIR_RESULT, SPOKEN, second, result, ASKED)


def test_a_history_that_is_not_ours_is_left_alone() -> None:
    history = (ASKED, SPOKEN, THEIRS, THEIR_RESULT)
    assert Continuations().splice(history) == history


def test_what_is_kept_grows_old_and_is_bounded() -> None:
    now = 0.0
    kept = Continuations(most=2, keep_s=10, clock=lambda: now)
    for name in ("a", "b", "call_theirs"):
        kept.keep([name], WHOLE)
    assert repr(kept) == "<Continuations 2 kept>"
    now = 11.0
    assert kept.splice([THEIRS]) == (THEIRS,)
