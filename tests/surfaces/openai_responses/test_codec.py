"""Responses, outbound: what a client sees of a run, as a stream and as one body."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx2
import openai
import pytest

from tests.dialects.responses_wire import DONE, RESPONSE_FIELDS, check_response, check_stream, check_wires, wires_of
from woollama.domain.answers import Answer
from woollama.domain.errors import (
    BadRequest,
    InternalFault,
    RouterError,
    TooMany,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamUnreachable,
)
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
    RoundBegan,
    SealedSeen,
    Stopped,
    StopReason,
    TextDelta,
    ThinkingDelta,
    ToolProgressed,
    ToolReturned,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Ask, Opaque, Sealed
from woollama.domain.tools import (
    Cancelled,
    Denied,
    Invalid,
    Offline,
    Paused,
    Returned,
    TimedOut,
    Tool,
    ToolOutcome,
    Unanswered,
)
from woollama.domain.turns import INTERNAL, Target, Turn
from woollama.surfaces.openai_responses import StreamEncoder, decode, encode_answer, encode_error_frame

TARGET = Target("lab", "model")
NOW = Tool("clock", "now", {"name": "now", "description": "The time.", "annotations": {"readOnlyHint": True}})
THEN = Tool("clock", "then", {"name": "then"})
ELSEWHERE = Tool("git", "log", {"name": "log"})
HELLO: list[Event] = [RoundBegan(0, TARGET), TextDelta("Hel"), TextDelta("lo"), Stopped("end")]


def turn_of(**body: Any) -> Turn:
    return decode({"model": "lab/model", "input": "hi", **body}, turn_id="turn_7", caller=INTERNAL)


def stream(events: list[Event], known: tuple[Tool, ...] = (), **body: Any) -> list[dict[str, Any]]:
    encoder = StreamEncoder(turn_of(**body), known)
    return check_stream(frame for event in events for frame in encoder.encode(event))


def final(events: list[Event], **body: Any) -> dict[str, Any]:
    response: dict[str, Any] = stream(events, **body)[-1]["response"]
    return response


def kinds(wires: list[dict[str, Any]]) -> list[str]:
    return [wire["type"].removeprefix("response.") for wire in wires]


def test_a_plain_answer() -> None:
    wires = stream(HELLO)

    assert kinds(wires) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [wire["delta"] for wire in wires if "delta" in wire] == ["Hel", "lo"]
    (message,) = wires[-1]["response"]["output"]
    assert message["content"] == [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]


def test_each_event_is_one_frame_and_done_is_the_last() -> None:
    encoder = StreamEncoder(turn_of())
    frames = [encoder.encode(event) for event in HELLO]

    assert frames[-1][-1] == DONE
    assert DONE not in itertools.chain(*frames[:-1], frames[-1][:-1])
    assert all(frame.endswith(b"\n\n") and frame.count(b"\n\n") == 1 for frame in itertools.chain(*frames))


def test_an_answer_of_many_rounds_has_one_beginning_and_one_end() -> None:
    wires = stream(
        [
            RoundBegan(0, TARGET),
            ItemOpened("message"),
            TextDelta("Let me look."),
            CallOpened(0, "call_1", "clock__now", "server", server="clock", tool="now"),
            ArgumentsDelta(0, '{"timezone":'),
            ArgumentsDelta(0, '"Asia/Tokyo"}'),
            CallClosed(0, '{"timezone":"Asia/Tokyo"}'),
            UsageSeen(0, Usage(10, 5, cached_tokens=4)),
            ToolProgressed("call_1", 0.5),
            ToolReturned("call_1", Returned.of_text("22:19")),
            RoundBegan(1, TARGET),
            TextDelta("It is 22:19."),
            UsageSeen(1, Usage(30, 6, cached_tokens=8, cache_write_tokens=1, reasoning_tokens=2)),
            Stopped("end"),
        ]
    )

    assert kinds(wires).count("created") == kinds(wires).count("completed") == 1
    assert [kind for kind in kinds(wires) if "mcp" in kind] == [
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
    ]
    response = wires[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["message", "mcp_call", "message"]
    call = response["output"][1]
    assert (call["server_label"], call["name"], call["arguments"]) == ("clock", "now", '{"timezone":"Asia/Tokyo"}')
    assert (call["status"], call["output"], call["error"]) == ("completed", "22:19", None)
    assert response["usage"] == {
        "input_tokens": 40,
        "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 1},
        "output_tokens": 11,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 51,
    }
    assert response["x_woollama"] == {"rounds": 2, "last_round": {"input_tokens": 30, "output_tokens": 6}}


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [
        (Returned((), structured={"a": 1}), "completed", None),
        (
            Returned.of_text("no such zone", is_error=True),
            "failed",
            {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "no such zone"}]},
        ),
        (Offline("it crashed"), "failed", {"type": "mcp_protocol_error", "code": -32000}),
        (TimedOut(3), "failed", {"type": "mcp_protocol_error", "code": -32001}),
        (Invalid(("no timezone",)), "failed", {"type": "mcp_protocol_error", "code": -32602}),
        (Denied(), "failed", {"type": "mcp_tool_execution_error"}),
        (Unanswered("nobody answered within 60 s"), "failed", {"type": "mcp_tool_execution_error"}),
        (Cancelled(), "failed", {"type": "mcp_tool_execution_error"}),
        (Paused("mcpr_1"), "incomplete", None),
    ],
)
def test_how_a_call_of_ours_can_end(outcome: ToolOutcome, status: str, error: dict[str, Any] | None) -> None:
    wires = stream(
        [
            CallOpened(0, "call_1", "clock__now", "server", server="clock", tool="now"),
            CallClosed(0, "{}"),
            ToolReturned("call_1", outcome),
            Stopped("end"),
        ]
    )
    (call,) = wires[-1]["response"]["output"]

    assert call["status"] == status
    assert (call["error"] or {}).items() >= (error or {}).items()
    assert (call["error"] is None) == (error is None)
    assert (call["output"] is not None) == (status == "completed")
    assert call["approval_request_id"] == ("mcpr_1" if status == "incomplete" else None)
    assert (f"mcp_call.{status}" in kinds(wires)) == (status != "incomplete")
    if error and error["type"] == "mcp_protocol_error":
        assert call["error"]["message"] == outcome.for_model()


def test_a_call_of_ours_that_nobody_could_name_has_our_label() -> None:
    response = final(
        [
            CallOpened(0, "call_1", "made_up", "server"),
            CallClosed(0, "{}"),
            ToolReturned("call_1", Invalid(("there is no tool 'made_up'",))),
            Stopped("end"),
        ]
    )
    assert (response["output"][0]["server_label"], response["output"][0]["name"]) == ("woollama", "made_up")


def test_what_a_named_server_offers_is_listed_first() -> None:
    wires = stream(
        HELLO,
        known=(NOW, THEN, ELSEWHERE),
        tools=[{"type": "mcp", "server_label": "clock", "allowed_tools": ["now"]}],
    )

    assert kinds(wires)[2:6] == [
        "output_item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "output_item.done",
    ]
    listed = wires[-1]["response"]["output"][0]
    assert (listed["type"], listed["server_label"]) == ("mcp_list_tools", "clock")
    assert [tool["name"] for tool in listed["tools"]] == ["now"]
    assert listed["tools"][0]["annotations"] == {"readOnlyHint": True}


def test_a_server_of_the_requests_own_is_repeated_without_what_was_for_it_alone() -> None:
    own = {"server_label": "far", "server_url": "https://far.example/secret?k=secret", "authorization": "secret"}
    wires = stream(HELLO, tools=[{"type": "mcp", **own, "headers": {"x-key": "secret"}}])
    (tool,) = wires[-1]["response"]["tools"]
    assert tool == {"type": "mcp", "server_label": "far", "server_url": "https://far.example/<redacted>"}
    assert "secret" not in json.dumps(wires)


def test_nothing_is_listed_for_a_request_that_named_no_server() -> None:
    assert "mcp_list_tools.completed" not in kinds(stream(HELLO, known=(NOW,)))


def test_parallel_calls_of_the_client_keep_their_places() -> None:
    wires = stream(
        [
            CallOpened(0, "call_a", "look"),
            CallOpened(1, "call_b", "crm__find"),
            ArgumentsDelta(1, "{}"),
            ArgumentsDelta(0, '{"at":'),
            CallClosed(1, "{}"),
            ArgumentsDelta(0, "1}"),
            CallClosed(0, '{"at":1}'),
            Stopped("tool_calls"),
        ],
        tools=[
            {"type": "function", "name": "look"},
            {
                "type": "namespace",
                "name": "crm",
                "description": "",
                "tools": [{"type": "function", "name": "find"}],
            },
        ],
    )

    first, second = wires[-1]["response"]["output"]
    assert (first["call_id"], first["name"], first["arguments"]) == ("call_a", "look", '{"at":1}')
    assert (second["call_id"], second["name"], second["namespace"]) == ("call_b", "find", "crm")
    assert kinds(wires)[-1] == "completed"


def test_arguments_that_came_at_once_are_told_as_one_delta() -> None:
    wires = stream([CallOpened(0, "call_a", "look"), CallClosed(0, '{"at":1}'), Stopped("tool_calls")])

    assert [wire["delta"] for wire in wires if wire["type"].endswith(".delta")] == ['{"at":1}']


def test_a_thought_is_told_with_its_summary_and_sealed_for_its_maker() -> None:
    wires = stream(
        [
            ItemOpened("reasoning"),
            ThinkingDelta("Hm"),
            ThinkingDelta(", so."),
            ThinkingDelta("First.", summary=True),
            ThinkingDelta("Second.", summary=True, part=1),
            SealedSeen(Sealed("c2ln", "anthropic")),
            TextDelta("Done."),
            Stopped("end"),
        ]
    )

    thought = wires[-1]["response"]["output"][0]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm, so."}]
    assert [part["text"] for part in thought["summary"]] == ["First.", "Second."]
    (again,) = turn_of(input=[thought]).items
    assert again.sealed == Sealed("c2ln", "anthropic")  # type: ignore[union-attr]


def test_a_redacted_thought_comes_back_redacted() -> None:
    events: list[Event] = [ItemOpened("reasoning", redacted=True), SealedSeen(Sealed("eA==", "anthropic"))]
    thought = final([*events, Stopped("end")])["output"][0]

    (again,) = turn_of(input=[thought]).items
    assert (again.redacted, again.sealed) == (True, Sealed("eA==", "anthropic"))  # type: ignore[union-attr]


def test_a_thought_that_nobody_sealed_has_no_encrypted_content_at_all() -> None:
    assert "encrypted_content" not in final([ThinkingDelta("hm"), Stopped("end")])["output"][0]


def test_a_refusal() -> None:
    wires = stream([ItemOpened("message"), RefusalDelta("I can"), RefusalDelta("not."), Stopped("refusal")])

    assert kinds(wires)[3:8] == [
        "content_part.added",
        "refusal.delta",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
    ]
    response = wires[-1]["response"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "I cannot."}]


def test_citations_are_spelt_as_this_dialect_does_and_others_are_named_as_left_out() -> None:
    flat = {"type": "url_citation", "start_index": 0, "end_index": 3, "url": "https://example.org", "title": "E"}
    nested = {"type": "url_citation", "url_citation": {key: flat[key] for key in flat if key != "type"}}
    strange = {"type": "char_location", "cited_text": "x"}
    response = final([TextDelta("See", annotations=(flat, nested, strange)), Stopped("end")])

    assert response["output"][0]["content"][0]["annotations"] == [flat, flat]
    assert "char_location" in response["x_woollama"]["rewrites"][0]


def test_probabilities_of_tokens_are_completed() -> None:
    token = {"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "e", "logprob": -2}]}
    response = final([TextDelta("é", (token,)), Stopped("end")])

    assert response["output"][0]["content"][0]["logprobs"] == [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -2, "bytes": [101]}],
        }
    ]


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("end", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_calls", "completed", None),
        ("paused", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
        ("max_rounds", "incomplete", "max_messages"),
        ("cancelled", "cancelled", None),
    ],
)
def test_how_an_answer_can_stop(reason: StopReason, status: str, details: str | None) -> None:
    wires = stream([RoundBegan(0, TARGET), TextDelta("Hel"), Stopped(reason)])
    response = wires[-1]["response"]

    assert kinds(wires)[-1] == ("completed" if status == "completed" else "incomplete")
    assert response["status"] == status
    assert response["incomplete_details"] == (details and {"reason": details})
    assert response["output"][0]["status"] == ("completed" if status == "completed" else "incomplete")
    assert isinstance(response["completed_at"], int) == (status == "completed")


@pytest.mark.parametrize(
    ("error", "code", "at_fault"),
    [
        (UpstreamBroke("the line went dead"), "server_error", "upstream"),
        (InternalFault("a defect"), "server_error", "router"),
        (TooMany("slow down"), "rate_limit_exceeded", "client"),
        (UpstreamRefused("quota", status=429), "rate_limit_exceeded", "upstream"),
        (BadRequest("no such role"), "invalid_prompt", "client"),
    ],
)
def test_a_failure_says_what_went_wrong_and_nothing_that_looks_like_success(
    error: RouterError, code: str, at_fault: str
) -> None:
    encoder = StreamEncoder(turn_of())
    events: list[Event] = [RoundBegan(0, TARGET), TextDelta("Hel"), Failed(error)]
    frames = [frame for event in events for frame in encoder.encode(event)]
    wires = check_stream(frames)

    assert kinds(wires)[-2:] == ["output_text.delta", "failed"]
    assert wires[-1]["response"]["error"] == {"code": code, "message": error.message, "at_fault": at_fault}
    assert DONE not in frames


def test_a_failure_before_the_first_word_still_begins() -> None:
    assert kinds(stream([Failed(UpstreamUnreachable("nobody home"))])) == ["created", "in_progress", "failed"]


def test_usage_is_unknown_rather_than_nothing() -> None:
    assert final(HELLO)["usage"] is None


def test_nothing_is_opened_for_words_that_say_nothing() -> None:
    events: list[Event] = [TextDelta(""), ThinkingDelta(""), RefusalDelta(""), CallOpened(0, "call_a", "look")]
    response = final([*events, CallClosed(0, "{}"), Stopped("tool_calls")])

    assert [item["type"] for item in response["output"]] == ["function_call"]


def test_an_id_that_an_upstream_uses_twice_names_one_item() -> None:
    events: list[Event] = [
        ItemOpened("message", "msg_0"),
        TextDelta("a"),
        ItemOpened("message", "msg_0"),
        TextDelta("b"),
    ]
    first, second = final([*events, Stopped("end")])["output"]

    assert first["id"] == "msg_0"
    assert second["id"].startswith("msg_")
    assert second["id"] != "msg_0"


def test_an_item_that_only_this_dialect_has_is_passed_on_and_any_other_is_named_as_left_out() -> None:
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "x"},
    }
    events: list[Event] = [OpaqueSeen(Opaque("responses", search)), OpaqueSeen(Opaque("anthropic", {"type": "blob"}))]
    response = final([*events, Stopped("end")])

    assert response["output"] == [search]
    assert "blob" in response["x_woollama"]["rewrites"][0]


def test_a_pause_asks_for_approval_only_where_the_client_can_take_one() -> None:
    ask = Ask("mcpr_1", "call_1", "clock", "now", '{"a":1}')
    events: list[Event] = [
        CallOpened(0, "call_1", "clock__now", "server", server="clock", tool="now"),
        CallClosed(0, '{"a":1}'),
        Asked(ask),
        ToolReturned("call_1", Paused("mcpr_1")),
        Stopped("paused"),
    ]
    granted = {"tools": [{"type": "mcp", "server_label": "clock"}]}

    assert [item["type"] for item in final(events)["output"]] == ["mcp_call"]
    call, request = final(events, **granted)["output"]
    assert call["approval_request_id"] == request["id"] == "mcpr_1"
    assert request == {
        "id": "mcpr_1",
        "type": "mcp_approval_request",
        "server_label": "clock",
        "name": "now",
        "arguments": '{"a":1}',
    }


def test_what_was_asked_for_is_echoed() -> None:
    look = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    asked: dict[str, Any] = {
        "instructions": "Be brief.",
        "temperature": 0,
        "top_p": 0.5,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "max_output_tokens": 64,
        "max_tool_calls": 3,
        "top_logprobs": 2,
        "parallel_tool_calls": False,
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "user": "u",
        "tool_choice": {"type": "function", "name": "look"},
    }
    response = final(HELLO, **asked, tools=[look], reasoning={"effort": "low"}, text={"verbosity": "high"})

    assert {key: response[key] for key in asked} == asked
    assert response["tools"] == [{**look, "description": None, "strict": None}]
    assert response["reasoning"] == {"effort": "low", "summary": None}
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "high"}
    assert response["model"] == "lab/model"


def test_what_was_not_asked_for_has_the_dialects_defaults() -> None:
    response = final(HELLO)

    assert set(response) == RESPONSE_FIELDS
    assert (response["id"], response["store"], response["background"]) == ("resp_7", False, False)
    assert (response["temperature"], response["top_p"], response["truncation"]) == (1.0, 1.0, "disabled")
    assert (response["tools"], response["tool_choice"], response["metadata"]) == ([], "auto", {})
    assert (response["service_tier"], response["parallel_tool_calls"]) == ("default", True)


def test_a_schema_is_echoed_whole() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    assert final(HELLO, text={"format": form})["text"]["format"] == {**form, "description": None}


def test_the_body_without_a_stream_is_the_last_object_of_the_stream() -> None:
    body = encode_answer(turn_of(), Answer(HELLO))

    check_response(body)
    assert body["output"][0]["content"][0]["text"] == "Hello"
    assert body["status"] == "completed"


def test_an_error_outside_a_stream_of_ours_is_one_event() -> None:
    (wire,) = wires_of([encode_error_frame(UpstreamBroke("gone"))])
    check_wires([wire])

    assert (wire["type"], wire["message"], wire["code"]) == ("error", "gone", "upstream_broke")
    assert wire["error"]["at_fault"] == "upstream"


def sdk(frames: list[bytes]) -> openai.AsyncOpenAI:
    """The official client, connected to nothing but these frames."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(frames))

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return openai.AsyncOpenAI(base_url="http://lab/v1", api_key="none", http_client=client, max_retries=0)


async def test_the_official_client_adds_the_stream_up_to_the_same_response() -> None:
    encoder = StreamEncoder(turn_of())
    events: list[Event] = [
        RoundBegan(0, TARGET),
        ThinkingDelta("hm"),
        CallOpened(0, "call_1", "clock__now", "server", server="clock", tool="now"),
        CallClosed(0, "{}"),
        ToolReturned("call_1", Returned.of_text("noon")),
        RoundBegan(1, TARGET),
        TextDelta("It is "),
        TextDelta("noon."),
        CallOpened(0, "call_2", "look"),
        ArgumentsDelta(0, '{"at":1}'),
        CallClosed(0, '{"at":1}'),
        UsageSeen(1, Usage(3, 4)),
        Stopped("tool_calls"),
    ]
    frames = [frame for event in events for frame in encoder.encode(event)]

    async with sdk(frames) as client, client.responses.stream(model="lab/model", input="hi") as seen:
        said = [event.delta async for event in seen if event.type == "response.output_text.delta"]
        response = await seen.get_final_response()

    assert said == ["It is ", "noon."]
    assert response.output_text == "It is noon."
    assert [item.type for item in response.output] == ["reasoning", "mcp_call", "message", "function_call"]
    assert response.usage is not None
    assert response.usage.total_tokens == 7


async def test_the_official_client_raises_what_breaks_a_relayed_stream() -> None:
    async with sdk([encode_error_frame(UpstreamBroke("gone"))]) as client:
        with pytest.raises(openai.APIError, match="gone"):
            async for _ in await client.responses.create(model="lab/model", input="hi", stream=True):
                pass
