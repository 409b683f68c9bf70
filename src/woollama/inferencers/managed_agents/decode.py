"""The events of a hosted session, as plain JSON objects, to the events of one round. No SDK, no network.

A round is all that the agent does until its session is idle: it thinks, speaks and runs its own tools as often as it
likes. Its own calls are told with their results; a call of a tool of ours ends the round.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from woollama.domain.errors import RouterError, UpstreamBroke
from woollama.domain.events import (
    ArgumentsDelta,
    Asked,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    RoundBegan,
    Stopped,
    StopReason,
    TextDelta,
    ToolReturned,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Ask, Json
from woollama.domain.tools import Cancelled, Paused, Returned, wire_name
from woollama.domain.turns import Target
from woollama.inferencers.anthropic.decode import usage_of
from woollama.inferencers.anthropic.errors import refusal_of
from woollama.inferencers.managed_agents.errors import error_of, goes_on

REASON_OF_WORD: Mapping[str, StopReason] = {"end_turn": "end", "refusal": "refusal", "budget_reached": "length"}
"""What each reason of an idle session means, beside `requires_action` and `retries_exhausted`."""
Waiting = Mapping[str, Mapping[str, Json]]
"""Events that a session waits for an answer to, by id."""
NOTHING: Waiting = MappingProxyType({})
_AT_WORK = ("agent.", "span.", "event_", "session.status_running")


class SessionDecoder:
    """`feed` it the events of a session since it was told something. `ended` when the round has.

    `confirmable` are calls of its own that it waits with for a yes, as whoever made the agent has set it up.
    """

    def __init__(
        self, target: Target, session_id: str, model: str | None, known: Collection[str] | None, waiting: Waiting
    ) -> None:
        """`known` are the names of custom tools that somebody here has; what else the agent calls is a question for a
        person, and so is every confirmation. Without `known` nobody can be asked. `waiting` is what it waits for
        since an earlier round, by id.
        """
        self._target = target
        self._session_id = session_id
        self._model = model
        self._usage = Usage()
        self._began = False
        self._at_work = False
        self._spoken: dict[str, dict[int, str]] = {}
        self._speaking: str | None = None
        self._own: dict[str, None] = {}
        self._known = known
        self._uses: dict[str, Mapping[str, Json]] = dict(waiting)
        self._calls = 0
        self._error: RouterError | None = None
        self.ended = False
        self.open_calls: list[str] = []
        """Calls of tools of ours that it waits for."""
        self.confirmable: list[str] = []

    def feed(self, obj: Mapping[str, Any]) -> list[Event]:
        """The events that `obj` tells, often none. Raises `RouterError` where the session says that its turn is dead,
        and `UpstreamBroke` for an event of a known kind in an unknown shape. Unknown kinds are passed over."""
        self._at_work = self._at_work or str(obj.get("type")).startswith(_AT_WORK)
        try:
            events = self._events_of(obj)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UpstreamBroke(f"{self._target} said what nobody can read") from error
        return [*self.begin(), *events] if self._at_work or self.ended else events

    def begin(self) -> list[Event]:
        """What a round begins with, unless it has begun."""
        if self._began:
            return []
        self._began = True
        return [RoundBegan(0, self._target, self._session_id, self._model)]

    def _events_of(self, obj: Mapping[str, Any]) -> list[Event]:
        match obj.get("type"):
            case "event_start":
                preview = obj["event"]
                return self._speak(preview["id"]) if preview["type"] == "agent.message" else []
            case "event_delta":
                return self._delta(obj["event_id"], obj["delta"])
            case "agent.message":
                return self._message(obj)
            case "agent.tool_use":
                return self._own_call(obj, self._target.inferencer)
            case "agent.mcp_tool_use":
                return self._own_call(obj, obj["mcp_server_name"])
            case "agent.tool_result":
                return self._own_result(obj["tool_use_id"], obj)
            case "agent.mcp_tool_result":
                return self._own_result(obj["mcp_tool_use_id"], obj)
            case "agent.custom_tool_use":
                self._uses[obj["id"]] = obj
                if self._known is not None and obj["name"] not in self._known:
                    return []
                self.open_calls.append(obj["id"])
                return self._call(CallOpened(self._calls, obj["id"], obj["name"]), obj["input"])
            case "span.model_request_end":
                self._usage += usage_of(obj["model_usage"])
                return [UsageSeen(0, self._usage)]
            case "session.error":
                self._error = error_of(str(self._target), obj["error"])
                if not goes_on(obj["error"]):
                    raise self._error
                return []
            case "session.status_idle":
                return self._idle(obj)
            case "session.status_terminated" | "session.deleted":
                raise self._error or UpstreamBroke(f"{self._target}: the session {self._session_id} has ended")
            case "error":
                raise refusal_of(obj, who=str(self._target))
            case _:
                return []

    # --- what it says

    def _speak(self, message_id: str) -> list[Event]:
        if self._speaking == message_id:
            return []
        self._speaking = message_id
        self._spoken.setdefault(message_id, {})
        return [ItemOpened("message", message_id)]

    def _delta(self, message_id: str, delta: Mapping[str, Any]) -> list[Event]:
        text = delta["content"].get("text") if delta.get("type") == "content_delta" else None
        if not text:
            return []
        opened = self._speak(message_id)
        spoken, index = self._spoken[message_id], int(delta.get("index") or 0)
        spoken[index] = spoken.get(index, "") + text
        return [*opened, TextDelta(text)]

    def _message(self, message: Mapping[str, Any]) -> list[Event]:
        """The whole of what may have been told in pieces, which may have stopped early."""
        events = self._speak(message["id"])
        spoken = self._spoken.pop(message["id"])
        self._speaking = None
        for index, block in enumerate(message["content"]):
            text, before = block.get("text") or "", spoken.get(index, "")
            if not text.startswith(before):  # the pieces were of something else: better twice than wrong
                events.append(ItemOpened("message"))
                before = ""
            if rest := text[len(before) :]:
                events.append(TextDelta(rest))
        return events

    # --- what it calls

    def _own_call(self, use: Mapping[str, Any], server: str) -> list[Event]:
        self._own[use["id"]] = None
        self._uses[use["id"]] = use
        name = use["name"]
        opened = CallOpened(
            self._calls, use["id"], wire_name(server, name), "server", item_id=use["id"], server=server, tool=name
        )
        return self._call(opened, use["input"])

    def _call(self, opened: CallOpened, given: Mapping[str, Json]) -> list[Event]:
        self._speaking = None
        self._calls += 1
        arguments = json.dumps(given, ensure_ascii=False)
        return [opened, ArgumentsDelta(opened.index, arguments), CallClosed(opened.index, arguments)]

    def _own_result(self, call_id: str, result: Mapping[str, Any]) -> list[Event]:
        if call_id not in self._own:  # of a call that was made before this round
            return []
        del self._own[call_id]
        content = tuple(_content(block) for block in result.get("content") or ())
        return [ToolReturned(call_id, Returned(content, is_error=bool(result.get("is_error"))))]

    # --- how it ends

    def _idle(self, status: Mapping[str, Any]) -> list[Event]:
        reason = status["stop_reason"]
        word = reason["type"]
        if word == "retries_exhausted":
            raise self._error or UpstreamBroke(f"{self._target}: the session gave up after repeated errors")
        if word == "requires_action":
            return self._requires(reason.get("event_ids") or [])
        if word == "end_turn" and not self._at_work:
            return []  # the end of a turn before this one, which was interrupted
        return self._end(REASON_OF_WORD.get(word, "end"), word)

    def _requires(self, event_ids: list[str]) -> list[Event]:
        """Its own calls first: when those are decided it says what is left."""
        if self._known is None:
            self.confirmable = [each for each in event_ids if each in self._own]
            if self.confirmable:
                return []
        self.open_calls = [each for each in self.open_calls if each in event_ids]
        asked = [self._uses[each] for each in event_ids if each in self._uses]
        if not self.open_calls and self._known is not None and asked:
            return [Asked(question_of(self._target, asked[0])), *self._end("paused", "requires_action")]
        if not self.open_calls:
            raise UpstreamBroke(f"{self._target} waits for an action that nobody here knows of")
        return self._end("tool_calls", "requires_action")

    def _end(self, reason: StopReason, word: str) -> list[Event]:
        self.ended = True
        given_up = [
            ToolReturned(call_id, Paused(call_id) if reason == "paused" else Cancelled()) for call_id in self._own
        ]
        self._own = {}
        return [*given_up, Stopped(reason, detail=word, native_id=self._session_id)]


def question_of(target: Target, use: Mapping[str, Json]) -> Ask:
    """What the agent waits for, as a question: its own words, or whether it may do what it wants to do."""
    given = use["input"]
    arguments = json.dumps(given, ensure_ascii=False)
    if use["type"] == "agent.custom_tool_use":
        said = given.get("question") or given.get("message") or f"{use['name']} {arguments}"
    else:
        said = f"May it run {use['name']} with {arguments}?"
    server = target.inferencer
    return Ask(use["id"], use["id"], server, use["name"], arguments, question={"message": said}, under_way=True)


def _content(block: Mapping[str, Any]) -> Mapping[str, Json]:
    """A block of a result as tools' results are said everywhere else."""
    source = block.get("source") or {}
    match block.get("type"):
        case "text":
            return {"type": "text", "text": block.get("text") or ""}
        case "image" if source.get("type") == "base64":
            return {"type": "image", "data": source["data"], "mimeType": source["media_type"]}
        case "document" if source.get("type") == "text":
            return {"type": "text", "text": source["data"]}
        case kind:
            named = block.get("title") or source.get("url") or source.get("file_id") or ""
            return {"type": "text", "text": f"[{kind} {named}]".replace(" ]", "]")}
