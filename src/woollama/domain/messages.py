"""What is said: the items of a conversation and the parts of a message.

Every type is frozen and means the same in every dialect. `extra` keeps the fields of a dialect that have no
word here, under the dialect's name, so that they reach a target of the same dialect as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from woollama.domain.tools import Pin, ToolOutcome

Json = Any
"""A JSON value as `json.loads` gives it."""

Extra = Mapping[str, Mapping[str, Json]]
"""Raw fields by dialect: `{"anthropic": {"cache_control": {"type": "ephemeral"}}}`."""

NO_EXTRA: Extra = MappingProxyType({})

_SEALED_PREFIX = "woollama:"


def no_extra() -> Extra:
    return NO_EXTRA


Dialect = Literal["chat", "responses", "anthropic", "ollama"]
Role = Literal["system", "developer", "user", "assistant"]
Runner = Literal["client", "server"]
"""Who runs a tool call: the program that asked us, or we ourselves."""
ConfirmBy = Literal["owner", "client"]


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    annotations: tuple[Mapping[str, Json], ...] = ()
    extra: Extra = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True)
class Image:
    """An image by `url` (`https:` or `data:`) or by the id of an uploaded file."""

    url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    extra: Extra = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True)
class Audio:
    """Base64 `data` in `format` (`wav`, `mp3`), or the `id` of audio that the maker keeps."""

    data: str | None = None
    format: str | None = None
    id: str | None = None
    transcript: str | None = None
    extra: Extra = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True)
class File:
    """A document: base64 or `data:` in `data`, or a `url`, or the id of an upload."""

    filename: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    extra: Extra = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True)
class Refusal:
    text: str


Part = Text | Image | Audio | File | Refusal


@dataclass(frozen=True, slots=True)
class Sealed:
    """Bytes that only their maker can read: encrypted reasoning, a thinking signature.

    Replayed only to the inferencer `made_by`; towards any other it is dropped and listed as a rewrite.
    A client that keeps its own history must give the maker back with the bytes, so the wire form carries both.
    `made_by` is empty for bytes that a client has from elsewhere: only a target of the client's own dialect,
    which may have made them, gets to see those.
    """

    data: str
    made_by: str

    @classmethod
    def from_wire(cls, text: str) -> Sealed:
        """What `to_wire` gave, or bytes that never passed through us."""
        if text.startswith(_SEALED_PREFIX):
            made_by, colon, data = text.removeprefix(_SEALED_PREFIX).partition(":")
            if colon:
                return cls(data, made_by)
        return cls(text, "")

    def to_wire(self) -> str:
        return f"{_SEALED_PREFIX}{self.made_by}:{self.data}" if self.made_by else self.data


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]
    id: str | None = None
    phase: str | None = None
    extra: Extra = field(default_factory=no_extra)

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought before it answered. `redacted` thoughts have no text, only what is sealed."""

    text: str = ""
    id: str | None = None
    sealed: Sealed | None = None
    summary: tuple[str, ...] = ()
    redacted: bool = False
    extra: Extra = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool. `arguments` is the JSON text that the model wrote, valid or not.

    `name` is the wire name; `server` and `tool` are what it stands for, where we run it.
    """

    id: str
    name: str
    arguments: str
    runs: Runner = "client"
    item_id: str | None = None
    extra: Extra = field(default_factory=no_extra)
    server: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    call_id: str
    outcome: ToolOutcome
    item_id: str | None = None
    extra: Extra = field(default_factory=no_extra)


@dataclass(frozen=True, slots=True)
class Ask:
    """A tool call that needs a person's yes before it runs, or a `question` that a tool asks in its middle.

    `under_way`: what waits for it has begun and cannot be left until later, as with every question.

    `arguments` is JSON text as it will be sent, `preview` one line for people in which nothing is hidden. `pin` says
    whether the tool is still what it was when first seen. `confirm_by` says whose yes counts: `client` lets the
    requesting client approve by itself. `run` is the turn that it belongs to, `session` the conversation or connection.
    The digests stand for what the tool and the recipe say now. `asked_at` and `expires_at` are unix times in seconds.
    """

    id: str
    call_id: str
    server: str
    tool: str
    arguments: str
    preview: str = ""
    question: Mapping[str, Json] | None = None
    annotations: Mapping[str, Json] = field(default_factory=dict)
    pin: Pin = "unknown"
    confirm_by: ConfirmBy = "owner"
    caller: str = ""
    recipe: str | None = None
    run: str | None = None
    session: str | None = None
    tool_digest: str = ""
    recipe_digest: str = ""
    asked_at: float = 0.0
    expires_at: float = 0.0
    under_way: bool = False

    @property
    def name(self) -> str:
        return f"{self.server}.{self.tool}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said to an `Ask`, and `by` which way. `content` is what was filled in where a tool had asked.

    `missing` says why there is none: then nobody has said anything, and nothing is approved. `dismissed`: because who
    was asked has closed the question and decided nothing.
    """

    ask_id: str
    approved: bool
    content: Mapping[str, Json] | None = None
    by: str = ""
    missing: str = ""
    dismissed: bool = False


@dataclass(frozen=True, slots=True)
class Opaque:
    """An item of one dialect that no other dialect can say: kept as it came."""

    dialect: Dialect
    raw: Mapping[str, Json]


Item = Message | Reasoning | ToolCall | ToolResult | Ask | Answer | Opaque
