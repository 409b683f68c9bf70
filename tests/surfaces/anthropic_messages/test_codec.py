"""Messages answers: the frames of a stream, the body of a whole answer, and errors."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.normal_forms import without_null
from tests.dialects.recordings import Recording, recordings, wires_of
from woollama.domain.answers import Answer
from woollama.domain.errors import (
    Backpressure,
    BadRequest,
    InternalFault,
    NotAuthorized,
    RouterError,
    TooLarge,
    TooMany,
    UnknownModel,
    UpstreamRefused,
    UpstreamTimeout,
)
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    Failed,
    ItemOpened,
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
from woollama.domain.messages import Sealed
from woollama.domain.tools import Returned
from woollama.domain.turns import INTERNAL, Target
from woollama.surfaces.anthropic_messages import (
    SHAPE,
    StreamEncoder,
    decode,
    encode_answer,
    encode_error,
    encode_error_frame,
)

BEGAN = RoundBegan(0, Target("lab", "model"))
SECOND = RoundBegan(1, Target("lab", "model"))
TURN = decode(
    {"model": "woollama/assistant", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]},
    turn_id="turn_1",
    caller=INTERNAL,
)


def streamed(*events: Event) -> list[Any]:
    encoder = StreamEncoder(TURN)
    return wires_of(frame for event in events for frame in encoder.encode(event))


def kinds(wires: list[Any]) -> list[str]:
    return [wire["type"] for wire in wires]


def called(index: int, name: str, arguments: str, runs: Any = "client") -> list[Event]:
    return [
        CallOpened(index, f"toolu_{name}", name, runs),
        ArgumentsDelta(index, arguments),
        CallClosed(index, arguments),
    ]


TWO_ROUNDS: list[Event] = [
    BEGAN,
    UsageSeen(0, Usage(100, 1)),
    TextDelta("Let me look."),
    *called(0, "clock__now", "{}", runs="server"),
    UsageSeen(0, Usage(100, 12, reasoning_tokens=3)),
    ToolReturned("toolu_clock__now", Returned.of_text("noon")),
    SECOND,
    UsageSeen(1, Usage(140, 1, cached_tokens=90)),
    TextDelta("It is noon."),
    *called(0, "edit", '{"line": 1}'),
    UsageSeen(1, Usage(140, 20, cached_tokens=90)),
    Stopped("tool_calls"),
]


def test_several_rounds_have_one_beginning_and_one_end_and_hide_our_own_tools() -> None:
    wires = streamed(*TWO_ROUNDS)
    blocks = [wire["content_block"] for wire in wires if wire["type"] == "content_block_start"]

    assert kinds(wires).count("message_start") == kinds(wires).count("message_stop") == 1
    assert [block["type"] for block in blocks] == ["text", "text", "tool_use"]
    assert [wire["index"] for wire in wires if wire["type"] == "content_block_start"] == [0, 1, 2]
    assert b"clock__now" not in b"".join(
        orjson.dumps({key: value for key, value in wire.items() if key != "x_woollama"}) for wire in wires
    )


def test_the_input_is_the_last_rounds_and_the_output_is_summed() -> None:
    wires = streamed(*TWO_ROUNDS)
    assert wires[0]["message"]["usage"]["input_tokens"] == 100
    (delta,) = (wire for wire in wires if wire["type"] == "message_delta")
    assert delta["usage"] == {
        "input_tokens": 50,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 90,
        "output_tokens": 32,
        "output_tokens_details": {"thinking_tokens": 3},
    }


def test_the_last_frame_tells_what_a_client_could_not_know() -> None:
    wires = streamed(Rewrote("seed was left out"), *TWO_ROUNDS)
    assert wires[-1]["type"] == "message_stop"
    assert wires[-1]["x_woollama"]["rewrites"] == ["seed was left out"]
    assert wires[-1]["x_woollama"]["tool_calls"][0]["name"] == "clock__now"
    assert "x_woollama" not in streamed(BEGAN, TextDelta("Hi"), Stopped("end"))[-1]


def test_the_first_frame_waits_for_the_size_of_the_prompt_or_for_content() -> None:
    encoder = StreamEncoder(TURN)
    assert encoder.encode(BEGAN) == []
    assert encoder.encode(ItemOpened("message")) == []
    assert kinds(wires_of(encoder.encode(TextDelta("Hi")))) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
    ]


def test_an_empty_block_is_never_shown() -> None:
    wires = streamed(
        BEGAN, ItemOpened("message"), TextDelta(""), ItemOpened("reasoning"), ThinkingDelta(""), Stopped("end")
    )
    assert kinds(wires) == ["message_start", "message_delta", "message_stop"]


def test_a_failure_is_an_error_frame_without_an_end() -> None:
    wires = streamed(BEGAN, TextDelta("The"), Failed(UpstreamTimeout("silent for 60 s")))
    assert kinds(wires) == ["message_start", "content_block_start", "content_block_delta", "error"]
    assert wires[-1]["error"] == {"type": "timeout_error", "message": "silent for 60 s", "at_fault": "upstream"}


def test_calls_that_stream_side_by_side_keep_their_blocks() -> None:
    wires = streamed(
        BEGAN,
        CallOpened(0, "a", "f"),
        CallOpened(1, "b", "g"),
        ArgumentsDelta(1, '{"y"'),
        ArgumentsDelta(0, '{"x": 1}'),
        ArgumentsDelta(1, ": 2}"),
        CallClosed(0, '{"x": 1}'),
        CallClosed(1, '{"y": 2}'),
        Stopped("tool_calls"),
    )
    written = {0: "", 1: ""}
    for wire in wires:
        if wire["type"] == "content_block_delta":
            written[wire["index"]] += wire["delta"]["partial_json"]
    assert written == {0: '{"x": 1}', 1: '{"y": 2}'}
    assert kinds(wires).count("content_block_stop") == 2


def test_arguments_that_came_only_at_the_end_are_streamed_then() -> None:
    wires = streamed(BEGAN, CallOpened(0, "a", "f"), CallClosed(0, '{"x": 1}'), Stopped("tool_calls"))
    assert "".join(wire["delta"]["partial_json"] for wire in wires if wire["type"] == "content_block_delta") == (
        '{"x": 1}'
    )


def test_a_call_that_never_closed_is_closed_by_the_end() -> None:
    wires = streamed(BEGAN, CallOpened(0, "a", "f"), ArgumentsDelta(0, "{}"), Stopped("length"))
    assert kinds(wires)[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_the_parts_of_a_summary_are_set_apart() -> None:
    parts = [ThinkingDelta("One.", summary=True), ThinkingDelta("Two.", summary=True, part=1)]
    wires = streamed(BEGAN, ItemOpened("reasoning"), *parts, Stopped("end"))
    assert [wire["delta"]["thinking"] for wire in wires if wire["type"] == "content_block_delta"] == [
        "One.",
        "\n\nTwo.",
    ]


def test_a_refusal_in_words_is_text_that_ends_as_a_refusal() -> None:
    wires = streamed(BEGAN, RefusalDelta("I won't."), Stopped("end"))
    assert [wire["delta"]["text"] for wire in wires if wire["type"] == "content_block_delta"] == ["I won't."]
    assert wires[-2]["delta"]["stop_reason"] == "refusal"


def test_annotations_of_other_dialects_are_left_out() -> None:
    link = {"type": "url_citation", "url": "https://example.com", "start_index": 0, "end_index": 2}
    wires = streamed(BEGAN, TextDelta("Hi", annotations=(link,)), Stopped("end"))
    assert [wire["delta"]["type"] for wire in wires if wire["type"] == "content_block_delta"] == ["text_delta"]


def test_odd_text_from_upstreams_stays_valid_json() -> None:
    wires = streamed(BEGAN, TextDelta("half a pair: \ud83d"), Stopped("end"))
    assert wires[2]["delta"]["text"] == "half a pair: \ud83d"


def test_a_thought_goes_out_and_comes_back_with_its_maker() -> None:
    sealed = Sealed("EqQB", "lab")
    thought: list[Event] = [ItemOpened("reasoning"), ThinkingDelta("hm"), SealedSeen(sealed)]
    events: list[Event] = [BEGAN, *thought, TextDelta("Hi"), Stopped("end")]
    content = encode_answer(TURN, Answer(events))["content"]
    again = decode(
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}]},
        turn_id="turn_2",
        caller=INTERNAL,
    )
    assert again.items[1:] == Answer(events).items


# --- with the SDK as the client


def sdk(body: bytes, content_type: str) -> anthropic.AsyncAnthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return anthropic.AsyncAnthropic(api_key="k", base_url="http://mock", http_client=client, max_retries=0)


@pytest.mark.parametrize("recording", [each for each in recordings() if each.is_whole], ids=str)
async def test_the_sdk_understands_every_stream_as_it_does_the_whole_answer(recording: Recording) -> None:
    whole = encode_answer(recording.turn("anthropic"), Answer(recording.events))
    ask: Any = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}

    async with sdk(orjson.dumps(whole), "application/json") as client:
        answered = await client.messages.create(**ask)
    async with (
        sdk(b"".join(recording.encoded("anthropic")), "text/event-stream") as client,
        client.messages.stream(**ask) as stream,
    ):
        told = await stream.get_final_message()

    assert in_common(told) == in_common(answered)


def in_common(message: anthropic.types.Message) -> Any:
    """All but the id, which is made anew, and our notes, for which the SDK's accumulated message has no place."""
    return without_null({key: value for key, value in message.to_dict().items() if key not in ("id", "x_woollama")})


async def test_the_sdk_raises_what_we_say_went_wrong() -> None:
    encoder = StreamEncoder(TURN)
    events: list[Event] = [BEGAN, TextDelta("The"), Failed(Backpressure("too many at once"))]
    stream = b"".join(frame for event in events for frame in encoder.encode(event))
    async with sdk(stream, "text/event-stream") as client:
        with pytest.raises(anthropic.APIStatusError, match="too many at once") as caught:
            async with client.messages.stream(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
            ) as stream_of_events:
                await stream_of_events.get_final_message()
    assert caught.value.type == "overloaded_error"


# --- errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("no", param="messages"), "invalid_request_error"),
        (NotAuthorized("no"), "authentication_error"),
        (UnknownModel("no"), "not_found_error"),
        (TooLarge("no"), "request_too_large"),
        (TooMany("no"), "rate_limit_error"),
        (Backpressure("no"), "overloaded_error"),
        (UpstreamTimeout("no"), "timeout_error"),
        (InternalFault("no"), "api_error"),
        (UpstreamRefused("no", status=529), "overloaded_error"),
        (UpstreamRefused("no", status=502, payload="<html>"), "api_error"),
        (UpstreamRefused("no", status=422, payload={"error": {"type": "server_error"}}), "invalid_request_error"),
    ],
    ids=repr,
)
def test_an_error_has_the_dialects_type_and_says_who_is_at_fault(error: RouterError, kind: str) -> None:
    body = encode_error(error)
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["error"]["at_fault"] == error.at_fault


def test_an_error_names_its_field_where_clients_look() -> None:
    error = encode_error(BadRequest("a tool needs a `name`", param="tools[0].name"))["error"]
    assert error["message"] == "tools[0].name: a tool needs a `name`"
    assert error["param"] == "tools[0].name"
    assert encode_error(BadRequest("`model` must be a string", param="model"))["error"]["message"] == (
        "`model` must be a string"
    )


def test_what_a_messages_upstream_said_is_passed_on() -> None:
    details = {"error_code": "cmek_key_disabled"}
    payload = {
        "type": "error",
        "error": {"type": "permission_error", "message": "Disabled", "details": details},
        "request_id": "req_1",
    }
    assert encode_error(UpstreamRefused("Disabled", status=400, payload=payload)) == {
        "type": "error",
        "error": {"type": "permission_error", "message": "Disabled", "at_fault": "upstream", "details": details},
        "request_id": "req_1",
    }


def test_an_error_frame_and_a_heartbeat_are_whole_frames_of_the_dialect() -> None:
    assert kinds(wires_of([encode_error_frame(TooMany("slower")), SHAPE.heartbeat])) == ["error", "ping"]


def test_only_a_stopped_answer_has_a_body() -> None:
    with pytest.raises(TypeError, match="stopped"):
        encode_answer(TURN, Answer([BEGAN]))


# --- whatever happens


PIECES = st.sampled_from(
    [
        TextDelta("a"),
        TextDelta(""),
        ThinkingDelta("t"),
        RefusalDelta("r"),
        ItemOpened("message"),
        ItemOpened("reasoning"),
        ItemOpened("reasoning", redacted=True),
        SealedSeen(Sealed("c2ln", "lab")),
        UsageSeen(0, Usage(3, 1)),
        SECOND,
    ]
)


@given(pieces=st.lists(PIECES, max_size=12), call_at=st.integers(0, 12), ends=st.booleans())
def test_whatever_happens_every_block_is_closed_once_and_in_order(
    pieces: list[Event], call_at: int, ends: bool
) -> None:
    calls = called(0, "f", "{}") + called(1, "g", "{}", runs="server")
    ending: Event = Stopped("end") if ends else Failed(BadRequest("no"))
    wires = streamed(BEGAN, *pieces[:call_at], *calls, *pieces[call_at:], ending)

    opened = [wire["index"] for wire in wires if wire["type"] == "content_block_start"]
    closed = [wire["index"] for wire in wires if wire["type"] == "content_block_stop"]
    assert opened == list(range(len(opened)))
    assert kinds(wires).count("message_start") == 1
    assert kinds(wires).count("message_stop") == int(ends)
    assert len(closed) == len(set(closed))
    if ends:
        assert sorted(closed) == opened
    live: set[int] = set()
    for wire in wires:
        match wire["type"]:
            case "content_block_start":
                live.add(wire["index"])
            case "content_block_delta":
                assert wire["index"] in live
            case "content_block_stop":
                live.remove(wire["index"])
