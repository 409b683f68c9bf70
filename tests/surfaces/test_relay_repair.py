"""A relayed chat stream passes as it came, but for tool calls and an end that no client could read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import chat_wire
from woollama.domain.errors import RouterError
from woollama.domain.frames import data_of
from woollama.surfaces.relay_repair import ChatRepair
from woollama.surfaces.sse import data_frame

ERROR = b'data: {"error":"UpstreamBroke"}\n\n'


def error_frame(error: RouterError) -> bytes:
    return data_frame({"error": type(error).__name__})


def relayed(frames: list[bytes]) -> tuple[list[bytes], ChatRepair]:
    repair = ChatRepair(error_frame)
    sent = [part for frame in frames for part in repair.repair(frame)]
    return sent + repair.end(), repair


def tool_deltas(frames: list[bytes]) -> list[dict[str, Any]]:
    chunks = [json.loads(data) for frame in frames if (data := data_of(frame)) not in (None, b"[DONE]")]
    return [piece for chunk in chunks for choice in chunk["choices"] for piece in choice["delta"].get("tool_calls", [])]


CALLS = [("now", {"timezone": "Asia/Tokyo"}), ("count", {"to": 2})]
PROPER = [
    chat_wire.frames("Hello, wörld"),
    chat_wire.frames("", calls=CALLS),
    chat_wire.frames("so", reasoning="I think", refusal="no"),
    *(
        chat_wire.malformed(kind)
        for kind in ("comment", "crlf", "cr", "multiline", "dupfinish", "usagenull", "emptychoices")
    ),
    chat_wire.malformed("multiline", calls=CALLS),
    [*chat_wire.frames("cut", finish="length")[:-1], b"event: end\ndata: [DONE]\n\n"],
    [*chat_wire.frames("a vendor's field")[:-2], b'data: {"vendor": {"x": 1e400}, "choices": []}\n\n', chat_wire.DONE],
]


@pytest.mark.parametrize("frames", PROPER)
def test_a_proper_stream_passes_byte_for_byte(frames: list[bytes]):
    sent, repair = relayed(frames)
    assert sent == frames
    assert repair.done


@pytest.mark.parametrize("kind", ["noindex", "noid", "argsobj"])
def test_tool_calls_get_what_they_lack(kind: str):
    sent, repair = relayed(chat_wire.malformed(kind, calls=CALLS))
    pieces = tool_deltas(sent)
    assert [piece["index"] for piece in pieces] == sorted(piece["index"] for piece in pieces)
    firsts = [piece for piece in pieces if "id" in piece]
    assert [(piece["type"], piece["function"]["name"]) for piece in firsts] == [
        ("function", "now"),
        ("function", "count"),
    ]
    assert len({piece["id"] for piece in firsts}) == 2
    for index, (_, arguments) in enumerate(CALLS):
        text = "".join(piece["function"]["arguments"] for piece in pieces if piece["index"] == index)
        assert json.loads(text) == arguments
    assert repair.tap.calls == 2


def test_only_the_frames_of_spoilt_calls_are_written_anew():
    frames = chat_wire.malformed("noindex", calls=CALLS)
    sent, _ = relayed(frames)
    assert [old == new for old, new in zip(frames, sent, strict=True)] == [True] * 4 + [False] * 4 + [True] * 3


def test_each_choice_counts_its_own_calls():
    def piece(choice: int) -> bytes:
        call = {"function": {"name": "now", "arguments": "{}"}}
        return chat_wire.frame({"choices": [{"index": choice, "delta": {"tool_calls": [call]}}]})

    sent, repair = relayed([piece(0), piece(1), *chat_wire.frames("x")])
    assert [each["index"] for each in tool_deltas(sent)] == [0, 0]
    assert repair.tap.calls == 2


def test_a_missing_done_is_added_after_a_finish():
    frames = chat_wire.malformed("nodone")
    assert relayed(frames)[0] == [*frames, chat_wire.DONE]


@pytest.mark.parametrize(("calls", "finish"), [([], "stop"), (CALLS, "tool_calls")])
def test_a_missing_finish_is_added_before_a_done(calls: list[Any], finish: str):
    frames = chat_wire.malformed("nofinish", calls=calls)
    sent, repair = relayed(frames)
    added = json.loads(data_of(sent[-2]) or b"")
    assert (sent[:-2], sent[-1]) == (frames[:-1], frames[-1])
    assert added["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish}
    assert (added["id"], added["object"]) == ("chatcmpl-1", "chat.completion.chunk")
    assert repair.tap.finish == finish


@pytest.mark.parametrize("frames", [[], [b": hello\n\n"], chat_wire.frames("cut off")[:2]])
def test_an_end_without_a_finish_is_an_error_and_no_success(frames: list[bytes]):
    sent, repair = relayed(frames)
    assert sent == [*frames, ERROR]
    assert not repair.done


def test_a_done_that_follows_nothing_is_an_error_too():
    assert relayed([chat_wire.DONE])[0] == [ERROR]


@pytest.mark.parametrize(
    "frames",
    [
        chat_wire.malformed("errorevent"),
        [*chat_wire.frames("x")[:2], chat_wire.frame({"object": "error", "message": "m", "code": "mid_stream"})],
    ],
)
def test_an_error_of_the_upstream_passes_and_no_success_follows_it(frames: list[bytes]):
    sent, repair = relayed([*frames, chat_wire.DONE])
    assert sent == frames
    assert repair.tap.error["code"] == "mid_stream"
    assert not repair.done


def test_nothing_passes_after_the_end():
    frames = chat_wire.frames("x")
    assert relayed([*frames, chat_wire.DONE, *frames])[0] == frames


def test_what_is_no_json_passes():
    frames = chat_wire.malformed("json")
    broken = b'data: {"usage": {"finish_reason": "x"\n\n'
    assert relayed([broken, *frames])[0] == [broken, *frames]


def test_the_tap_sees_the_first_finish_and_the_last_usage():
    frames = [
        chat_wire.frame(chat_wire.chunk({"content": "x"}, usage={"total_tokens": 1})),
        *chat_wire.frames("y", finish="length"),
    ]
    frames.insert(-1, chat_wire.frame(chat_wire.chunk({}, "stop")))
    _, repair = relayed(frames)
    assert repair.tap.finish == "length"
    assert repair.tap.usage == chat_wire.USAGE
