"""What a provider may have cached of a conversation, watched: the first byte that another turn has changed, and who
did.

A provider caches the beginning of a prompt: tools, then system text, then items. It is of use as long as the next
prompt begins with the same bytes. Here each prompt is kept as the hashes of its parts; where the next one of the same
conversation differs in a part that was already sent, that is a miss, and its reason is told (`woollama why-miss`).
Tools of ours are always sent in one order.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from woollama.domain import retrieve_tool
from woollama.domain.messages import Item, Message, ToolCall, ToolResult
from woollama.domain.tools import Function
from woollama.domain.turns import Call, Turn

CONVERSATIONS = 256
MISSES = 64


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Miss:
    """`at_byte` is where the prompt begins to differ, of `of_bytes` that had been sent before. `who` changed `what`."""

    at: float
    model: str
    target: str
    what: str
    who: str
    at_byte: int
    of_bytes: int


class Prefixes:
    """Bounded: the latest conversations and misses are kept, and of texts only their hashes."""

    def __init__(
        self, clock: Callable[[], float] = time.time, on_miss: Callable[[str, int], None] = lambda model, lost: None
    ) -> None:
        """`on_miss` is told the model as it was asked for, and how many bytes must be read anew."""
        self._seen: OrderedDict[tuple[str, str, str, str], tuple[Part, ...]] = OrderedDict()
        self._misses: deque[Miss] = deque(maxlen=MISSES)
        self._clock = clock
        self._on_miss = on_miss
        self._turns = self._kept = 0

    def __repr__(self) -> str:
        return f"<Prefixes of {len(self._seen)} conversations, {len(self._misses)} misses>"

    def see(self, turn: Turn, call: Call) -> None:
        """A prompt that is about to be sent."""
        parts = tuple(_parts(call))
        first = next((part.digest for part in parts if part.name == "message 1 (user)"), "")
        key = (turn.caller.name, turn.model, str(call.target), first)
        before = self._seen.pop(key, None)
        self._seen[key] = parts
        while len(self._seen) > CONVERSATIONS:
            self._seen.popitem(last=False)
        if before is None:
            return
        self._turns += 1
        at = _first_difference(before, parts)
        if at is None:
            self._kept += 1
            return
        sent = sum(part.size_bytes for part in before)
        same = sum(part.size_bytes for part in before[:at])
        what = before[at].name
        self._misses.append(Miss(self._clock(), turn.model, str(call.target), what, _who(what), same, sent))
        self._on_miss(turn.model, sent - same)

    def as_json(self) -> dict[str, Any]:
        """The latest miss first."""
        return {
            "prompts": self._turns,
            "kept": self._kept,
            "data": [asdict(miss) for miss in reversed(self._misses)],
        }


def in_one_order(tools: Sequence[Function]) -> Sequence[Function]:
    """By server and name, whatever order servers came up in or listed them; those of our own behind them, as they are.

    Tools are the beginning of every prompt.
    """

    def place(function: Function) -> tuple[bool, str]:
        own = function.tool is None or function.tool.server == retrieve_tool.SERVER
        return own, "" if own else function.name

    return sorted(tools, key=place)


def _first_difference(before: tuple[Part, ...], after: tuple[Part, ...]) -> int | None:
    for index, part in enumerate(before):
        if index >= len(after) or after[index] != part:
            return index
    return None


def _parts(call: Call) -> Iterator[Part]:
    for function in call.tools:
        whose = function.tool.server if function.tool else "the client"
        yield _part(f"tool {function.name} of {whose}", (function.name, function.description, function.parameters))
    yield _part("system text", call.system)
    messages = 0
    for number, item in enumerate(call.items, 1):
        messages += isinstance(item, Message) and item.role == "user"
        yield _part(_name(item, number, messages), item)


def _name(item: Item, number: int, messages: int) -> str:
    match item:
        case Message(role="user"):
            return f"message {messages} (user)"
        case Message():
            return f"item {number} ({item.role})"
        case ToolCall():
            return f"item {number} (call of {item.name})"
        case ToolResult():
            return f"item {number} (result of a tool)"
        case _:
            return f"item {number} ({type(item).__name__.lower()})"


def _part(name: str, value: object) -> Part:
    data = json.dumps(_plain(value), sort_keys=True, default=str).encode()
    return Part(name, hashlib.sha256(data).hexdigest()[:16], len(data))


def _plain(value: object) -> object:
    """Without ids, which are made anew when a client sends its history again."""
    if is_dataclass(value) and not isinstance(value, type):
        named = (field.name for field in fields(value) if field.name not in ("id", "item_id", "call_id"))
        return {name: _plain(getattr(value, name)) for name in named}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _who(what: str) -> str:
    if what.startswith("tool "):
        return "the client's tools" if what.endswith("the client") else f"tool server {what.rpartition(' of ')[2]}"
    return "the recipe or its variables" if what == "system text" else "the client's history"
