"""Transcripts in a tool server: its tools `create_thread`, `get_thread`, `append_turn` and `delete_thread`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

from woollama.domain.errors import Gone, StoreUnreachable
from woollama.domain.messages import Json
from woollama.domain.state import Raw
from woollama.domain.tools import Returned, ToolOutcome
from woollama.domain.wire_json import loads
from woollama.stores.messages import items_of, message_of

CallTool = Callable[[str, Mapping[str, Json]], Awaitable[ToolOutcome]]
"""`call(tool, arguments)` of the one server."""
_WRAPPERS = ("result", "thread_id", "id", "messages")
_LOST = ("not found", "unknown thread", "no thread", "no such thread")


class McpStore:
    """Implements `TranscriptStore`."""

    def __init__(self, server: str, call: CallTool) -> None:
        self.name = f"mcp:{server}"
        self._server = server
        self._call = call

    def __repr__(self) -> str:
        return f"<McpStore in {self._server}>"

    def shares(self, tables: object) -> bool:
        return False

    async def create(self) -> str:
        thread = await self._ask("create_thread")
        if not isinstance(thread, str) or not thread:
            raise StoreUnreachable(f"{self._server}.create_thread gave no id")
        return thread

    async def read(self, thread: str, begin: int = 0, end: int | None = None) -> Sequence[Raw]:
        messages = await self._ask("get_thread", thread_id=thread)
        if not isinstance(messages, list):
            raise StoreUnreachable(f"{self._server}.get_thread gave no list of messages")
        return items_of(thread, messages)[begin:end]

    async def append(self, thread: str, at: int, items: Sequence[Raw]) -> None:
        if items:
            await self._ask("append_turn", thread_id=thread, messages=[message_of(item) for item in items])

    async def delete(self, thread: str) -> None:
        with contextlib.suppress(Gone):
            await self._ask("delete_thread", thread_id=thread)

    async def _ask(self, tool: str, **arguments: Json) -> Json:
        outcome = await self._call(tool, _sound(arguments))
        said = outcome.for_model()
        if not isinstance(outcome, Returned):
            raise StoreUnreachable(f"{self._server}.{tool}: {said}")
        if outcome.is_error:
            if any(words in said.lower() for words in _LOST):
                raise Gone(f"{self._server} has lost the thread: {said}")
            raise StoreUnreachable(f"{self._server}.{tool} failed: {said}")
        return _value(outcome)


def _sound(value: Json) -> Json:
    """Without halves of surrogate pairs, which models leave over and MCP's JSON cannot say."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {key: _sound(inner) for key, inner in value.items()}
    return [_sound(inner) for inner in value] if isinstance(value, list) else value


def _value(outcome: Returned) -> Json:
    """What a tool gave, out of the wrapping that SDKs add; a list may come as one text for each of its members."""
    if outcome.structured is not None:
        return _unwrapped(outcome.structured)
    values = [_read(str(block.get("text") or "")) for block in outcome.content if block.get("type") == "text"]
    if len(values) == 1 and not (isinstance(values[0], dict) and "role" in values[0]):
        return _unwrapped(values[0])
    return values


def _unwrapped(value: Json) -> Json:
    if isinstance(value, dict):
        return next((value[name] for name in _WRAPPERS if name in value), value)
    return value


def _read(text: str) -> Json:
    """JSON that is a container or a string; a bare word is itself, also where it looks like a number."""
    if text.lstrip()[:1] in ("{", "[", '"'):
        with contextlib.suppress(ValueError):
            return loads(text.encode())
    return text
