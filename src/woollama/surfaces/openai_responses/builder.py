"""The events of a run as the events of a Responses stream, and as the Response that they add up to.

One path for both: a streaming client gets what `see` gives, any other gets `response()` at the end. A run of many
rounds is one response; the calls that we ran stand in it as `mcp_call` items, which stay open until the tool returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar, assert_never

from woollama.domain.answers import Answer
from woollama.domain.events import (
    Answered,
    ArgumentsDelta,
    Asked,
    CallClosed,
    CallOpened,
    Event,
    Failed,
    ItemOpened,
    OpaqueSeen,
    RefusalDelta,
    Rewrote,
    RoundBegan,
    SealedSeen,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolProgressed,
    ToolReturned,
    ToolsListed,
    UsageSeen,
)
from woollama.domain.ids import new_id
from woollama.domain.messages import Ask, Opaque
from woollama.domain.tools import Tool
from woollama.domain.turns import PausedCall, Turn
from woollama.surfaces.footnotes import footnotes
from woollama.surfaces.openai_responses.calls import CallItem, CustomItem, FunctionItem, ServerCallItem
from woollama.surfaces.openai_responses.object import (
    INCOMPLETE,
    echo,
    encode_failure,
    encode_usage,
    response_id,
)
from woollama.surfaces.openai_responses.output import MessageItem, OutputItem, ReasoningItem, ToolListItem, WholeItem
from woollama.surfaces.openai_responses.parts import Wire, citation
from woollama.surfaces.openai_responses.tools import ClientTool, client_tools

AnyItem = TypeVar("AnyItem", bound=OutputItem)

_SHOWN_AS_ITEMS: Final = "tool_calls"
_UNSAID: Final = ItemOpened("message")
"""What opens an item that a sloppy producer began without a word: it has no id and no phase."""


class ResponseBuilder:
    """`see` every event of a run; `response()` is the Response as it then stands.

    `tools` are those of all tool servers: a request that names a server is told first what that server offers.
    """

    def __init__(self, turn: Turn, tools: Sequence[Tool] = (), clock: Callable[[], float] = time.time) -> None:
        self._turn = turn
        self._tools = tools
        self._clock = clock
        self._created_at = int(clock())
        self._completed_at: int | None = None
        self._client_tools = client_tools(turn)
        self._answer = Answer()
        self._items: list[OutputItem] = []
        self._ids: set[str] = set()
        self._taken: set[str] = set()
        self._message: MessageItem | None = None
        self._reasoning: ReasoningItem | None = None
        self._calls: dict[int, CallItem] = {}
        self._running: dict[str, ServerCallItem] = {}
        self._resumed: dict[str, str] = {}
        self._begun = False
        self._refused = False
        self._question: str | None = None

    def __repr__(self) -> str:
        return f"<ResponseBuilder {response_id(self._turn)} {self._status()}, {len(self._items)} items>"

    def place(self, *, kept: bool, conversation: str | None) -> None:
        """What became of the wish to have this response remembered, as its object says it."""
        self._turn = replace(self._turn, state=replace(self._turn.state, store=kept, conversation=conversation))

    def offer(self, tools: Sequence[Tool]) -> None:
        """What the tool servers have by now."""
        self._tools = tools

    def avoid(self, ids: Iterable[str]) -> None:
        """Items of the conversation have these already: there are upstreams that give each answer the same ones."""
        self._taken.update(ids)

    def resume(self, paused: Sequence[PausedCall]) -> None:
        """These calls of an earlier turn go on in this one."""
        self._resumed = {each.call.id: each.ask.id for each in paused}

    def leave_out(self, what: str) -> None:
        """Something that was asked for and is not done, for the notes of the last object; told once."""
        if what not in self._answer.rewrites:
            self._answer.see(Rewrote(what))

    def see(self, event: Event) -> list[Wire]:
        """The stream events that `event` makes, without their sequence numbers."""
        wires = self.begin()
        self._answer.see(event)
        return [*wires, *self._wires(event)]

    def begin(self) -> list[Wire]:
        """What a stream begins with, unless it has begun."""
        return [] if self._begun else list(self._begin())

    def response(self) -> dict[str, Any]:
        ending, usage = self._answer.ending, self._answer.usage
        status = self._status()
        reason = INCOMPLETE.get(ending.reason) if isinstance(ending, Stopped) and status == "incomplete" else None
        notes = {key: note for key, note in footnotes(self._answer).items() if key != _SHOWN_AS_ITEMS}
        return {
            "id": response_id(self._turn),
            "object": "response",
            "created_at": self._created_at,
            "completed_at": self._completed_at,
            "status": status,
            "error": encode_failure(ending.error) if isinstance(ending, Failed) else None,
            "incomplete_details": {"reason": reason} if reason else None,
            "output": [item.render() for item in self._items],
            "usage": encode_usage(usage.total) if ending is not None and usage.seen else None,
            **({"required_action": self._required()} if status == "requires_action" else {}),
            **echo(self._turn),
            **({"x_woollama": notes} if ending is not None and notes else {}),
        }

    def _status(self) -> str:
        match self._answer.ending:
            case None:
                return "in_progress" if self._begun or not self._turn.state.background else "queued"
            case Failed():
                return "failed"
            case Stopped(reason="cancelled"):
                return "cancelled"
            case Stopped(reason="paused") if self._question is not None:
                return "requires_action"
            case Stopped(reason="refusal"):
                return "completed" if self._refused else "incomplete"
            case Stopped() as stopped:
                return "incomplete" if stopped.reason in INCOMPLETE else "completed"

    def _required(self) -> dict[str, Any]:
        """What the next input on this conversation is the answer to."""
        return {"type": "ask_user", "question": self._question}

    def _begin(self) -> Iterator[Wire]:
        self._begun = not self._turn.state.background
        yield {"type": "response.created", "response": self.response()}
        if not self._begun:
            yield {"type": "response.queued", "response": self.response()}
            self._begun = True
        yield {"type": "response.in_progress", "response": self.response()}
        for grant in self._turn.tool_grants:
            offered = [tool for tool in self._tools if tool.server == grant.server and grant.url is None]
            if offered:
                yield from self._list_tools(grant.server, offered)

    def _list_tools(self, server: str, tools: Sequence[Tool], error: str | None = None) -> Iterator[Wire]:
        for allowed in (grant.allowed for grant in self._turn.tool_grants if grant.server == server):
            tools = [tool for tool in tools if allowed is None or tool.name in allowed]
        item = self._new(ToolListItem(new_id("mcpl_"), len(self._items), server, tools, error))
        yield from item.added()
        yield from item.close()

    def _wires(self, event: Event) -> Iterator[Wire]:
        match event:
            case TextDelta(text="", logprobs=(), annotations=()) | ThinkingDelta(text="") | RefusalDelta(text=""):
                pass  # nothing was said, and nothing must be opened for it
            case RoundBegan():
                yield from self._end_round()
            case ItemOpened(kind="message"):
                yield from self._open_message(event)
            case ItemOpened():
                yield from self._open_reasoning(event)
            case TextDelta():
                yield from self._text(event)
            case RefusalDelta():
                self._refused = True
                message = self._message or (yield from self._open_message())
                yield from message.refuse(event.text)
            case ThinkingDelta() | SealedSeen():
                yield from self._think(event)
            case CallOpened():
                yield from self._open_call(event)
            case ArgumentsDelta():
                yield from self._calls[event.index].argue(event.text)
            case CallClosed():
                yield from self._close_call(event)
            case ToolReturned():
                if running := self._running.pop(event.call_id, None):
                    yield from running.end(event.outcome)
            case OpaqueSeen():
                yield from self._opaque(event.item)
            case Asked():
                yield from self._ask(event.ask)
            case Stopped() | Failed():
                yield from self._end(event)
            case ToolsListed():
                yield from self._list_tools(event.server, event.tools, event.error)
            case Answered():
                self._question = None
            case ToolProgressed() | UsageSeen() | Rewrote():
                pass
            case _:
                assert_never(event)

    def _text(self, event: TextDelta) -> Iterator[Wire]:
        message = self._message or (yield from self._open_message())
        yield from message.text(event.text, event.logprobs)
        for annotation in event.annotations:
            if (cited := citation(annotation)) is None:
                self._leave_out(f"a citation of type {annotation.get('type')!r}")
            else:
                yield from message.cite(cited)

    def _think(self, event: ThinkingDelta | SealedSeen) -> Iterator[Wire]:
        reasoning = self._reasoning or (yield from self._open_reasoning())
        if isinstance(event, SealedSeen):
            reasoning.seal(event.sealed)
        elif event.summary:
            yield from reasoning.summarize(event.text, event.part)
        else:
            yield from reasoning.think(event.text)

    def _open_message(self, opened: ItemOpened = _UNSAID) -> Generator[Wire, None, MessageItem]:
        yield from self._close_text()
        message = MessageItem(self._fresh(opened.id, "msg_"), len(self._items), opened.phase)
        self._message = self._new(message)
        yield from message.added()
        return message

    def _open_reasoning(self, opened: ItemOpened = _UNSAID) -> Generator[Wire, None, ReasoningItem]:
        yield from self._close_text()
        reasoning = ReasoningItem(self._fresh(opened.id, "rs_"), len(self._items), opened.redacted)
        self._reasoning = self._new(reasoning)
        yield from reasoning.added()
        return reasoning

    def _open_call(self, opened: CallOpened) -> Iterator[Wire]:
        yield from self._close_text()
        index = len(self._items)
        tool = self._client_tools.get(opened.name, ClientTool(opened.name))
        call: CallItem
        if opened.runs == "server":
            item_id = self._fresh(opened.item_id, "mcp_")
            self._running[opened.id] = call = ServerCallItem(item_id, index, opened, self._resumed.get(opened.id))
        elif tool.custom:
            call = CustomItem(self._fresh(opened.item_id, "ctc_"), index, opened, tool)
        else:
            call = FunctionItem(self._fresh(opened.item_id, "fc_"), index, opened, tool)
        self._calls[opened.index] = self._new(call)
        yield from call.added()

    def _close_call(self, event: CallClosed) -> Iterator[Wire]:
        call = self._calls[event.index]
        yield from call.end_arguments(event.arguments)
        if not isinstance(call, ServerCallItem):
            yield from call.close()

    def _opaque(self, item: Opaque) -> Iterator[Wire]:
        yield from self._close_text()
        if item.dialect != "responses":
            self._leave_out(f"an item of {item.dialect}, {item.raw.get('type')!r}")
            return
        raw_id = item.raw.get("id")
        whole = WholeItem(self._fresh(raw_id if isinstance(raw_id, str) else None, "it_"), len(self._items), item.raw)
        yield from self._new(whole).added()
        yield from whole.close()

    def _ask(self, ask: Ask) -> Iterator[Wire]:
        if ask.question is not None:
            self._question = str(ask.question.get("message") or "")
        if self._turn.on_ask == "pause" and ask.question is None and ask.id not in self._ids:
            self._ids.add(ask.id)
            item = self._new(WholeItem.approval(len(self._items), ask))
            yield from item.added()
            yield from item.close()

    def _close_text(self) -> Iterator[Wire]:
        """End the message or the reasoning that is open: at most one of them is."""
        for item in (self._message, self._reasoning):
            if item is not None:
                yield from item.close()
        self._message = self._reasoning = None

    def _end_round(self) -> Iterator[Wire]:
        yield from self._close_text()
        for call in self._calls.values():
            if not isinstance(call, ServerCallItem):
                yield from call.close()
        self._calls = {}

    def _end(self, ending: Stopped | Failed) -> Iterator[Wire]:
        if isinstance(ending, Failed):
            for item in self._items:
                item.break_off()
            yield {"type": "response.failed", "response": self.response()}
            return
        status = self._status()
        whole = status in ("completed", "requires_action")
        for item in self._items:
            unfinished = not whole or isinstance(item, ServerCallItem)
            yield from item.close("incomplete" if unfinished else "completed")
        if status == "completed":
            self._completed_at = int(self._clock())
        kind = "response.completed" if whole else "response.incomplete"
        yield {"type": kind, "response": self.response()}

    def _new(self, item: AnyItem) -> AnyItem:
        self._items.append(item)
        return item

    def _fresh(self, given: str | None, prefix: str) -> str:
        """The upstream's own id for an item, unless it has used that before."""
        is_free = given not in self._ids and given not in self._taken
        item_id = given if given and is_free else new_id(prefix)
        self._ids.add(item_id)
        return item_id

    def _leave_out(self, what: str) -> None:
        self.leave_out(f"{what} was left out: this dialect has no word for it")
