"""Items of a conversation to chat messages.

Chat completions has one assistant message for what other dialects say in several items: thoughts, words and calls that
follow each other are folded into one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from woollama.domain.messages import (
    Answer,
    Ask,
    Audio,
    Extra,
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
    """Add the items in order. `keeps_developer`: the target gets the role as the client of this dialect wrote it."""

    def __init__(self, inferencer: str, *, keeps_developer: bool) -> None:
        self.rewrites: list[str] = []
        self._inferencer = inferencer
        self._keeps_developer = keeps_developer
        self._messages: list[dict[str, Any]] = []
        self._assistant: dict[str, Any] | None = None

    def finished(self) -> list[dict[str, Any]]:
        return self._messages

    def add_system(self, text: str) -> None:
        self._append({"role": "system", "content": text})

    def add(self, item: Item) -> None:
        match item:
            case Message(role="assistant"):
                self._add_words(item)
            case Message():
                role = "system" if item.role == "developer" and not self._keeps_developer else item.role
                self._append({"role": role, "content": self._content(item.parts), **_extra(item.extra)})
            case Reasoning():
                self._add_reasoning(item)
            case ToolCall():
                function = {"name": item.name, "arguments": item.arguments or "{}"}
                call = {**_extra(item.extra), "id": item.id, "type": "function", "function": function}
                self._folded().setdefault("tool_calls", []).append(call)
            case ToolResult():
                content = item.outcome.for_model()
                self._append({"role": "tool", "tool_call_id": item.call_id, "content": content, **_extra(item.extra)})
                if any(images_of(item.outcome)):
                    self.rewrites.append("images in tool results were left out")
            case Opaque():
                if item.dialect == "chat":
                    self._append(dict(item.raw))
                else:
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
            self._assistant = {"role": "assistant", "content": None}
            self._messages.append(self._assistant)
        return self._assistant

    def _add_words(self, item: Message) -> None:
        refusals = [part.text for part in item.parts if isinstance(part, Refusal)]
        content = self._content(tuple(part for part in item.parts if not isinstance(part, Refusal)), assistant=True)
        open_already = self._assistant
        if open_already is not None and open_already["content"] is not None and "tool_calls" not in open_already:
            self._assistant = None  # two answers in a row stay two
        message = self._folded()
        if message["content"] and isinstance(content, str) and isinstance(message["content"], str):
            content = _PARAGRAPH.join(filter(None, (message["content"], content)))
        message["content"] = content if content or not refusals else message["content"]
        if refusals:
            message["refusal"] = "".join(refusals)
        for part in item.parts:
            if isinstance(part, Audio) and part.id:
                message["audio"] = {"id": part.id}
        message.update(_extra(item.extra))

    def _add_reasoning(self, item: Reasoning) -> None:
        made_by = item.sealed.made_by if item.sealed is not None else ""
        # A thought without a maker's name is one that a client of this dialect sent: it got it from such a target.
        if made_by != self._inferencer and not (made_by == "" and self._keeps_developer):
            self.rewrites.append("reasoning of another model was left out")
            return
        if self._assistant is not None and (self._assistant["content"] or "tool_calls" in self._assistant):
            self._assistant = None
        text = item.text or _PARAGRAPH.join(item.summary)
        message = self._folded()
        if text:
            message["reasoning_content"] = message.get("reasoning_content", "") + text
        details = _details(item.sealed.data if item.sealed is not None else "")
        if details:
            message["reasoning_details"] = [*message.get("reasoning_details", ()), *details]

    def _content(self, parts: tuple[Part, ...], *, assistant: bool = False) -> Any:
        if all(isinstance(part, Text) and not _extra(part.extra) for part in parts):
            return "".join(part.text for part in parts if isinstance(part, Text))
        encoded = [each for part in parts for each in self._part(part, assistant)]
        return encoded or None

    def _part(self, part: Part, assistant: bool) -> Iterator[dict[str, Any]]:
        match part:
            case Text():
                yield {"type": "text", "text": part.text, **_extra(part.extra)}
            case Image(url=str(url)):
                image = {"url": url, **({"detail": part.detail} if part.detail else {})}
                yield {"type": "image_url", "image_url": image, **_extra(part.extra)}
            case Audio(data=str(data)):
                audio = {"data": data, "format": part.format or "wav"}
                yield {"type": "input_audio", "input_audio": audio, **_extra(part.extra)}
            case File() if part.data or part.file_id:
                named = {"filename": part.filename, "file_data": part.data, "file_id": part.file_id}
                file = {name: value for name, value in named.items() if value is not None}
                yield {"type": "file", "file": file, **_extra(part.extra)}
            case Refusal():
                yield {"type": "refusal", "refusal": part.text}
            case Audio() if assistant and part.id:
                pass  # stands on the message itself
            case Image() | Audio() | File():
                self.rewrites.append(f"{type(part).__name__.lower()} content was left out")
            case _:
                assert_never(part)


def _extra(extra: Extra) -> Mapping[str, Any]:
    return extra.get("chat", {})


def _details(sealed: str) -> list[Any]:
    """What the maker wants back beside the text of its thoughts."""
    try:
        details = json.loads(sealed) if sealed else []
    except ValueError:
        return []
    return details if isinstance(details, list) else []
