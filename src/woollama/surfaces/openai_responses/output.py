"""The output items of a response while they grow: each knows its wire events and what it looks like now."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from woollama.domain.messages import Ask, Json, Sealed
from woollama.domain.tools import Tool
from woollama.surfaces.openai_responses.parts import OUTPUT_TEXT, REFUSAL, SUMMARY, THOUGHT, Part, PartKind, Wire
from woollama.surfaces.openai_responses.sealed import seal

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class OutputItem(ABC):
    """One item at `index` of the output. `id` is the same in every event and in the final object."""

    def __init__(self, id: str, index: int) -> None:  # noqa: A002
        self.id = id
        self.index = index
        self.status: Status = "in_progress"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.index} {self.id} {self.status}>"

    @property
    def open(self) -> bool:
        return self.status == "in_progress"

    @property
    def place(self) -> Mapping[str, Json]:
        return {"item_id": self.id, "output_index": self.index}

    def added(self) -> Iterator[Wire]:
        yield {"type": "response.output_item.added", "output_index": self.index, "item": self.render()}

    def close(self, status: Status = "completed") -> Iterator[Wire]:
        """The end of the item; nothing if it has ended."""
        if self.open:
            yield from self._closing()
            self.status = status
            yield {"type": "response.output_item.done", "output_index": self.index, "item": self.render()}

    def break_off(self) -> None:
        """The item ends here, and no event may say that it is done."""
        if self.open:
            self.status = "incomplete"

    @abstractmethod
    def render(self) -> dict[str, Json]: ...

    def _closing(self) -> Iterator[Wire]:
        return iter(())

    def _event(self, kind: str, **fields: Json) -> Wire:
        return {"type": kind, **self.place, **fields}


class MessageItem(OutputItem):
    def __init__(self, id: str, index: int, phase: str | None = None) -> None:  # noqa: A002
        super().__init__(id, index)
        self._phase = phase
        self._parts: list[Part] = []

    def text(self, text: str, logprobs: Sequence[Mapping[str, Json]] = ()) -> Iterator[Wire]:
        yield from self._part(OUTPUT_TEXT)
        yield from self._parts[-1].grow(text, logprobs)

    def cite(self, annotation: Mapping[str, Json]) -> Iterator[Wire]:
        yield from self._part(OUTPUT_TEXT)
        yield from self._parts[-1].annotate(annotation)

    def refuse(self, text: str) -> Iterator[Wire]:
        yield from self._part(REFUSAL)
        yield from self._parts[-1].grow(text)

    def render(self) -> dict[str, Json]:
        phase = {"phase": self._phase} if self._phase else {}
        content = [part.render() for part in self._parts]
        return {
            "id": self.id,
            "type": "message",
            "status": self.status,
            "role": "assistant",
            "content": content,
            **phase,
        }

    def _part(self, kind: PartKind) -> Iterator[Wire]:
        if self._parts and self._parts[-1].kind is kind:
            return
        if self._parts:
            yield from self._parts[-1].done()
        self._parts.append(Part(kind, self.place, len(self._parts)))
        yield self._parts[-1].added()

    def _closing(self) -> Iterator[Wire]:
        if not self._parts:  # a client that takes the first part of a message must find one
            yield from self._part(OUTPUT_TEXT)
        yield from self._parts[-1].done()


class ReasoningItem(OutputItem):
    def __init__(self, id: str, index: int, redacted: bool = False) -> None:  # noqa: A002
        super().__init__(id, index)
        self._redacted = redacted
        self._thought: Part | None = None
        self._summary: list[Part] = []
        self._summary_number = 0
        self._sealed: Sealed | None = None

    def think(self, text: str) -> Iterator[Wire]:
        if self._thought is None:
            self._thought = Part(THOUGHT, self.place, 0)
            yield self._thought.added()
        yield from self._thought.grow(text)

    def summarize(self, text: str, number: int) -> Iterator[Wire]:
        """`number` counts the maker's summary parts; a new one ends the part before it."""
        if not self._summary or number != self._summary_number:
            if self._summary:
                yield from self._summary[-1].done()
            self._summary_number = number
            self._summary.append(Part(SUMMARY, self.place, len(self._summary)))
            yield self._summary[-1].added()
        yield from self._summary[-1].grow(text)

    def seal(self, sealed: Sealed) -> None:
        self._sealed = sealed

    def render(self) -> dict[str, Json]:
        rendered: dict[str, Json] = {
            "id": self.id,
            "type": "reasoning",
            "summary": [part.render() for part in self._summary],
        }
        if self._thought is not None:
            rendered["content"] = [self._thought.render()]
        if self._sealed is not None:
            rendered["encrypted_content"] = seal(self._sealed, self._redacted)
        if self.status == "incomplete":
            rendered["status"] = self.status
        return rendered

    def _closing(self) -> Iterator[Wire]:
        if self._thought is not None:
            yield from self._thought.done()
        if self._summary:
            yield from self._summary[-1].done()


class WholeItem(OutputItem):
    """An item that is there at once: an approval request, an item that only this dialect has."""

    def __init__(self, id: str, index: int, rendered: Mapping[str, Json]) -> None:  # noqa: A002
        super().__init__(id, index)
        self._rendered = {**rendered, "id": id}

    @classmethod
    def approval(cls, index: int, ask: Ask) -> WholeItem:
        rendered = {
            "type": "mcp_approval_request",
            "server_label": ask.server,
            "name": ask.tool,
            "arguments": ask.arguments,
        }
        return cls(ask.id, index, rendered)

    def render(self) -> dict[str, Json]:
        return dict(self._rendered)


class ToolListItem(OutputItem):
    """What a tool server that the request named has to offer."""

    def __init__(self, id: str, index: int, label: str, tools: Sequence[Tool], error: str | None) -> None:  # noqa: A002
        super().__init__(id, index)
        self._label = label
        self._error = error
        self._tools = tools
        self._listed: Sequence[Tool] = ()

    def render(self) -> dict[str, Json]:
        listed: list[dict[str, Any]] = [
            {
                "name": tool.name,
                "description": tool.description or None,
                "input_schema": dict(tool.input_schema),
                "annotations": dict(tool.annotations) or None,
            }
            for tool in self._listed
        ]
        failed = {"error": self._error} if self._error else {}
        return {"id": self.id, "type": "mcp_list_tools", "server_label": self._label, "tools": listed, **failed}

    def added(self) -> Iterator[Wire]:
        yield from super().added()
        yield self._event("response.mcp_list_tools.in_progress")

    def _closing(self) -> Iterator[Wire]:
        self._listed = self._tools
        yield self._event(f"response.mcp_list_tools.{'failed' if self._error else 'completed'}")
