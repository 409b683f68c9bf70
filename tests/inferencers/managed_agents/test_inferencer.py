"""Hosted agents through the SDK, against a service on loopback that keeps to the SDK's own types."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.inferencers.managed_agents.service import KEY, Refused, Service, environment, serving
from woollama.domain.errors import (
    RouterError,
    UnknownModel,
    UnsupportedField,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamUnreachable,
)
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    Rewrote,
    RoundBegan,
    Stopped,
    TextDelta,
    ToolReturned,
    UsageSeen,
)
from woollama.domain.messages import Image, Message, Text, ToolCall, ToolResult
from woollama.domain.tools import Function, Returned
from woollama.domain.turns import Call, Params, ResponseFormat, Target
from woollama.inferencers.anthropic.sdk import Sdk
from woollama.inferencers.managed_agents import ManagedAgentsInferencer

HELPER = Target("claude-agent", "helper")
PATIENCE_S = 60.0
ECHO = Function("echo", "Says it again", {"type": "object", "properties": {"text": {"type": "string"}}})


def asked(text: str, **more: Any) -> Call:
    return Call(HELPER, (Message("user", (Text(text),)),), **more)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as running:
        yield running


@pytest.fixture
async def agents(service: Service) -> AsyncIterator[ManagedAgentsInferencer]:
    inferencer = ManagedAgentsInferencer(Sdk("claude-agent", key=lambda: KEY, base_url=service.url))
    yield inferencer
    await inferencer.aclose()
    assert service.sessions == {}  # nothing is left behind


async def events_of(inferencer: ManagedAgentsInferencer, call: Call) -> list[Event]:
    async with asyncio.timeout(PATIENCE_S), inferencer.answer(call) as events:
        return [event async for event in events]


def words(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_an_answer_streams_in_pieces_with_its_usage(service: Service, agents: ManagedAgentsInferencer) -> None:
    events = await events_of(agents, asked("Hello"))
    assert [type(event) for event in events] == [
        RoundBegan, ItemOpened, TextDelta, TextDelta, UsageSeen, Stopped
    ]  # fmt: skip
    began, ending = events[0], events[-1]
    assert isinstance(began, RoundBegan)
    assert isinstance(ending, Stopped)
    assert (began.model, began.native_id) == ("claude-opus-5-5", "sesn_1")
    assert words(events) == "You said: Hello"
    (usage,) = [event.usage for event in events if isinstance(event, UsageSeen)]
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (25, 3, 7)
    assert (ending.reason, ending.detail) == ("end", "end_turn")
    assert service.created == [
        {"agent": {"type": "agent", "id": "agent_1", "version": 3}, "environment_id": "env_1", "title": "woollama"}
    ]


async def test_what_it_runs_itself_is_told_with_its_results(agents: ManagedAgentsInferencer) -> None:
    events = await events_of(agents, asked("@run ls"))
    (opened,) = [event for event in events if isinstance(event, CallOpened)]
    assert (opened.runs, opened.server, opened.tool) == ("server", "claude-agent", "bash")
    assert [event.arguments for event in events if isinstance(event, CallClosed)] == ['{"command": "ls"}']
    (returned,) = [event for event in events if isinstance(event, ToolReturned)]
    assert returned == ToolReturned(opened.id, Returned(({"type": "text", "text": "ran ls"},)))
    assert words(events) == "Let me look.It is done."
    usage = [event.usage for event in events if isinstance(event, UsageSeen)]
    assert [each.output_tokens for each in usage] == [7, 14]


async def test_a_tool_of_an_mcp_server_of_its_own_has_that_servers_name(agents: ManagedAgentsInferencer) -> None:
    events = await events_of(agents, asked("@search owls"))
    (opened,) = [event for event in events if isinstance(event, CallOpened)]
    assert (opened.server, opened.tool, opened.name) == ("library", "find", "library__find")


async def test_a_call_of_a_tool_of_ours_goes_on_with_its_result(
    service: Service, agents: ManagedAgentsInferencer
) -> None:
    first = asked('@call echo {"text": "noon"}', tools=(ECHO,), system="Be brief.")
    began = await events_of(agents, first)
    (opened,) = [event for event in began if isinstance(event, CallOpened)]
    assert (opened.name, opened.runs, opened.server) == ("echo", "client", None)
    assert isinstance(began[-1], Stopped)
    assert began[-1].reason == "tool_calls"
    assert ArgumentsDelta(0, '{"text": "noon"}') in began
    history = (
        *first.items,
        ToolCall(opened.id, "echo", "{}"),
        ToolResult(opened.id, Returned(({"type": "text", "text": "noon"},))),
    )
    rest = await events_of(agents, Call(HELPER, history, tools=(ECHO,)))
    assert words(rest) == "The tool said: noon"
    (created,) = service.created
    assert created["agent"]["system"] == "Be kind.\n\nBe brief."
    own, ours = created["agent"]["tools"]
    assert own["type"] == "agent_toolset_20260401"
    assert (ours["name"], ours["type"]) == ("echo", "custom")


async def test_an_open_call_ends_with_the_task_of_its_turn(service: Service, agents: ManagedAgentsInferencer) -> None:
    await asyncio.create_task(events_of(agents, asked('@call echo {"text": "x"}', tools=(ECHO,))))
    await service.until(lambda: not service.sessions)


async def test_what_would_need_a_yes_is_told_no(service: Service, agents: ManagedAgentsInferencer) -> None:
    events = await events_of(agents, asked("@risky rm"))
    assert words(events) == "I was not allowed to."
    assert any(isinstance(event, Rewrote) and "it was told no" in event.what for event in events)
    assert service.told[-1]["result"] == "deny"


async def test_a_history_is_told_inside_the_message(service: Service, agents: ManagedAgentsInferencer) -> None:
    items = (Message("user", (Text("I am Ada."),)), Message("assistant", (Text("Hello Ada."),)))
    call = Call(HELPER, (*items, Message("user", (Text("Who am I?"),))), params=Params(temperature=0.5))
    events = await events_of(agents, call)
    (told,) = service.told
    assert "<user>\nI am Ada.\n</user>\n\n<assistant>\nHello Ada.\n</assistant>" in told["content"][0]["text"]
    notes = [event.what for event in events if isinstance(event, Rewrote)]
    assert "temperature was left out: a hosted agent has its own" in notes
    assert any("earlier turns" in note for note in notes)


async def test_images_are_shown_to_it(service: Service, agents: ManagedAgentsInferencer) -> None:
    image = Image("data:image/png;base64,aGk=", extra={"anthropic": {"cache_control": {"type": "ephemeral"}}})
    await events_of(agents, Call(HELPER, (Message("user", (Text("What is it?"), image)),)))
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert service.told[-1]["content"][-1] == {"type": "image", "source": source}


@pytest.mark.parametrize(("word", "reason"), [("@refuse", "refusal"), ("@budget", "length")])
async def test_other_ends(agents: ManagedAgentsInferencer, word: str, reason: str) -> None:
    events = await events_of(agents, asked(word))
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == reason


# --- what goes wrong


@pytest.mark.parametrize(
    ("kind", "status"), [("model_rate_limited_error", 429), ("billing_error", 402), ("unknown_error", 502)]
)
async def test_an_error_of_a_session_is_the_answers(agents: ManagedAgentsInferencer, kind: str, status: int) -> None:
    with pytest.raises(UpstreamRefused, match=f"a {kind} as you wished") as caught:
        await events_of(agents, asked(f"@error {kind} exhausted"))
    assert (caught.value.status_hint, caught.value.code) == (status, kind)


async def test_an_error_that_the_service_mends_itself_is_none(agents: ManagedAgentsInferencer) -> None:
    events = await events_of(agents, asked("@error model_overloaded_error retrying"))
    assert words(events) == "It went well after all."


@pytest.mark.parametrize("status", [401, 404, 429, 500, 529])
async def test_a_refusal_keeps_its_status(service: Service, agents: ManagedAgentsInferencer, status: int) -> None:
    service.refusals = [Refused(status, "not now", {"retry-after": "3"})]
    with pytest.raises(UpstreamRefused, match="not now") as caught:
        await events_of(agents, asked("Hello"))
    assert caught.value.status_hint == status
    assert caught.value.retry_after == 3


async def test_a_wrong_key_is_refused(service: Service) -> None:
    inferencer = ManagedAgentsInferencer(Sdk("claude-agent", key=lambda: "wrong", base_url=service.url))
    with pytest.raises(UpstreamRefused, match="invalid x-api-key"):
        await events_of(inferencer, asked("Hello"))
    await inferencer.aclose()


async def test_nobody_listens_where_it_should_be() -> None:
    inferencer = ManagedAgentsInferencer(Sdk("claude-agent", key=lambda: KEY, base_url="http://127.0.0.1:9"))
    with pytest.raises(UpstreamUnreachable):
        await events_of(inferencer, asked("Hello"))
    await inferencer.aclose()


async def test_a_stream_that_is_cut_is_a_failure_and_the_session_is_interrupted(
    service: Service, agents: ManagedAgentsInferencer
) -> None:
    with pytest.raises(UpstreamBroke):
        await events_of(agents, asked("@cut"))
    await service.until(lambda: not service.sessions)
    assert {"type": "user.interrupt"} in service.told


async def test_the_session_of_a_client_that_leaves_is_interrupted_and_deleted(
    service: Service, agents: ManagedAgentsInferencer
) -> None:
    async with asyncio.timeout(PATIENCE_S), agents.answer(asked("@hang")) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    await service.until(lambda: not service.sessions)
    assert service.told[-1] == {"type": "user.interrupt"}


async def test_a_long_silence_is_no_failure_while_the_agent_is_at_work(service: Service) -> None:
    inferencer = ManagedAgentsInferencer(
        Sdk("claude-agent", key=lambda: KEY, base_url=service.url), idle_timeout_s=0.05, first_byte_timeout_s=5
    )
    reading = asyncio.create_task(events_of(inferencer, asked("@hang")))
    await service.until(lambda: sum(each == "GET /v1/sessions/sesn_1" for each in service.requests) > 2)
    assert not reading.done()
    reading.cancel()
    await asyncio.wait([reading])
    await inferencer.aclose()


# --- who it is, and where


async def test_an_agent_can_be_named_by_its_id(service: Service, agents: ManagedAgentsInferencer) -> None:
    call = Call(Target("claude-agent", "agent_3"), (Message("user", (Text("Hi"),)),))
    await events_of(agents, call)
    assert service.created[0]["agent"]["id"] == "agent_3"


async def test_an_unknown_name_is_told_those_that_there_are(agents: ManagedAgentsInferencer) -> None:
    call = Call(Target("claude-agent", "nobody"), (Message("user", (Text("Hi"),)),))
    with pytest.raises(UnknownModel, match="has no agent 'nobody'; there is: 'helper'"):
        await events_of(agents, call)


async def test_two_of_one_name_are_told_apart_by_their_ids(agents: ManagedAgentsInferencer) -> None:
    call = Call(Target("claude-agent", "twin"), (Message("user", (Text("Hi"),)),))
    with pytest.raises(UnknownModel, match="claude-agent/agent_2, claude-agent/agent_3"):
        await events_of(agents, call)


async def test_those_that_a_name_is_enough_for_are_listed(agents: ManagedAgentsInferencer) -> None:
    assert await agents.list_models() == ["helper"]


async def test_of_several_environments_one_must_be_named(service: Service) -> None:
    service.environments.append(environment("other", "env_2"))
    one = ManagedAgentsInferencer(Sdk("claude-agent", key=lambda: KEY, base_url=service.url))
    with pytest.raises(UpstreamRefused, match=r'extra_body = \{ environment_id = "env_1" \}'):
        await events_of(one, asked("Hello"))
    more = {"environment_id": "env_2", "metadata": {"team": "owls"}}
    other = ManagedAgentsInferencer(Sdk("claude-agent", key=lambda: KEY, base_url=service.url), extra_body=more)
    assert words(await events_of(other, asked("Hello"))) == "You said: Hello"
    assert service.created[-1]["environment_id"] == "env_2"
    assert service.created[-1]["metadata"] == {"team": "owls"}
    await one.aclose()
    await other.aclose()


async def test_without_an_environment_it_is_said_how_to_get_one(
    service: Service, agents: ManagedAgentsInferencer
) -> None:
    service.environments = []
    with pytest.raises(RouterError, match="make one in Anthropic's console"):
        await events_of(agents, asked("Hello"))


@pytest.mark.parametrize(
    "call",
    [
        asked("Hi", params=Params(response_format=ResponseFormat("json_object"))),
        Call(HELPER, (Message("assistant", (Text("Hi"),)),)),
    ],
)
async def test_what_it_cannot_take_is_refused_by_name(agents: ManagedAgentsInferencer, call: Call) -> None:
    with pytest.raises(UnsupportedField):
        await events_of(agents, call)


def test_the_sdk_is_not_loaded_before_the_first_call() -> None:
    code = (
        "import sys; from woollama.inferencers.anthropic.sdk import Sdk;"
        "from woollama.inferencers.managed_agents import ManagedAgentsInferencer;"
        "ManagedAgentsInferencer(Sdk('x', key=lambda: None)); sys.exit('anthropic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
