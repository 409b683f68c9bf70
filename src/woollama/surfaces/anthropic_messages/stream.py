"""Messages, outbound: the events of a run to `message_start … message_stop`, whatever the number of rounds.

Rounds in which our own tools ran leave their text and their thoughts; the calls and results themselves are hidden,
because a client would take a `tool_use` block for a call that it has to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from woollama.domain.answers import Answer
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
    TextDelta,
    ThinkingDelta,
    ToolProgressed,
    ToolReturned,
    ToolsListed,
    UsageSeen,
)
from woollama.domain.ids import new_id
from woollama.domain.messages import Json, Sealed
from woollama.domain.turns import Turn
from woollama.surfaces.anthropic_messages.words import encode_error, final_usage, starting_usage, stop_reason
from woollama.surfaces.footnotes import footnotes
from woollama.surfaces.sse import event_frame

HEARTBEAT = b'event: ping\ndata: {"type":"ping"}\n\n'

SUMMARY_GAP = "\n\n"
"""Between the parts of a thought's summary, which this dialect has no parts for."""

Frame = Mapping[str, Json]


class StreamEncoder:
    """The frames of one answer. Feed it every event of the run; it gives the frames that each makes.

    Blocks open when they have something to show: an empty one would be refused when the client sends it back.
    One text or thinking block is open at a time; calls may stream side by side, as the blocks' indexes allow.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._answer = Answer()
        self._extra: Mapping[str, Json] = {}
        self._began = False
        self._refused = False
        self._redacted = False
        self._part = 0
        self._blocks = 0
        self._open: str | None = None
        self._calls: dict[int, int] = {}
        self._arguments: dict[int, list[str]] = {}

    def encode(self, event: Event) -> list[bytes]:
        self._answer.see(event)
        return [event_frame(frame["type"], frame) for frame in self._frames(event)]

    def _frames(self, event: Event) -> Iterator[Frame]:
        match event:
            case RoundBegan():
                yield from self._close_all()
                if not self._began:
                    self._extra = event.extra.get("anthropic", {})
            case UsageSeen():
                yield from self._begin()
            case ItemOpened():
                yield from self._close()
                self._redacted = event.redacted
            case TextDelta():
                yield from self._text(event.text, event.annotations)
            case RefusalDelta():
                self._refused = True
                yield from self._text(event.text)
            case ThinkingDelta():
                yield from self._thinking(event)
            case SealedSeen():
                yield from self._sealed(event.sealed)
            case CallOpened():
                yield from self._close()
                if event.runs == "client":
                    yield from self._call(event)
            case ArgumentsDelta():
                if event.index in self._calls and event.text:
                    yield from self._arguments_delta(event.index, event.text)
            case CallClosed():
                yield from self._call_closed(event)
            case OpaqueSeen():
                if event.item.dialect == "anthropic":
                    for block in event.item.raw["content"]:
                        yield from self._whole(block)
            case Stopped():
                yield from self._end(event)
            case Failed():
                yield encode_error(event.error)
            case ToolProgressed() | ToolReturned() | ToolsListed() | Asked() | Answered() | Rewrote():
                pass
            case _:
                assert_never(event)

    def _begin(self) -> Iterator[Frame]:
        """Waits for the first usage or the first content: the prompt's size belongs into the first frame."""
        if self._began:
            return
        self._began = True
        message: dict[str, Json] = {
            "id": new_id("msg_"),
            "type": "message",
            "role": "assistant",
            "model": self._turn.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": starting_usage(self._answer.usage.last_round),
        }
        yield {"type": "message_start", "message": {**message, **self._extra}}

    def _end(self, stopped: Stopped) -> Iterator[Frame]:
        yield from self._begin()
        yield from self._close_all()
        yield {
            "type": "message_delta",
            "delta": {
                "stop_reason": stop_reason(stopped, refused=self._refused),
                "stop_sequence": stopped.stop_sequence,
                **stopped.extra.get("anthropic", {}),
            },
            "usage": final_usage(self._answer.usage),
        }
        notes = footnotes(self._answer)
        yield {"type": "message_stop", **({"x_woollama": notes} if notes else {})}

    def _text(self, text: str, annotations: Iterable[Mapping[str, Json]] = ()) -> Iterator[Frame]:
        citations = citations_in(annotations)
        if text or citations:
            yield from self._ensure("text", {"text": ""})
        if text:
            yield self._delta("text_delta", text=text)
        for citation in citations:
            yield self._delta("citations_delta", citation=citation)

    def _thinking(self, event: ThinkingDelta) -> Iterator[Frame]:
        if event.text:
            gap = SUMMARY_GAP if self._open == "thinking" and event.part != self._part else ""
            self._part = event.part
            yield from self._ensure("thinking", {"thinking": "", "signature": ""})
            yield self._delta("thinking_delta", thinking=gap + event.text)

    def _sealed(self, sealed: Sealed) -> Iterator[Frame]:
        if self._redacted:
            yield from self._whole({"type": "redacted_thinking", "data": sealed.to_wire()})
        else:
            yield from self._ensure("thinking", {"thinking": "", "signature": ""})
            yield self._delta("signature_delta", signature=sealed.to_wire())

    def _call(self, event: CallOpened) -> Iterator[Frame]:
        block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
        yield from self._start({**block, **event.extra.get("anthropic", {})})
        self._calls[event.index] = self._blocks - 1
        self._arguments[event.index] = []
        yield self._delta("input_json_delta", partial_json="")

    def _arguments_delta(self, index: int, text: str) -> Iterator[Frame]:
        self._arguments[index].append(text)
        yield _delta(self._calls[index], "input_json_delta", partial_json=text)

    def _call_closed(self, event: CallClosed) -> Iterator[Frame]:
        """Ends the call's block, after what its deltas have left out of the arguments."""
        if event.index not in self._calls:
            return
        said = "".join(self._arguments[event.index])
        if event.arguments.startswith(said) and event.arguments not in (said, "{}"):
            yield from self._arguments_delta(event.index, event.arguments.removeprefix(said))
        yield _stop(self._calls.pop(event.index))

    def _whole(self, block: Mapping[str, Json]) -> Iterator[Frame]:
        """A block that came in one piece; the input of a call goes where clients look for it, into a delta."""
        streamed = block["type"] == "server_tool_use"
        yield from self._close()
        yield from self._start({**block, "input": {}} if streamed else block)
        if streamed:
            yield self._delta("input_json_delta", partial_json=json.dumps(block.get("input"), ensure_ascii=False))
        yield _stop(self._blocks - 1)

    def _ensure(self, kind: str, empty: Mapping[str, Json]) -> Iterator[Frame]:
        if self._open != kind:
            yield from self._close()
            yield from self._start({"type": kind, **empty})
            self._open = kind

    def _start(self, block: Mapping[str, Json]) -> Iterator[Frame]:
        yield from self._begin()
        self._blocks += 1
        yield {"type": "content_block_start", "index": self._blocks - 1, "content_block": block}

    def _delta(self, kind: str, **content: Json) -> Frame:
        return _delta(self._blocks - 1, kind, **content)

    def _close(self) -> Iterator[Frame]:
        """End the text or thinking block; it is the newest one, because every other block closes it first."""
        if self._open is not None:
            self._open = None
            yield _stop(self._blocks - 1)

    def _close_all(self) -> Iterator[Frame]:
        yield from self._close()
        for block in self._calls.values():
            yield _stop(block)
        self._calls = {}


def citations_in(annotations: Iterable[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """Those of a text's annotations that are in this dialect's form; the others have no equal in it."""
    return [annotation for annotation in annotations if "cited_text" in annotation]


def _delta(index: int, kind: str, **content: Json) -> Frame:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **content}}


def _stop(index: int) -> Frame:
    return {"type": "content_block_stop", "index": index}
