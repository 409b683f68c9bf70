"""Recorded streams of all dialects, decoded to events and encoded again.

A recording is `tests/golden/<dialect>/<name>.sse` (`.ndjson` for Ollama's), the bytes as a service sent them; beside it
may lie `<name>.request.json`, the body that it answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.dialects import responses_stream
from woollama.domain.errors import RouterError
from woollama.domain.events import ArgumentsDelta, CallClosed, Event, Failed
from woollama.domain.messages import Dialect
from woollama.domain.turns import INTERNAL, Target, Turn
from woollama.inferencers.anthropic.decode import MessagesStreamDecoder
from woollama.inferencers.ollama.decode import OllamaStreamDecoder
from woollama.inferencers.openai.decode import ChatStreamDecoder
from woollama.surfaces import anthropic_messages, openai_chat, openai_responses

GOLDEN = Path(__file__).parents[1] / "golden"
DIALECTS: tuple[Dialect, ...] = ("anthropic", "chat", "responses")
"""Those that streams are encoded in."""
RECORDED: tuple[Dialect, ...] = (*DIALECTS, "ollama")
CODECS: dict[Dialect, ModuleType] = {
    "anthropic": anthropic_messages,
    "chat": openai_chat,
    "responses": openai_responses,
}
REQUESTS: dict[Dialect, dict[str, Any]] = {
    "anthropic": {"max_tokens": 1024, "messages": [{"role": "user", "content": "Hello"}]},
    "chat": {"messages": [{"role": "user", "content": "Hello"}], "stream_options": {"include_usage": True}},
    "responses": {"input": "Hello"},
}
DONE = "[DONE]"


@dataclass(frozen=True)
class Recording:
    dialect: Dialect
    name: str

    def __str__(self) -> str:
        return f"{self.dialect}-{self.name}"

    @property
    def raw(self) -> bytes:
        return (GOLDEN / self.dialect / f"{self.name}{_suffix(self.dialect)}").read_bytes()

    @property
    def wires(self) -> list[Any]:
        return (
            [json.loads(line) for line in self.raw.splitlines()] if self.dialect == "ollama" else wires_of([self.raw])
        )

    @property
    def target(self) -> Target:
        return Target("maker", self._model)

    @property
    def _model(self) -> str:
        first: dict[str, Any] = self.wires[0]
        holders = (first, first.get("message", {}), first.get("response", {}))
        return next(str(holder["model"]) for holder in holders if "model" in holder)

    @property
    def is_whole(self) -> bool:
        return not isinstance(self.events[-1], Failed)

    @property
    def events(self) -> list[Event]:
        """What the dialect's decoder makes of it; a stream that breaks off ends in `Failed`, as in a run."""
        events: list[Event] = []
        try:
            events.extend(self._decoded())
        except RouterError as error:
            events.append(Failed(error))
        return events

    def _decoded(self) -> Iterator[Event]:
        wires = [wire for wire in self.wires if wire != DONE]
        match self.dialect:
            case "anthropic":
                messages = MessagesStreamDecoder(self.target)
                for wire in wires:
                    yield from messages.feed(wire)
                yield from messages.close()
            case "chat":
                chat = ChatStreamDecoder(self.target)
                for wire in wires:
                    yield from chat.feed(wire)
                yield from chat.close(done=DONE in self.wires)
            case "ollama":
                ollama = OllamaStreamDecoder(self.target)
                for wire in wires:
                    yield from ollama.feed(wire)
                ollama.close()
            case _:
                yield from _told_in_full(responses_stream.events_of(wires, self.target))

    def turn(self, dialect: Dialect) -> Turn:
        """A request in `dialect`: the recorded one, if it is of that dialect."""
        recorded = GOLDEN / self.dialect / f"{self.name}.request.json"
        same = dialect == self.dialect and recorded.exists()
        body = json.loads(recorded.read_bytes()) if same else {"model": self._model, **REQUESTS[dialect]}
        turn: Turn = CODECS[dialect].decode(body, turn_id="turn_1", caller=INTERNAL)
        return turn

    def encoded(self, dialect: Dialect) -> list[bytes]:
        encoder = CODECS[dialect].StreamEncoder(self.turn(dialect))
        return [frame for event in self.events for frame in encoder.encode(event)]


def _told_in_full(events: Sequence[Event]) -> Iterator[Event]:
    """Every call with deltas that add up to its arguments: the text of a custom tool gets its wrapping only at its
    end, so for such calls the whole stands in for the deltas."""
    written: dict[int, str] = {}
    for event in events:
        if isinstance(event, ArgumentsDelta):
            written[event.index] = written.get(event.index, "") + event.text
    whole = {event.index: event.arguments for event in events if isinstance(event, CallClosed)}
    wrapped = {index for index, arguments in whole.items() if written.get(index, "") != arguments}
    for event in events:
        if isinstance(event, CallClosed) and event.index in wrapped:
            yield ArgumentsDelta(event.index, event.arguments)
        if not (isinstance(event, ArgumentsDelta) and event.index in wrapped):
            yield event


def recordings(*dialects: Dialect) -> Sequence[Recording]:
    found = [
        Recording(dialect, path.stem)
        for dialect in dialects or RECORDED
        for path in sorted((GOLDEN / dialect).glob(f"*{_suffix(dialect)}"))
    ]
    assert {recording.dialect for recording in found} == set(dialects or RECORDED)
    return found


def _suffix(dialect: Dialect) -> str:
    return ".ndjson" if dialect == "ollama" else ".sse"


def wires_of(frames: Iterable[bytes]) -> list[Any]:
    """The JSON of each frame, `[DONE]` as that word; comments are passed over, an event line must fit its object."""
    wires: list[Any] = []
    for frame in b"".join(frames).split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if not line.startswith(b":") and line)
        if not fields:
            continue
        wire = DONE if fields[b"data"] == DONE.encode() else json.loads(fields[b"data"])
        if b"event" in fields:
            assert fields[b"event"].decode() == wire["type"]
        wires.append(wire)
    return wires
