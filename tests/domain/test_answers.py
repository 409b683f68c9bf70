from __future__ import annotations

from woollama.domain.answers import Answer
from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import (
    ArgumentsDelta,
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
    ToolProgressed,
    ToolReturned,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Message, Opaque, Reasoning, Refusal, Sealed, Text, ToolCall, ToolResult
from woollama.domain.tools import Returned
from woollama.domain.turns import Target

BEGAN = RoundBegan(0, Target("lab", "model"))
SECOND = RoundBegan(1, Target("lab", "model"))


def items_of(*events: Event) -> tuple[object, ...]:
    return Answer(events).items


def test_deltas_add_up_to_a_message_with_its_id_and_phase() -> None:
    assert items_of(
        BEGAN, ItemOpened("message", id="msg_1", phase="commentary"), TextDelta("Hel"), TextDelta("lo"), Stopped("end")
    ) == (Message("assistant", (Text("Hello"),), id="msg_1", phase="commentary"),)


def test_text_without_an_opened_item_opens_one() -> None:
    assert items_of(BEGAN, TextDelta("Hello")) == (Message("assistant", (Text("Hello"),)),)


def test_annotations_and_log_probabilities_are_gathered() -> None:
    token = {"token": "Hi", "logprob": -0.1}
    answer = Answer([BEGAN, TextDelta("Hi", logprobs=(token,)), TextDelta("", annotations=({"url": "u"},))])
    assert answer.items == (Message("assistant", (Text("Hi", ({"url": "u"},)),)),)
    assert answer.logprobs == [token]


def test_a_refusal_is_a_part_of_its_own() -> None:
    assert items_of(BEGAN, RefusalDelta("I will"), RefusalDelta(" not.")) == (
        Message("assistant", (Refusal("I will not."),)),
    )
    assert items_of(BEGAN, TextDelta("Well: "), RefusalDelta("no.")) == (
        Message("assistant", (Text("Well: "), Refusal("no."))),
    )


def test_an_opened_message_that_says_nothing_is_a_message_all_the_same() -> None:
    assert items_of(BEGAN, ItemOpened("message"), Stopped("end")) == (Message("assistant", (Text(""),)),)


def test_a_thought_keeps_its_text_its_summary_by_parts_and_its_seal() -> None:
    sealed = Sealed("c2ln", "lab")
    assert items_of(
        BEGAN,
        ItemOpened("reasoning", id="rs_1"),
        ThinkingDelta("hm"),
        ThinkingDelta("First", summary=True),
        ThinkingDelta("Second", summary=True, part=1),
        ThinkingDelta(" thing", summary=True, part=1),
        SealedSeen(sealed),
    ) == (Reasoning("hm", "rs_1", sealed, ("First", "Second thing")),)


def test_a_redacted_thought_has_nothing_but_its_seal() -> None:
    sealed = Sealed("ZGF0YQ", "lab")
    assert items_of(BEGAN, ItemOpened("reasoning", redacted=True), SealedSeen(sealed)) == (
        Reasoning(sealed=sealed, redacted=True),
    )


def test_calls_that_stream_side_by_side_are_told_apart() -> None:
    answer = Answer(
        [
            BEGAN,
            TextDelta("Both at once."),
            CallOpened(0, "call_a", "f", item_id="fc_a"),
            CallOpened(1, "call_b", "g", runs="server"),
            ArgumentsDelta(0, '{"x"'),
            ArgumentsDelta(1, "{}"),
            ArgumentsDelta(0, ": 1}"),
            CallClosed(1, "{}"),
            CallClosed(0, '{"x": 1}'),
        ]
    )
    calls = (ToolCall("call_a", "f", '{"x": 1}', item_id="fc_a"), ToolCall("call_b", "g", "{}", runs="server"))
    assert answer.items == (Message("assistant", (Text("Both at once."),)), *calls)
    assert answer.calls == calls


def test_a_call_cut_short_has_the_arguments_that_came() -> None:
    assert items_of(BEGAN, CallOpened(0, "call_a", "f"), ArgumentsDelta(0, '{"x')) == (ToolCall("call_a", "f", '{"x'),)


def test_the_whole_arguments_win_over_the_pieces() -> None:
    call = [CallOpened(0, "call_a", "f"), ArgumentsDelta(0, "{"), CallClosed(0, "{}")]
    assert items_of(BEGAN, *call) == (ToolCall("call_a", "f", "{}"),)


def test_text_after_a_call_is_a_new_message() -> None:
    first, call, second = items_of(BEGAN, TextDelta("a"), CallOpened(0, "c", "f"), CallClosed(0, "{}"), TextDelta("b"))
    assert (first, second) == (Message("assistant", (Text("a"),)), Message("assistant", (Text("b"),)))
    assert isinstance(call, ToolCall)


def test_the_rounds_of_a_turn_follow_each_other_with_results_between() -> None:
    result = Returned.of_text("noon")
    answer = Answer(
        [
            BEGAN,
            TextDelta("Let me look."),
            CallOpened(0, "call_a", "now", runs="server"),
            CallClosed(0, "{}"),
            UsageSeen(0, Usage(10, 2)),
            ToolProgressed("call_a", 0.5),
            ToolReturned("call_a", result),
            SECOND,
            TextDelta("It is noon."),
            UsageSeen(1, Usage(20, 4)),
            Stopped("end"),
        ]
    )
    assert [type(item) for item in answer.items] == [Message, ToolCall, ToolResult, Message]
    assert answer.items[2] == ToolResult("call_a", result)
    assert answer.text == "It is noon."
    assert answer.calls == ()
    assert answer.rounds == [BEGAN, SECOND]
    assert (answer.usage.total.input_tokens, answer.usage.last_round.input_tokens) == (30, 20)


def test_the_text_of_a_round_is_that_of_all_its_messages() -> None:
    blocks = [ItemOpened("message"), TextDelta("Born "), ItemOpened("message"), TextDelta("in 1916.")]
    assert Answer([BEGAN, *blocks]).text == "Born in 1916."


def test_an_opaque_item_stands_between_its_neighbours() -> None:
    search = Opaque("anthropic", {"role": "assistant", "content": [{"type": "server_tool_use"}]})
    assert items_of(BEGAN, TextDelta("a"), OpaqueSeen(search), TextDelta("b")) == (
        Message("assistant", (Text("a"),)),
        search,
        Message("assistant", (Text("b"),)),
    )


def test_rewrites_and_the_end_are_noted() -> None:
    answer = Answer([Rewrote("seed was left out"), BEGAN])
    assert answer.rewrites == ["seed was left out"]
    assert answer.ending is None
    failed = Failed(UpstreamBroke("gone"))
    answer.see(failed)
    assert answer.ending is failed
