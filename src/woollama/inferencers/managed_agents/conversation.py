"""A hosted session that goes on: how it stands, what it waits for, and what a new input is to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from woollama.domain.errors import Gone, UpstreamTimeout
from woollama.domain.messages import Message, ToolResult
from woollama.domain.tools import Function
from woollama.domain.turns import Call
from woollama.inferencers.managed_agents.decode import Waiting
from woollama.inferencers.managed_agents.encode import INTERRUPT, EventParams, custom_tool, encode, result_event

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types.beta import BetaManagedAgentsSession

YES = frozenset({"yes", "y", "ok", "okay", "allow", "allowed", "approve", "approved", "go ahead", "sure", "ja"})
SYSTEM_LEFT_OUT = "instructions were left out: a session keeps those that it began with"
_POLL_S = 0.25
_CALLS: tuple[Any, ...] = ("agent.custom_tool_use", "agent.tool_use", "agent.mcp_tool_use")


async def at_rest(client: AsyncAnthropic, session_id: str, patience_s: float) -> BetaManagedAgentsSession:
    """The session, once it is idle. One that still works on a turn that nobody waits for is interrupted.

    Raises `Gone` for one that is not there or has ended for good.
    """
    import anthropic

    interrupted = False
    try:
        async with asyncio.timeout(patience_s):
            while True:
                session = await client.beta.sessions.retrieve(session_id)
                if session.status == "terminated" or session.archived_at is not None:
                    raise Gone(f"the session {session_id} has ended for good", code="session_lost")
                if session.status == "idle":
                    return session
                if not interrupted:
                    interrupted = True
                    await client.beta.sessions.events.send(session_id, events=cast("Any", INTERRUPT))
                await asyncio.sleep(_POLL_S)
    except anthropic.NotFoundError as error:
        raise Gone(f"the session {session_id} is not there any more", code="session_lost") from error
    except TimeoutError:
        raise UpstreamTimeout(f"the session {session_id} does not stop what it is doing") from None


async def waited_for(client: AsyncAnthropic, session_id: str) -> Waiting:
    """What an idle session waits for: it is asked, so this holds after a restart and for everybody."""
    events = client.beta.sessions.events
    last = await events.list(session_id, order="desc", limit=1, types=["session.status_idle"])
    if not last.data:
        return {}
    reason: Any = last.data[0].to_dict().get("stop_reason") or {}
    ids = set(reason.get("event_ids") or ()) if reason.get("type") == "requires_action" else set()
    found: dict[str, Any] = {}
    if ids:
        async for use in events.list(session_id, order="desc", types=list(_CALLS)):
            if use.id in ids:
                found[use.id] = use.to_dict()
            if len(found) == len(ids):
                break
    return found


async def lend(client: AsyncAnthropic, session: BetaManagedAgentsSession, functions: Sequence[Function]) -> None:
    """Let its agent have these tools beside its own, as they are now."""
    ours = [dict(custom_tool(function)) for function in functions]
    names = {function.name for function in functions}
    has = [tool.to_dict() for tool in session.agent.tools]
    others = [tool for tool in has if not (tool["type"] == "custom" and tool["name"] in names)]
    if [tool for tool in has if tool not in others] != ours:
        await client.beta.sessions.update(session.id, agent=cast("Any", {"tools": [*others, *ours]}))


def told_of(call: Call, waiting: Waiting, system: str) -> tuple[Sequence[EventParams], Sequence[str]]:
    """What `call` brings that is new, as events, and what was changed in it: results and answers to what is waited
    for; else a message. `system` is what the session's agent has been told already."""
    results = [item for item in call.items if isinstance(item, ToolResult) and item.call_id in waiting]
    events: list[EventParams] = [result_event(each) for each in results]
    given = {each.call_id for each in results}
    last = call.items[-1]
    open_questions = [use for use_id, use in waiting.items() if use_id not in given]
    if not isinstance(last, Message):
        if events:
            return events, ()
    elif open_questions:
        return [*events, *(_answer(use, last.text) for use in open_questions)], ()
    rest = tuple(item for item in call.items if not (isinstance(item, ToolResult) and item.call_id in given))
    prompt = encode(replace(call, items=rest))
    left_out = [SYSTEM_LEFT_OUT] if prompt.system and prompt.system not in system else []
    return [*events, prompt.event], [*prompt.rewrites, *left_out]


def _answer(use: Any, text: str) -> EventParams:
    if use["type"] == "agent.custom_tool_use":
        content = [{"type": "text", "text": text}]
        return {"type": "user.custom_tool_result", "custom_tool_use_id": use["id"], "content": content}
    said = {"type": "user.tool_confirmation", "tool_use_id": use["id"]}
    if text.strip().rstrip(".!").lower() in YES:
        return {**said, "result": "allow"}
    return {**said, "result": "deny", "deny_message": text}
