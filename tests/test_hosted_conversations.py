"""Conversations that Anthropic's hosted sessions keep: what was said is not told again, and an agent may ask."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.dialects.responses_wire import check_stream
from tests.inferencers.managed_agents.service import KEY, Refused, Service, serving
from tests.stateful import MODEL as OTHER
from tests.stateful import PATIENCE_S, Table, table, write_config
from tests.test_lost_and_shared_state import client_of, process
from tests.upstream import ScriptedUpstream

HELPER = "claude-agent/helper"
TWIN = "claude-agent/agent_2"


def pointing_at(service: Service) -> str:
    own = f'[inferencers.claude-agent]\nbase_url = "{service.url}"\nretries = 0\n'
    return f"{own}[inferencers.anthropic]\ndisabled = true\n"


@asynccontextmanager
async def laid(directory: Path, service: Service) -> AsyncIterator[Table]:
    environ = {"ANTHROPIC_API_KEY": KEY}
    async with table(
        directory, inferencer=pointing_at(service), environ=environ, conversationStore={"type": "sql"}
    ) as at:
        yield at


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with asyncio.timeout(180), serving() as running:
        yield running


@pytest.fixture
async def at(tmp_path: Path, service: Service) -> AsyncIterator[Table]:
    async with laid(tmp_path, service) as laid_table:
        yield laid_table


async def ask(at: Table, text: str, model: str = HELPER, **more: Any) -> Any:
    return await at.ask(text, model, **more)


async def test_one_session_remembers_the_conversation(at: Table, service: Service) -> None:
    first = await ask(at, "I am Ada.", key="k", instructions="Be brief.")
    second = await ask(at, "@recall", key="k")
    assert (first.output_text, second.output_text) == ("You said: I am Ada.", "I am Ada.")
    assert first.conversation == second.conversation
    assert [event["content"][0]["text"] for event in service.told] == ["I am Ada.", "@recall"]
    (created,) = service.created
    assert created["agent"]["system"] == "Be kind.\n\nBe brief."
    (listed,) = (await at.http.get("/v1/conversations")).json()["data"]
    assert (listed["backend"], listed["model"], listed["status"]) == ("managed-agents", HELPER, "active")
    again = await at.client.responses.retrieve(second.id)
    assert (again.output_text, again.status, again.output[0].id) == ("I am Ada.", "completed", second.output[0].id)


async def test_a_chain_goes_on_from_its_last_response_and_from_no_other(at: Table, service: Service) -> None:
    first = await ask(at, "one")
    second = await ask(at, "@recall", previous_response_id=first.id)
    assert second.output_text == "one"
    with pytest.raises(openai.BadRequestError, match="is not the last response of its session"):
        await ask(at, "fork", previous_response_id=first.id)
    assert (await ask(at, "@recall", previous_response_id=second.id)).output_text == "one | @recall"


async def test_a_conversation_made_before_becomes_a_session(at: Table) -> None:
    made = await at.client.conversations.create(metadata={"topic": "owls"})
    await ask(at, "one", conversation=made.id)
    assert (await ask(at, "@recall", conversation={"id": made.id})).output_text == "one"


async def test_it_streams_and_its_stream_is_sound(at: Table) -> None:
    body = {"model": HELPER, "input": "@run ls", "stream": True, "key": "k"}
    answer = await at.http.post("/v1/responses", json=body)
    wires = check_stream(frame.encode() + b"\n\n" for frame in answer.text.split("\n\n") if frame)
    assert [item["type"] for item in wires[-1]["response"]["output"]] == ["message", "mcp_call", "message"]


async def test_what_it_asks_is_answered_by_the_next_input(tmp_path: Path, service: Service) -> None:
    async with laid(tmp_path, service) as at:
        asked: Any = await ask(at, "@ask Tea or coffee?", key="k")
        assert asked.status == "requires_action"
        assert asked.required_action == {"type": "ask_user", "question": "Tea or coffee?"}
    async with laid(tmp_path, service) as at:  # a restart, and another connection
        still: Any = await at.client.responses.retrieve(asked.id)
        assert (still.status, still.required_action["question"]) == ("requires_action", "Tea or coffee?")
        answered = await ask(at, "tea", key="k")
        assert (answered.status, answered.output_text) == ("completed", "You want tea.")
        assert (await ask(at, "@recall", previous_response_id=answered.id)).output_text == "@ask Tea or coffee?"


async def test_a_question_in_a_stream_and_in_the_background(at: Table) -> None:
    body = {"model": HELPER, "input": "@ask Left?", "stream": True, "key": "s"}
    raw = (await at.http.post("/v1/responses", json=body)).text
    last = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: {")][-1]
    assert (last["type"], last["response"]["status"]) == ("response.completed", "requires_action")
    queued = await ask(at, "@ask Right?", background=True)
    ended = await at.ended(queued.id)
    assert (ended.status, ended.required_action["question"]) == ("requires_action", "Right?")
    assert (await ask(at, "no", previous_response_id=ended.id)).output_text == "You want no."


@pytest.mark.parametrize(("said", "told"), [("Yes!", "Done."), ("better not", "I was not allowed to.")])
async def test_what_needs_a_yes_waits_for_it(at: Table, service: Service, said: str, told: str) -> None:
    asked: Any = await ask(at, "@risky rm -r /", key="k")
    assert asked.status == "requires_action"
    assert asked.required_action["question"] == 'May it run bash with {"command": "rm -r /"}?'
    assert (await ask(at, said, key="k")).output_text == told
    assert service.told[-1]["result"] == ("allow" if told == "Done." else "deny")


async def test_a_clients_own_tool_is_called_in_the_session(at: Table) -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
    first = await ask(at, '@call weather {"city": "Bonn"}', key="k", tools=[tool])
    (call,) = first.output
    output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
    second = await at.client.responses.create(model=HELPER, input=output, tools=[tool], previous_response_id=first.id)
    assert second.output_text == "The tool said: rain"


async def test_another_model_is_refused_by_name(at: Table) -> None:
    first = await ask(at, "one", key="k")
    for model in (OTHER, TWIN):
        with pytest.raises(openai.BadRequestError, match=f"session of {HELPER}.*another conversation for {model}"):
            await ask(at, "two", model, key="k")
    with pytest.raises(openai.BadRequestError, match=r"`store: false` cannot be kept"):
        await ask(at, "two", previous_response_id=first.id, store=False)


async def test_what_it_does_not_show_is_refused_by_name(at: Table) -> None:
    first: Any = await ask(at, "one", key="k")
    await at.shows_nothing_of(first, "managed-agents")


async def test_deleting_a_conversation_deletes_its_session(at: Table, service: Service) -> None:
    first: Any = await ask(at, "one", key="k")
    service.refusals = [Refused(500, "not today")]
    service.refuses = ("DELETE",)
    with pytest.raises(openai.APIStatusError, match="not today"):
        await at.client.conversations.delete(first.conversation.id)
    assert len(service.sessions) == 1
    assert (await at.client.conversations.retrieve(first.conversation.id)).id == first.conversation.id
    await at.client.conversations.delete(first.conversation.id)
    assert service.sessions == {}


async def test_a_lost_session_is_a_dead_conversation(at: Table, service: Service) -> None:
    first: Any = await ask(at, "one", key="k")
    service.sessions.clear()
    for why in ("is not there any more", "its session is lost"):
        with pytest.raises(openai.APIStatusError, match=why) as caught:
            await ask(at, "two", key="k")
        assert caught.value.status_code == 410
    shown = (await at.http.get(f"/v1/conversations/{first.conversation.id}")).json()
    assert shown["status"] == "dead"
    await at.client.conversations.delete(first.conversation.id)


async def test_a_failed_first_turn_leaves_nothing(at: Table, service: Service) -> None:
    with pytest.raises(openai.APIStatusError, match="billing_error"):
        await ask(at, "@error billing_error exhausted", key="k")
    await service.until(lambda: not service.sessions)
    assert (await at.http.get("/v1/conversations")).json()["data"] == []


async def test_a_client_that_leaves_interrupts_and_the_conversation_goes_on(at: Table, service: Service) -> None:
    await ask(at, "one", key="k")
    body = {"model": HELPER, "input": "@hang", "stream": True, "key": "k"}
    async with at.http.stream("POST", "/v1/responses", json=body) as answer:
        async for line in answer.aiter_lines():
            if "Well" in line:
                break
    assert (await ask(at, "@recall", key="k")).output_text == "one | @hang"
    assert {"type": "user.interrupt"} in service.told


SLOW_S = 60.0
"""A daemon that was just started loads the SDK with its first turn."""


async def test_a_daemon_that_is_killed_finds_the_session_again(tmp_path: Path, service: Service) -> None:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    write_config(place / "config", "http://127.0.0.1:9/v1", {"conversationStore": {"type": "sql"}})
    with (place / "config" / "inferencers.toml").open("a") as file:
        file.write(pointing_at(service))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "ANTHROPIC_API_KEY", KEY)
        with process(place, tmp_path / "state") as daemon:
            async with client_of(place) as plain:
                client = plain.with_options(timeout=SLOW_S)
                await client.responses.create(model=HELPER, input="one", extra_body={"key": "k"})
                lost = await client.responses.create(
                    model=HELPER, input="@hang", background=True, extra_body={"key": "k"}
                )
                await service.until(lambda: any("@hang" in str(event) for event in service.told))
            daemon.send_signal(signal.SIGKILL)
            daemon.wait(PATIENCE_S)
        with process(place, tmp_path / "state"):
            async with client_of(place) as plain:
                client = plain.with_options(timeout=SLOW_S)
                assert (await client.responses.retrieve(lost.id)).status == "failed"
                after = await client.responses.create(model=HELPER, input="@recall", extra_body={"key": "k"})
                assert after.output_text == "one | @hang"
                assert {"type": "user.interrupt"} in service.told


async def test_a_recipe_on_an_agent_is_kept_by_the_store(tmp_path: Path, service: Service) -> None:
    recipes = f'[recipes.r]\ninferencer = "{HELPER}"\nsystem = "Be brief."\n'
    async with (
        ScriptedUpstream() as upstream,
        table(
            tmp_path,
            upstream=upstream,
            inferencer=pointing_at(service),
            environ={"ANTHROPIC_API_KEY": KEY},
            recipes=recipes,
            conversationStore={"type": "sql"},
        ) as at,
    ):
        first: Any = await ask(at, "one", "woollama/r", key="k")
        assert (await at.http.get(f"/v1/conversations/{first.conversation.id}")).json()["backend"] == "store"
        await service.until(lambda: not service.sessions)
