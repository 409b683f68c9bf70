"""Any answer as a Responses stream: it can be read back, it is valid, and the body without a stream is its end."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dialects.responses_stream import CUSTOM_OPENING, events_of
from tests.dialects.responses_wire import check_response, check_stream
from woollama.domain.answers import Answer
from woollama.domain.errors import RouterError, UpstreamBroke
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
    ToolProgressed,
    ToolReturned,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Ask, Opaque, Sealed
from woollama.domain.tools import Denied, Offline, Paused, Returned, TimedOut
from woollama.domain.turns import INTERNAL, Target
from woollama.surfaces.openai_responses import StreamEncoder, decode, encode_answer

unhurried = settings(deadline=None)
"""How long an example takes says nothing on a machine that does other things."""

TARGET = Target("lab", "model")
REQUEST = {
    "model": "lab/model",
    "input": "go",
    "tools": [
        {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}},
        {"type": "custom", "name": "apply_patch"},
        {"type": "namespace", "name": "crm", "description": "", "tools": [{"type": "function", "name": "look__up"}]},
        {"type": "mcp", "server_label": "clock"},
    ],
}
TURN = decode(REQUEST, turn_id="turn_1", caller=INTERNAL)
FUNCTION, CUSTOM, NAMESPACED = (function.name for function in TURN.client_tools)

words = st.text(min_size=1, max_size=12)
pieces = st.lists(words, max_size=4)
usages = st.builds(Usage, *[st.integers(0, 2**40)] * 5)
tokens = st.fixed_dictionaries({"token": words, "logprob": st.floats(-50, 0), "bytes": st.lists(st.integers(0, 255))})
logprobs = st.builds(lambda token, top: {**token, "top_logprobs": top}, tokens, st.lists(tokens, max_size=2))
citations = st.builds(
    lambda start, url: {"type": "url_citation", "start_index": start, "end_index": 9, "url": url, "title": "t"},
    st.integers(0, 9),
    words,
)


class Numbered:
    """Ids and call indexes for generated items."""

    def __init__(self) -> None:
        self.items = 0
        self.calls = 0

    def item(self, prefix: str) -> str:
        self.items += 1
        return f"{prefix}{self.items}"

    def call(self) -> int:
        self.calls += 1
        return self.calls - 1


@st.composite
def reasoning(draw: st.DrawFn, numbered: Numbered) -> list[Event]:
    sealed = draw(st.none() | st.builds(Sealed, words, st.sampled_from(["", "lab", "anthropic"])))
    redacted = sealed is not None and bool(sealed.made_by) and draw(st.booleans())
    events: list[Event] = [ItemOpened("reasoning", numbered.item("rs_"), redacted=redacted)]
    events += [ThinkingDelta(text) for text in draw(pieces)]
    for part, texts in enumerate(draw(st.lists(st.lists(words, min_size=1, max_size=3), max_size=3))):
        events += [ThinkingDelta(text, summary=True, part=part) for text in texts]
    return [*events, SealedSeen(sealed)] if sealed else events


@st.composite
def message(draw: st.DrawFn, numbered: Numbered) -> list[Event]:
    phase = draw(st.sampled_from([None, "commentary", "final_answer"]))
    said = st.one_of(
        st.builds(TextDelta, words),
        st.builds(lambda text, each: TextDelta(text, (each,)), words, logprobs),
        st.builds(lambda each: TextDelta("", annotations=(each,)), citations),
    )
    refused = st.lists(st.builds(RefusalDelta, words), max_size=2)
    return [
        ItemOpened("message", numbered.item("msg_"), phase),
        *draw(st.lists(said, max_size=4)),
        *draw(refused),
    ]


@st.composite
def client_call(draw: st.DrawFn, numbered: Numbered) -> list[Event]:
    index, texts = numbered.call(), draw(pieces)
    item_id = numbered.item("fc_")
    name = draw(st.sampled_from([FUNCTION, CUSTOM, NAMESPACED]))
    opened = CallOpened(index, f"call_{index}", name, item_id=item_id)
    whole = "".join(texts)
    if name == CUSTOM:
        whole = json.dumps({"input": whole}, ensure_ascii=False)
        texts = [json.dumps(text)[1:-1] for text in texts]
        texts[:1] = [CUSTOM_OPENING + text for text in texts[:1]]
    return [opened, *(ArgumentsDelta(index, text) for text in texts), CallClosed(index, whole)]


@st.composite
def server_call(draw: st.DrawFn, numbered: Numbered) -> list[Event]:
    index, texts = numbered.call(), draw(pieces)
    item_id = numbered.item("mcp_")
    opened = CallOpened(index, item_id, "clock__now", "server", item_id, server="clock", tool="now")
    outcome = Returned.of_text(draw(words), is_error=draw(st.booleans()))
    deltas = (ArgumentsDelta(index, text) for text in texts)
    return [opened, *deltas, CallClosed(index, "".join(texts)), ToolReturned(item_id, outcome)]


@st.composite
def said_in_full(draw: st.DrawFn) -> list[Event]:
    """One round in which the producer says all that there is to say."""
    numbered = Numbered()
    kinds = st.sampled_from([reasoning, message, client_call, server_call])
    items = [draw(kind(numbered)) for kind in draw(st.lists(kinds, max_size=5))]
    returned = [item.pop() for item in items if isinstance(item[-1], ToolReturned) and draw(st.booleans())]
    if returned:  # what seals a thought is told where the thought ends, so none may be open when a tool returns
        items.append([ItemOpened("message", numbered.item("msg_")), TextDelta("meanwhile")])
    client_calls = any(isinstance(event, CallOpened) and event.runs == "client" for item in items for event in item)
    reason = draw(st.sampled_from(["tool_calls" if client_calls else "end", "length", "content_filter", "max_rounds"]))
    return [
        RoundBegan(0, TARGET, "resp_1", TURN.model),
        *(event for item in items for event in item),
        *returned,
        *([UsageSeen(0, draw(usages))] if draw(st.booleans()) else []),
        Stopped(reason),
    ]


@st.composite
def said_in_rounds(draw: st.DrawFn) -> list[Event]:
    """Several rounds of a sloppy producer: unopened items, ids missing or used twice, calls that nobody closes."""
    events: list[Event] = []
    for number in range(draw(st.integers(1, 3))):
        events.append(RoundBegan(number, TARGET))
        for index in range(draw(st.integers(0, 4))):
            events += draw(st.sampled_from([_sloppy_text, _sloppy_thought, _sloppy_call, _sloppy_rest]))(draw, index)
        if draw(st.booleans()):
            events.append(UsageSeen(number, draw(usages)))
    return events


def _sloppy_text(draw: st.DrawFn, index: int) -> list[Event]:
    opened = [ItemOpened("message", draw(st.sampled_from([None, "msg_same"])))] if draw(st.booleans()) else []
    return [*opened, *(TextDelta(text) for text in draw(st.lists(st.text(max_size=3), max_size=2)) if text)]


def _sloppy_thought(draw: st.DrawFn, index: int) -> list[Event]:
    said: list[Event] = [ThinkingDelta("hm"), ThinkingDelta("so", summary=True), SealedSeen(Sealed("x", "lab"))]
    return [ItemOpened("reasoning"), *draw(st.permutations(said))[: draw(st.integers(0, 3))]]


def _sloppy_call(draw: st.DrawFn, index: int) -> list[Event]:
    name = draw(st.sampled_from([FUNCTION, CUSTOM, NAMESPACED, "nobody_has_this"]))
    call_id = draw(st.sampled_from(["call_same", f"call_{index}"]))
    arguments = draw(st.sampled_from(["", "{}", '{"input": "x', '{"input": "\\ud83d\\ude00"}', "[]", '{"other": 1}']))
    outcomes = (Returned.of_text("ok"), Returned(()), Denied(), Offline("it fell"), TimedOut(3), Paused("ask_1"))
    runs = "server" if draw(st.booleans()) else "client"
    events: list[Event] = [CallOpened(index, call_id, name, runs), ArgumentsDelta(index, arguments)]
    events.append(CallClosed(index, arguments))
    return [*events, ToolReturned(call_id, draw(st.sampled_from(outcomes)))] if runs == "server" else events


def _sloppy_rest(draw: st.DrawFn, index: int) -> list[Event]:
    return [
        draw(
            st.sampled_from(
                [
                    Rewrote("answered by another"),
                    ToolProgressed("call_same", 1.0),
                    ToolReturned("call_unheard_of", Returned(())),
                    OpaqueSeen(Opaque("anthropic", {"type": "server_tool_use"})),
                    OpaqueSeen(
                        Opaque("responses", {"type": "compaction", "id": f"cmp_{index}", "encrypted_content": "x"})
                    ),
                    Asked(Ask(f"mcpr_{index}", "call_same", "clock", "now", "{}")),
                    TextDelta("cited", annotations=({"type": "char_location", "cited_text": "x"},)),
                ]
            )
        )
    ]


def frames_of(events: list[Event]) -> list[bytes]:
    encoder = StreamEncoder(TURN, clock=lambda: 1757612345.5)
    return [frame for event in events for frame in encoder.encode(event)]


@unhurried
@given(said_in_full())
def test_a_stream_reads_back_as_the_events_that_made_it(events: list[Event]) -> None:
    assert events_of(check_stream(frames_of(events)), TARGET) == events


ENDINGS = st.sampled_from(
    [*map(Stopped, ("end", "length", "refusal", "paused", "max_rounds", "cancelled")), Failed(UpstreamBroke("gone"))]
)


@unhurried
@given(said_in_rounds(), ENDINGS)
def test_whatever_happens_a_stream_is_valid_and_the_body_is_its_end(events: list[Event], ending: Event) -> None:
    events = [*events, TextDelta("the last word"), ending]
    streamed = check_stream(frames_of(events))[-1]["response"]
    body = encode_answer(TURN, Answer(events))

    check_response(body)
    assert settled(body) == settled(streamed)


def settled(response: dict[str, Any]) -> dict[str, Any]:
    """`response` without what is made on the way: ids, times, the order of footnotes."""
    output = [{**item, "id": index} for index, item in enumerate(response["output"])]
    notes = response.get("x_woollama", {})
    notes["rewrites"] = sorted(notes.get("rewrites", ()))
    return {
        **response,
        "output": output,
        "x_woollama": notes,
        "created_at": 0,
        "completed_at": response["completed_at"] and 1,
    }


@unhurried
@given(said_in_rounds(), st.integers(0, 40))
def test_a_failure_at_any_point_ends_in_a_failure(events: list[Event], after: int) -> None:
    error: RouterError = UpstreamBroke("the line went dead")
    wires = check_stream(frames_of([*events[:after], Failed(error)]))

    assert wires[-1]["response"]["error"]["message"] == "the line went dead"
    assert all(item.get("status") != "in_progress" for item in wires[-1]["response"]["output"])
