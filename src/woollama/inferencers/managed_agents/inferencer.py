"""Agents that Anthropic hosts, as models: `claude-agent/NAME` is the agent of that name, or of that id.

Each turn has a session of its own, which is deleted at its end. The agent works in a sandbox there, with tools of its
own whose calls are shown with their results; calls of tools of ours leave the session as the calls of a round, and the
next round's results go back to it. `extra_body` is added to the session's creation: the environment, vaults, a budget.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from woollama.domain.errors import Gone
from woollama.domain.events import Event
from woollama.domain.messages import Json
from woollama.domain.turns import Call, Target
from woollama.inferencers.anthropic.errors import mapped
from woollama.inferencers.anthropic.sdk import Sdk
from woollama.inferencers.managed_agents.account import Agent, agent_of, agents_of, environment_of
from woollama.inferencers.managed_agents.conversation import at_rest, lend, told_of, waited_for
from woollama.inferencers.managed_agents.encode import custom_tool, encode, result_event
from woollama.inferencers.managed_agents.session import Session
from woollama.inferencers.parked import Parked

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

TITLE = "woollama"


class ManagedAgentsInferencer:
    """Implements `domain.sessions.Sessions`, too: a conversation with an agent is one session, which it keeps.

    Timeouts are in seconds. `aclose` closes `sdk`, too.
    """

    backend = "managed-agents"
    forgets_calls = False

    def __init__(
        self,
        sdk: Sdk,
        *,
        extra_body: Mapping[str, Json] | None = None,
        first_byte_timeout_s: float = 120.0,
        idle_timeout_s: float = 120.0,
    ) -> None:
        self.name = sdk.name
        self._sdk = sdk
        self._extra_body = dict(extra_body or {})
        self._first_byte_timeout_s = first_byte_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._parked = Parked(Session.stop)

    def __repr__(self) -> str:
        return f"<ManagedAgentsInferencer {self.name!r} at {self._sdk.base_url}>"

    async def list_models(self) -> Sequence[str]:
        with mapped(self.name):
            names = [str(agent["name"]) for agent in await agents_of(await self._sdk.client(None))]
        return [name for name in names if names.count(name) == 1]

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        if call.session is not None:
            async with self._gone_on(call, call.session) as events:
                yield events
            return
        rewrites: Sequence[str] = ()
        if (taken := await self._parked.taken(call)) is not None:
            session, results = taken
            told = [result_event(each) for each in results]
        else:
            prompt = encode(call)
            session, told, rewrites = await self._opened(call, prompt.system), [prompt.event], prompt.rewrites
        try:
            async with session.round(told, rewrites) as events:
                yield events
        finally:
            if session.whole and session.open_calls:
                self._parked.park(session, session.open_calls)
            else:
                self._parked.end(session)

    async def aclose(self) -> None:
        await self._parked.aclose()
        await self._sdk.aclose()

    # --- conversations

    async def open(self, target: Target, system: str) -> str:
        with mapped(str(target)):
            client = await self._sdk.client(None)
            _, session_id = await self._created(client, Call(target, ()), system)
        return session_id

    async def delete(self, session: str) -> None:
        with mapped(self.name):
            client = await self._sdk.client(None)
            with suppress(Gone):  # one that has ended can still be deleted
                await at_rest(client, session, self._first_byte_timeout_s)
            await Session(client, Target(self.name, ""), session, None, 0, 0).delete()

    @asynccontextmanager
    async def _gone_on(self, call: Call, session_id: str) -> AsyncIterator[AsyncIterator[Event]]:
        with mapped(str(call.target)):
            client = await self._sdk.client(call.key)
            there = await at_rest(client, session_id, self._first_byte_timeout_s)
            waiting = await waited_for(client, session_id)
            if call.tools and call.choice.mode != "none":
                await lend(client, there, call.tools)
        told, rewrites = told_of(call, waiting, there.agent.system or "")
        patience = (self._first_byte_timeout_s, self._idle_timeout_s)
        session = Session(client, call.target, session_id, there.agent.model.id, *patience, kept=True)
        known = frozenset(function.name for function in call.tools)
        try:
            async with session.round(told, rewrites, known, waiting) as events:
                yield events
        finally:
            if not session.whole:
                self._parked.end(session)

    async def _opened(self, call: Call, system: str) -> Session:
        with mapped(str(call.target)):
            client = await self._sdk.client(call.key)
            agent, session_id = await self._created(client, call, system)
        model = (agent.get("model") or {}).get("id")
        return Session(client, call.target, session_id, model, self._first_byte_timeout_s, self._idle_timeout_s)

    async def _created(self, client: AsyncAnthropic, call: Call, system: str) -> tuple[Agent, str]:
        agent = await agent_of(client, call.target)
        more = dict(self._extra_body)
        environment_id = more.pop("environment_id", None) or await environment_of(client, self.name)
        session = await client.beta.sessions.create(
            agent=cast("Any", _agent(agent, call, system)),
            environment_id=environment_id,
            title=more.pop("title", TITLE),
            extra_body=more or None,
        )
        return agent, session.id


def _agent(agent: Agent, call: Call, system: str) -> Mapping[str, Json]:
    """The agent as it is, with words and tools that the call brings beside its own."""
    ours = [custom_tool(function) for function in call.tools] if call.choice.mode != "none" else []
    known = {"id": agent["id"], "version": agent["version"]}
    if not (ours or system):
        return {"type": "agent", **known}
    words = "\n\n".join(text for text in (agent.get("system"), system) if text)
    tools = [*(agent.get("tools") or ()), *ours]
    return {
        "type": "agent_with_overrides",
        **known,
        **({"system": words} if system else {}),
        **({"tools": tools} if ours else {}),
    }
