"""Calls that wait for a yes, found in a history: what became of each, and what the model is to be told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from woollama.domain.messages import Answer, Ask, Item, ToolCall, ToolResult
from woollama.domain.tools import wire_name
from woollama.domain.turns import PausedCall

WAITS_FOR = "approval_request_id"
Collect = Callable[[str], Answer | None]
"""The answer to an ask that was given elsewhere meanwhile; it is asked for no more."""


def resumed(items: Sequence[Item], collect: Collect) -> tuple[tuple[Item, ...], tuple[PausedCall, ...]]:
    """The history with each call once, and the calls in it that are still open. One without an answer is denied.

    A call that went on in a later turn stands there again, with its result; the place where it paused is left out.
    """
    ended = {item.call_id for item in items if isinstance(item, ToolResult)}
    over = {waits_for(item) for item in items if isinstance(item, ToolCall) and item.id in ended}
    asks = {item.id: item for item in items if isinstance(item, Ask)}
    answers = {item.ask_id: item for item in items if isinstance(item, Answer)}
    called = {waits_for(item) for item in items if isinstance(item, ToolCall)}
    kept: list[Item] = []
    paused: list[PausedCall] = []
    for item in items:
        for call in _calls(item, called):
            ask_id = waits_for(call)
            if ask_id is None or call.id in ended:
                kept.append(call)
            elif ask_id not in over:
                ask = asks.get(ask_id) or Ask(ask_id, call.id, call.server or "", call.tool or "", call.arguments)
                given = answers.get(ask_id)
                elsewhere = collect(ask_id)
                paused.append(PausedCall(call, replace(ask, call_id=call.id), given or elsewhere))
                kept.append(call)
        if not isinstance(item, ToolCall):
            kept.append(item)
    return tuple(kept), tuple(paused)


def waits_for(call: ToolCall) -> str | None:
    """The ask that a call of ours waits for, or went on after."""
    said: str | None = (call.extra.get("responses") or {}).get(WAITS_FOR)
    return said


def _calls(item: Item, called: set[str | None]) -> Iterator[ToolCall]:
    """A call, or the one that an ask stands for where its client has left out the call itself."""
    if isinstance(item, ToolCall):
        yield item
    elif isinstance(item, Ask) and item.id not in called:
        yield ToolCall(
            item.id,
            wire_name(item.server, item.tool),
            item.arguments,
            "server",
            extra={"responses": {WAITS_FOR: item.id}},
            server=item.server,
            tool=item.tool,
        )
