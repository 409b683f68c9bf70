"""Items of a conversation to the messages of Ollama's `/api/chat`.

A message has one text, and its images beside it. An assistant's thoughts, words and calls that follow each other are
one message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, assert_never

from woollama.domain.errors import UnsupportedField
from woollama.domain.messages import (
    Answer,
    Ask,
    Audio,
    File,
    Image,
    Item,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from woollama.domain.tools import images_of

_PARAGRAPH = "\n\n"


class Messages:
    """Add the items in order. `takes_foreign_thoughts`: a thought whose maker is unknown may be the target's own."""

    def __init__(self, inferencer: str, *, takes_foreign_thoughts: bool) -> None:
        self.rewrites: list[str] = []
        self._inferencer = inferencer
        self._takes_foreign_thoughts = takes_foreign_thoughts
        self._messages: list[dict[str, Any]] = []
        self._assistant: dict[str, Any] | None = None
        self._tool_of_call: dict[str, str] = {}

    def finished(self) -> list[dict[str, Any]]:
        return self._messages

    def add_system(self, text: str) -> None:
        self._append({"role": "system", "content": text})

    def add(self, item: Item) -> None:
        """Raises `UnsupportedField` for content that no model behind this API can take."""
        match item:
            case Message(role="assistant"):
                self._add_words(item)
            case Message():
                role = "user" if item.role == "user" else "system"
                self._append({"role": role, **_content(item.parts)})
            case Reasoning():
                self._add_reasoning(item)
            case ToolCall():
                self._tool_of_call[item.id] = item.name
                function = {"name": item.name, "arguments": self._arguments(item)}
                self._folded().setdefault("tool_calls", []).append({"id": item.id, "function": function})
            case ToolResult():
                self._add_result(item)
            case Opaque():
                self.rewrites.append(f"an item was left out: {item.raw.get('type') or item.dialect}")
            case Ask() | Answer():
                pass  # between a person and us; the model knows the call and its result
            case _:
                assert_never(item)

    def _append(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        self._assistant = None

    def _folded(self) -> dict[str, Any]:
        """The assistant message that is being put together."""
        if self._assistant is None:
            self._assistant = {"role": "assistant", "content": ""}
            self._messages.append(self._assistant)
        return self._assistant

    def _add_words(self, item: Message) -> None:
        said = _content(item.parts)
        before = self._assistant
        if before is not None and (before["content"] or "images" in before) and "tool_calls" not in before:
            self._assistant = None  # two answers in a row stay two
        message = self._folded()
        message["content"] = _PARAGRAPH.join(filter(None, (message["content"], said["content"])))
        if "images" in said:
            message["images"] = [*message.get("images", ()), *said["images"]]

    def _add_reasoning(self, item: Reasoning) -> None:
        made_by = item.sealed.made_by if item.sealed is not None else ""
        if made_by != self._inferencer and not (made_by == "" and self._takes_foreign_thoughts):
            self.rewrites.append("reasoning of another model was left out")
            return
        if self._assistant is not None and (self._assistant["content"] or "tool_calls" in self._assistant):
            self._assistant = None
        text = item.text or _PARAGRAPH.join(item.summary)
        if text:
            message = self._folded()
            message["thinking"] = message.get("thinking", "") + text

    def _add_result(self, item: ToolResult) -> None:
        message: dict[str, Any] = {"role": "tool", "content": item.outcome.for_model()}
        if name := self._tool_of_call.get(item.call_id):
            message["tool_name"] = name
        message["tool_call_id"] = item.call_id
        if images := [_base64_of(url) for url in images_of(item.outcome)]:
            message["images"] = images
        self._append(message)

    def _arguments(self, call: ToolCall) -> Mapping[str, Any]:
        try:
            arguments = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            arguments = None
        if isinstance(arguments, dict):
            return arguments
        self.rewrites.append("arguments of a call that are no JSON object were left out")
        return {}


def _content(parts: tuple[Part, ...]) -> dict[str, Any]:
    texts: list[str] = []
    images: list[str] = []
    for part in parts:
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case Image(url=str(url)):
                images.append(_base64_of(url))
            case Audio(transcript=str(transcript)):
                texts.append(transcript)
            case Image() | Audio() | File():
                what = "images by id" if isinstance(part, Image) else type(part).__name__.lower()
                raise UnsupportedField(f"Ollama takes text and images, no {what}", param="messages")
            case _:
                assert_never(part)
    return {"content": "".join(texts), **({"images": images} if images else {})}


def _base64_of(url: str) -> str:
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise UnsupportedField(
            "Ollama does not fetch images; send the image itself, as a data: URL in base64", param="messages"
        )
    return data
