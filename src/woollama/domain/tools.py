"""What can be called, and how a call can end."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from woollama.domain.peers import PeerError

Json = Any

Pin = Literal["unknown", "known", "changed", "quarantined"]
"""Whether a tool is what it was when it was first seen. A quarantined one has changed and is not called."""

WIRE_NAME_LIMIT = 64
JUDGED = ("title", "description", "inputSchema", "outputSchema", "annotations")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_DIGEST_CHARS = 8
_DIGEST = re.compile(rf"_[0-9a-f]{{{_DIGEST_CHARS}}}$")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of a tool server, as the server described it. `raw` is MCP's Tool object, unknown members included.

    `origin` is the address of a server elsewhere: what is answered about its tools is about those at no other address.
    """

    server: str
    name: str
    raw: Mapping[str, Json]
    pin: Pin = "unknown"
    origin: str = field(default="", repr=False)

    @property
    def qualified(self) -> str:
        """The name in files: `server.tool`."""
        return f"{self.server}.{self.name}"

    @property
    def description(self) -> str:
        return str(self.raw.get("description") or "")

    @property
    def input_schema(self) -> Mapping[str, Json]:
        return self.raw.get("inputSchema") or {"type": "object", "properties": {}}

    @property
    def annotations(self) -> Mapping[str, Json]:
        return self.raw.get("annotations") or {}

    @property
    def read_only(self) -> bool:
        return self.annotations.get("readOnlyHint") is True

    @property
    def judged(self) -> Mapping[str, Json]:
        """All that people and models judge the tool by."""
        return {member: self.raw[member] for member in JUDGED if self.raw.get(member) is not None}

    @property
    def digest(self) -> str:
        """Stands for `judged` and where that is: it changes when any of that does."""
        about = [self.server, self.name, self.judged, *([self.origin] if self.origin else [])]
        written = json.dumps(about, sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:32]

    @property
    def idempotent(self) -> bool:
        return self.read_only or self.annotations.get("idempotentHint") is True


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example of a call: what was asked (if known) and the arguments that answer it."""

    arguments: Mapping[str, Json]
    ask: str | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """What a model is offered. `tool` is set when we run it; else the client does.

    `name` is the wire name, at most 64 of `[A-Za-z0-9_-]`. `parameters` is a JSON Schema of an object; of a tool that
    we run it is what models are shown, and `schema` what its calls are held against. `renamed` are the arguments that
    are shown under other names than their own: shown -> own.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Json] | None = None
    strict: bool | None = None
    tool: Tool | None = None
    examples: tuple[Example, ...] = ()
    extra: Mapping[str, Mapping[str, Json]] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> Mapping[str, Json] | None:
        return self.tool.input_schema if self.tool is not None else self.parameters

    @property
    def exemplified(self) -> Mapping[str, Json]:
        """`parameters` with the examples that the server gives for its arguments: a word that not every API takes."""
        shown = self.parameters or {}
        properties, own = shown.get("properties"), (self.schema or {}).get("properties")
        if not isinstance(properties, dict) or not isinstance(own, dict):
            return shown
        given = {name: own.get(self.renamed.get(name, name)) for name in properties}
        examples = {
            name: each["examples"] for name, each in given.items() if isinstance(each, dict) and each.get("examples")
        }
        told = {
            name: {**value, "examples": examples[name]} if name in examples else value
            for name, value in properties.items()
        }
        return {**shown, "properties": told}

    @property
    def runs(self) -> Literal["client", "server"]:
        return "client" if self.tool is None else "server"


def wire_name(server: str, tool: str, limit: int = WIRE_NAME_LIMIT) -> str:
    """`server__tool`; a name that is too long, illegal or ambiguous is shortened with a hash of both names.

    A `__` inside either name would make `a__b` + `c` and `a` + `b__c` the same, so such names carry the hash too; and
    so do names that end as if they did, or a tool could be named to stand in for another.
    An empty `server` (a re-export under bare names) leaves the tool's own name.
    """
    plain = f"{server}__{tool}" if server else tool
    ambiguous = bool(server) and plain.count("__") != 1
    # "a_" + "_b" has one "__" too few to be told from "a" + "__b": a border that touches "_" is ambiguous as well.
    ambiguous = ambiguous or (bool(server) and (server.endswith("_") or tool.startswith("_")))
    ambiguous = ambiguous or bool(_DIGEST.search(plain))
    if len(plain) <= limit and not ambiguous and not _ILLEGAL.search(plain):
        return plain
    digest = hashlib.sha256(json.dumps([server, tool]).encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{_ILLEGAL.sub('_', plain)[: limit - _DIGEST_CHARS - 1]}_{digest}"


@dataclass(frozen=True, slots=True)
class Returned:
    """The tool answered. `content` holds MCP content blocks as they came; `is_error` is the tool's own verdict.

    `extra` is what else the result said and `refusal` the JSON-RPC error that came in its place, for an MCP host.
    """

    content: tuple[Mapping[str, Json], ...]
    structured: Json = None
    is_error: bool = False
    meta: Mapping[str, Json] | None = None
    extra: Mapping[str, Json] | None = None
    refusal: PeerError | None = None

    @classmethod
    def of_text(cls, text: str, *, is_error: bool = False) -> Returned:
        return cls(({"type": "text", "text": text},), is_error=is_error)

    @property
    def size_bytes(self) -> int:
        """About what it takes: its texts, its data and what else it says."""
        size = sum(block_bytes(block) for block in self.content)
        return size + (len(json.dumps(self.structured, ensure_ascii=False)) if self.structured is not None else 0)

    def for_model(self) -> str:
        text = "\n".join(filter(None, (_block_text(block) for block in self.content)))
        if not text and self.structured is not None:
            text = json.dumps(self.structured, ensure_ascii=False)
        if not text:
            text = "(the tool failed and said nothing)" if self.is_error else "(the tool returned nothing)"
        return f"Error: {text}" if self.is_error else text


@dataclass(frozen=True, slots=True)
class Denied:
    by: str = "the user"
    why: str = ""

    def for_model(self) -> str:
        return f"The call was denied by {self.by}." + (f" {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Unanswered:
    """`why` is half a sentence: nobody answered within 60 s."""

    why: str

    def for_model(self) -> str:
        return f"The call was not made: it needs a person's yes, and {self.why}."


@dataclass(frozen=True, slots=True)
class Offline:
    why: str

    def for_model(self) -> str:
        return f"The tool is offline, because {self.why}{'' if self.why.endswith('?') else '.'} It was not called."


@dataclass(frozen=True, slots=True)
class TimedOut:
    after_s: float

    def for_model(self) -> str:
        return f"The tool gave no result within {self.after_s:g} s and the call was cancelled."


@dataclass(frozen=True, slots=True)
class Invalid:
    problems: tuple[str, ...]

    def for_model(self) -> str:
        return "The call was not made: " + "; ".join(self.problems)


@dataclass(frozen=True, slots=True)
class Paused:
    ask_id: str

    def for_model(self) -> str:
        return "The call waits for a person's yes."


@dataclass(frozen=True, slots=True)
class Cancelled:
    def for_model(self) -> str:
        return "The call was cancelled."


ToolOutcome = Returned | Denied | Unanswered | Offline | TimedOut | Invalid | Paused | Cancelled
"""`for_model()` of each is the only place that makes text of an outcome."""


def images_of(outcome: ToolOutcome) -> Iterable[str]:
    """The images in a result as `data:` URLs, for models that can see. `for_model` leaves a placeholder for each."""
    if isinstance(outcome, Returned):
        for block in outcome.content:
            if block.get("type") == "image" and block.get("data"):
                yield f"data:{block.get('mimeType') or 'image/png'};base64,{block['data']}"


def block_bytes(block: Mapping[str, Json]) -> int:
    """Without writing all of a large block anew: what is long in one is a text of its own."""
    long = [value for value in block.values() if isinstance(value, str)]
    rest = {key: value for key, value in block.items() if not isinstance(value, str)}
    return sum(len(value.encode("utf-8", "surrogatepass")) for value in long) + len(json.dumps(rest))


def _block_text(block: Mapping[str, Json]) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text") or "")
        case "image" | "audio" as kind:
            return f"[{kind} {block.get('mimeType') or ''}]".replace(" ]", "]")
        case "resource_link":
            return f"[link {block.get('uri')} {block.get('title') or block.get('name') or ''}]".replace(" ]", "]")
        case "resource":
            resource = block.get("resource") or {}
            if isinstance(resource.get("text"), str):
                return f"[resource {resource.get('uri')}]\n{resource['text']}"
            return f"[resource {resource.get('uri')} {resource.get('mimeType') or 'binary'}]"
        case _:
            return json.dumps(dict(block), ensure_ascii=False)
