"""Hidden rounds come back where the client's call does."""

from __future__ import annotations

from dataclasses import replace

from woollama.core.continuations import Continuations
from woollama.domain.messages import Item, Message, Text, ToolCall, ToolResult
from woollama.domain.tools import Returned

CALLER = "uid 1000"
ASKED = Message("user", (Text("what?"),))
OURS = ToolCall("call_ours", "clock__now", "{}", "server")
OUR_RESULT = ToolResult("call_ours", Returned.of_text("noon"))
THEIRS = ToolCall("call_theirs", "open_door", "{}", "client")
THEIR_RESULT = ToolResult("call_theirs", Returned.of_text("open"))
SPOKEN = Message("assistant", (Text("a moment"),))
WHOLE: list[Item] = [OURS, OUR_RESULT, SPOKEN, THEIRS]


def test_what_the_client_did_not_see_is_put_back_in_its_place() -> None:
    kept = Continuations()
    kept.keep(CALLER, [ASKED], WHOLE)
    assert kept.splice(CALLER, [ASKED, SPOKEN, THEIRS, THEIR_RESULT]) == (ASKED, *WHOLE, THEIR_RESULT)


def test_each_turn_of_a_long_history_gets_its_own_rounds_back() -> None:
    kept = Continuations()
    second = ToolCall("call_2", "open_door", "{}", "client")
    kept.keep(CALLER, [ASKED], WHOLE)
    kept.keep(CALLER, [ASKED, THEIRS, THEIR_RESULT], [SPOKEN, second])
    result = ToolResult("call_2", Returned.of_text("still open"))
    history = [ASKED, THEIRS, THEIR_RESULT, second, result, ASKED]
    assert kept.splice(CALLER, history) == (ASKED, *WHOLE, THEIR_RESULT, SPOKEN, second, result, ASKED)


def test_a_call_that_only_has_the_same_id_is_another_one() -> None:
    """Upstreams that number their calls give the same ids to every conversation."""
    kept = Continuations()
    kept.keep(CALLER, [ASKED], WHOLE)
    elsewhere = Message("user", (Text("what else?"),))
    others = ToolCall("call_theirs", "open_door", '{"which": 2}', "client")
    for history in ((elsewhere, THEIRS, THEIR_RESULT), (ASKED, others, THEIR_RESULT)):
        assert kept.splice(CALLER, history) == history
    assert kept.splice("somebody else", (ASKED, THEIRS, THEIR_RESULT)) == (ASKED, THEIRS, THEIR_RESULT)
    rewritten = ToolCall("call_theirs", "open_door", "{ }", "client")
    assert kept.splice(CALLER, [ASKED, rewritten, THEIR_RESULT]) == (ASKED, *WHOLE, THEIR_RESULT)


def test_large_results_do_not_fill_the_memory() -> None:
    now = 0.0
    kept = Continuations(most_bytes=250, keep_s=10, clock=lambda: now)
    large = replace(OUR_RESULT, outcome=Returned.of_text("x" * 100))
    for name in ("a", "b", "b", "c"):
        kept.keep(CALLER, [ASKED], [OURS, large, replace(THEIRS, id=name)])
    assert repr(kept) == "<Continuations 2 kept>"
    kept.keep(CALLER, [ASKED], [OURS, replace(large, outcome=Returned.of_text("x" * 300)), THEIRS])
    assert repr(kept) == "<Continuations 0 kept>"
    kept.keep(CALLER, [ASKED], WHOLE)
    now = 11.0
    kept.keep(CALLER, [ASKED], [replace(THEIRS, id="later")])
    assert repr(kept) == "<Continuations 1 kept>"


def test_a_history_that_is_not_ours_is_left_alone() -> None:
    history = (ASKED, SPOKEN, THEIRS, THEIR_RESULT)
    assert Continuations().splice(CALLER, history) == history


def test_what_is_kept_grows_old_and_is_bounded() -> None:
    now = 0.0
    kept = Continuations(most=2, keep_s=10, clock=lambda: now)
    for name in ("a", "b", "call_theirs"):
        kept.keep(CALLER, [ASKED], [replace(THEIRS, id=name)])
    assert repr(kept) == "<Continuations 2 kept>"
    now = 11.0
    assert kept.splice(CALLER, [ASKED, THEIRS]) == (ASKED, THEIRS)
