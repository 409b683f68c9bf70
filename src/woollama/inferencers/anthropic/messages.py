"""The items of a call as Messages content: who said what, in blocks, with roles taking turns."""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import assert_never

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import (
    Answer,
    Ask,
    Audio,
    Extra,
    File,
    Image,
    Item,
    Json,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from woollama.domain.tools import Returned, images_of
from woollama.domain.turns import Call

Block = Mapping[str, Json]

THOUGHTS_LEFT_OUT = "thoughts that another model made were left out"
SYSTEM_MOVED = "a system message after the first words was sent as the user's"


class Transcript:
    """`system` and `messages` as the API takes them, and `rewrites`: what had to be changed on the way.

    The API joins neighbours of one role anyway, but look-alikes refuse them; so each role speaks once in its turn.
    """

    def __init__(self, call: Call) -> None:
        self.system: list[Block] = [{"type": "text", "text": call.system}] if call.system else []
        self.messages: list[dict[str, Json]] = []
        self.rewrites: list[str] = []
        self._inferencer = call.target.inferencer
        self._same_dialect = call.dialect == "anthropic"
        for item in call.items:
            self._add(item)
        for message in self.messages:
            # Results come before what the user says beside them: the API wants them right after their calls.
            message["content"].sort(key=lambda block: block["type"] != "tool_result")

    def _add(self, item: Item) -> None:
        match item:
            case Message(role="system" | "developer"):
                self._add_system(item)
            case Message():
                self._say(item.role, (block for part in item.parts for block in self._part(part)))
            case Reasoning():
                self._say("assistant", self._thought(item))
            case ToolCall():
                call = {"type": "tool_use", "id": item.id, "name": item.name, "input": _object_of(item.arguments)}
                self._say("assistant", [{**call, **own(item.extra)}])
            case ToolResult():
                self._say("user", [_result(item)])
            case Opaque(dialect="anthropic"):
                self._say(item.raw["role"], item.raw["content"])
            case Opaque():
                self._rewrote(f"an item that only {item.dialect} knows was left out: {item.raw.get('type')}")
            case Ask() | Answer():
                pass
            case _:
                assert_never(item)

    def _say(self, role: str, blocks: Iterable[Block]) -> None:
        said = list(blocks)
        if not said:
            return
        if not self.messages or self.messages[-1]["role"] != role:
            self.messages.append({"role": role, "content": []})
        self.messages[-1]["content"] += said

    def _add_system(self, message: Message) -> None:
        blocks = [block for part in message.parts for block in self._part(part)]
        if not self.messages:
            self.system += blocks
        elif self._same_dialect:
            self._say("system", blocks)
        else:
            self._rewrote(SYSTEM_MOVED)
            self._say("user", blocks)

    def _thought(self, item: Reasoning) -> Sequence[Block]:
        """A thought is shown to its maker alone, and only sealed: the API refuses those without a signature."""
        sealed = item.sealed
        mine = sealed is not None and sealed.made_by == self._inferencer
        if sealed is None or not (mine or (not sealed.made_by and self._same_dialect)):
            self._rewrote(THOUGHTS_LEFT_OUT)
            return []
        if item.redacted:
            return [{"type": "redacted_thinking", "data": sealed.data}]
        thinking = item.text or "\n\n".join(item.summary)
        return [{"type": "thinking", "thinking": thinking, "signature": sealed.data}]

    def _part(self, part: Part) -> Iterator[Block]:
        match part:
            case Text():
                if part.text:
                    citations = [each for each in part.annotations if "cited_text" in each]
                    shown = {"citations": citations} if citations else {}
                    yield {"type": "text", "text": part.text, **shown, **own(part.extra)}
            case Refusal():
                if part.text:
                    yield {"type": "text", "text": part.text}
            case Image():
                yield {"type": "image", "source": self._image_source(part), **own(part.extra)}
            case File():
                title = {"title": part.filename} if part.filename else {}
                yield {"type": "document", "source": self._file_source(part), **title, **own(part.extra)}
            case Audio():
                if not part.transcript:
                    raise UnsupportedField("this model takes no audio", param="messages")
                yield {"type": "text", "text": part.transcript}
            case _:
                assert_never(part)

    def _image_source(self, image: Image) -> Block:
        if image.url is None:
            return self._uploaded(image.file_id)
        if image.url.startswith("data:"):
            media_type, data = _split(image.url)
            return {"type": "base64", "media_type": media_type, "data": data}
        return {"type": "url", "url": image.url}

    def _file_source(self, file: File) -> Block:
        if file.data is not None:
            media_type, data = _split(file.data) if file.data.startswith("data:") else (None, file.data)
            media_type = media_type or mimetypes.guess_type(file.filename or "")[0] or "application/pdf"
            if media_type.startswith("text/"):
                return {"type": "text", "media_type": "text/plain", "data": _decoded(data)}
            return {"type": "base64", "media_type": media_type, "data": data}
        if file.url is not None:
            return {"type": "url", "url": file.url}
        if source := own(file.extra).get("source"):
            return dict(source)
        return self._uploaded(file.file_id)

    def _uploaded(self, file_id: str | None) -> Block:
        if not (file_id and self._same_dialect):
            raise UnsupportedField("this model has no file of that id; send the data itself", param="messages")
        return {"type": "file", "file_id": file_id}

    def _rewrote(self, what: str) -> None:
        if what not in self.rewrites:
            self.rewrites.append(what)


def own(extra: Extra | None) -> Mapping[str, Json]:
    """The fields of this dialect that have no word of ours."""
    return (extra or {}).get("anthropic", {})


def _result(item: ToolResult) -> Block:
    outcome = item.outcome
    content: Json = outcome.for_model()
    if images := list(images_of(outcome)):
        content = [{"type": "text", "text": content}]
        for url in images:
            media_type, data = _split(url)
            content.append({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}})
    failed = not isinstance(outcome, Returned) or outcome.is_error
    block = {"type": "tool_result", "tool_use_id": item.call_id, "content": content}
    return {**block, **({"is_error": True} if failed else {}), **own(item.extra)}


def _split(data_url: str) -> tuple[str | None, str]:
    head, _, data = data_url.removeprefix("data:").partition(",")
    media_type, _, encoding = head.partition(";")
    if not encoding.endswith("base64"):
        raise UnsupportedField("a data URL must be base64", param="messages")
    return media_type or None, data


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode("utf-8", "replace")
    except binascii.Error as error:
        raise BadRequest("a file's data must be base64", param="messages") from error


def _object_of(arguments: str) -> Mapping[str, Json]:
    """`input` must be an object; text that is none is wrapped, so that the model sees what it wrote."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}
