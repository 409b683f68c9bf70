"""Agents that Anthropic hosts, as models: `claude-agent/NAME` is the agent of that name, or of that id.

Each turn has a session of its own, which is deleted at its end. The agent works in a sandbox there, with tools of its
own whose calls are shown with their results; calls of tools of ours leave the session as the calls of a round, and the
next round's results go back to it. `extra_body` is added to the session's creation: the environment, vaults, a budget.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from woollama.domain.events import Event
from woollama.domain.messages import Json
from woollama.domain.turns import Call
from woollama.inferencers.anthropic.errors import mapped
from woollama.inferencers.anthropic.sdk import BASE_URL, Sdk
from woollama.inferencers.http.endpoint import Auth
from woollama.inferencers.http.frames import FRAME_LIMIT_BYTES
from woollama.inferencers.managed_agents.account import Agent, agent_of, agents_of, environment_of
from woollama.inferencers.managed_agents.encode import custom_tool, encode, result_event
from woollama.inferencers.managed_agents.session import Session
from woollama.inferencers.parked import Parked

TITLE = "woollama"


class ManagedAgentsInferencer:
    """`key` is asked at each call; with `auth="client"` the caller's own is used. Timeouts are in seconds."""

    def __init__(
        self,
        name: str,
        *,
        key: Callable[[], str | None],
        auth: Auth = "key",
        base_url: str = BASE_URL,
        headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Json] | None = None,
        connect_timeout_s: float = 5.0,
        first_byte_timeout_s: float = 120.0,
        idle_timeout_s: float = 120.0,
        frame_limit_bytes: int = FRAME_LIMIT_BYTES,
    ) -> None:
        self.name = name
        self._extra_body = dict(extra_body or {})
        self._first_byte_timeout_s = first_byte_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._parked = Parked(Session.stop)
        self._sdk = Sdk(
            name,
            key=key,
            auth=auth,
            base_url=base_url,
            headers=headers,
            connect_timeout_s=connect_timeout_s,
            silence_s=max(first_byte_timeout_s, idle_timeout_s),
            frame_limit_bytes=frame_limit_bytes,
        )

    def __repr__(self) -> str:
        return f"<ManagedAgentsInferencer {self.name!r} at {self._sdk.base_url}>"

    async def list_models(self) -> Sequence[str]:
        with mapped(self.name):
            names = [str(agent["name"]) for agent in await agents_of(await self._sdk.client(None))]
        return [name for name in names if names.count(name) == 1]

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
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

    async def _opened(self, call: Call, system: str) -> Session:
        with mapped(str(call.target)):
            client = await self._sdk.client(call.key)
            agent = await agent_of(client, call.target)
            more = dict(self._extra_body)
            environment_id = more.pop("environment_id", None) or await environment_of(client, self.name)
            session = await client.beta.sessions.create(
                agent=cast("Any", _agent(agent, call, system)),
                environment_id=environment_id,
                title=more.pop("title", TITLE),
                extra_body=more or None,
            )
        model = (agent.get("model") or {}).get("id")
        return Session(client, call.target, session.id, model, self._first_byte_timeout_s, self._idle_timeout_s)


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
