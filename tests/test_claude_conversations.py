"""Conversations that sessions of the `claude` command line keep: resumed by each turn, and told nothing twice."""

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
from tests.inferencers.claude_code.stand_in import Given, program
from tests.stateful import MODEL as OTHER
from tests.stateful import PATIENCE_S, Table, table, write_config
from tests.test_lost_and_shared_state import client_of, process

SONNET = "claude-code/sonnet"
OPUS = "claude-code/opus"
WITH_STORE: dict[str, Any] = {"conversationStore": {"type": "sql"}}
SLOW_S = 60.0


def given_to(directory: Path) -> Given:
    return Given(directory / "given.ndjson")


def standing_in(directory: Path, recorded: str = "answer") -> str:
    env = f'env = {{ STAND_IN = "{recorded}", STAND_IN_LOG = {json.dumps(str(given_to(directory).log))} }}'
    return f"[inferencers.claude-code]\nretries = 0\n{env}\n"


@asynccontextmanager
async def laid(directory: Path, recorded: str = "answer", **mcp: Any) -> AsyncIterator[Table]:
    environ = {"PATH": "/usr/bin:/bin", "WOOLLAMA_CLAUDE_BIN": str(program(directory))}
    inferencer = standing_in(directory, recorded)
    async with (
        asyncio.timeout(180),
        table(directory, inferencer=inferencer, environ=environ, **(mcp or WITH_STORE)) as at,
    ):
        yield at


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Table]:
    async with laid(tmp_path) as laid_table:
        yield laid_table


async def ask(at: Table, text: str, model: str = SONNET, **more: Any) -> Any:
    return await at.ask(text, model, **more)


def transcripts(at: Table) -> list[Path]:
    return list(at.directory.glob(".claude/projects/*/*"))


def directories(at: Table) -> list[Path]:
    return list(at.directory.glob("state/claude-code/sessions/*"))


def left_of_projects(at: Table) -> list[Path]:
    return list(at.directory.glob(".claude/projects/*"))


def texts(given: Given) -> list[str]:
    return [each["message"]["content"][0]["text"] for each in given.heard("user")]


async def test_one_session_remembers_the_conversation_and_is_told_what_is_new(at: Table) -> None:
    first = await ask(at, "I am Ada.", key="k", instructions="Be brief.")
    second = await ask(at, "@recall", key="k", instructions="Be long.")
    assert (first.output_text, second.output_text) == ("it is clean", "I am Ada.")
    assert first.conversation == second.conversation
    given = given_to(at.directory)
    assert texts(given) == ["I am Ada.", "@recall"]
    began, resumed = given.starts
    (directory,) = directories(at)
    assert began["flags"][began["flags"].index("--session-id") + 1] == directory.name
    assert resumed["flags"][resumed["flags"].index("--resume") + 1] == directory.name
    assert {Path(start["cwd"]) for start in given.starts} == {directory}
    assert directory.stat().st_mode & 0o777 == 0o700
    assert [start["system"] for start in given.starts] == ["Be brief.", "Be long."]
    (listed,) = (await at.http.get("/v1/conversations")).json()["data"]
    assert (listed["backend"], listed["model"], listed["status"]) == ("claude-resume", SONNET, "active")
    again = await at.client.responses.retrieve(second.id)
    assert (again.output_text, again.output[0].id) == ("I am Ada.", second.output[0].id)
    await at.shows_nothing_of(first, "claude-resume")


async def test_what_it_cannot_go_on_with_is_refused_by_name(at: Table) -> None:
    first = await ask(at, "one")
    second = await ask(at, "@recall", previous_response_id=first.id)
    assert second.output_text == "one"
    with pytest.raises(openai.BadRequestError, match=r"is not the last response of its session.*claude-resume cannot"):
        await ask(at, "fork", previous_response_id=first.id)
    for model in (OTHER, OPUS):
        with pytest.raises(openai.BadRequestError, match=f"session of {SONNET}.*another conversation for {model}"):
            await ask(at, "two", model, previous_response_id=second.id)
    with pytest.raises(openai.BadRequestError, match=r"`store: false` cannot be kept"):
        await ask(at, "two", previous_response_id=second.id, store=False)
    third = await ask(at, "@recall", previous_response_id=second.id)
    assert third.output_text == "one | @recall"
    await ask(at, "alone", store=False)
    assert "--no-session-persistence" in given_to(at.directory).starts[-1]["flags"]
    assert len(transcripts(at)) == 1


async def test_it_streams_and_runs_in_the_background_and_is_deleted_whole(at: Table) -> None:
    made = await at.client.conversations.create(metadata={"topic": "owls"})
    body = {"model": SONNET, "input": "one", "stream": True, "conversation": made.id}
    answer = await at.http.post("/v1/responses", json=body)
    wires = check_stream(frame.encode() + b"\n\n" for frame in answer.text.split("\n\n") if frame)
    assert wires[-1]["response"]["output"][0]["content"][0]["text"] == "it is clean"
    queued = await ask(at, "@recall", background=True, conversation=made.id)
    assert (await at.ended(queued.id)).output_text == "one"
    assert len(transcripts(at)) == len(directories(at)) == 1
    await at.client.conversations.delete(made.id)
    assert transcripts(at) == directories(at) == left_of_projects(at) == []


async def test_a_lost_session_is_a_dead_conversation(at: Table) -> None:
    first: Any = await ask(at, "one", key="k")
    for transcript in transcripts(at):
        transcript.unlink()
    for why in ("does not know its session any more", "its session is lost"):
        with pytest.raises(openai.APIStatusError, match=why) as caught:
            await ask(at, "two", key="k")
        assert caught.value.status_code == 410
    shown = (await at.http.get(f"/v1/conversations/{first.conversation.id}")).json()
    assert shown["status"] == "dead"
    await at.client.conversations.delete(first.conversation.id)
    assert directories(at) == []


async def test_a_client_that_leaves_ends_the_turn_and_the_conversation_goes_on(at: Table) -> None:
    await ask(at, "one", key="k")
    body = {"model": SONNET, "input": "@hang", "stream": True, "key": "k"}
    async with at.http.stream("POST", "/v1/responses", json=body) as answer:
        async for line in answer.aiter_lines():
            if "it is clean" in line:
                break
    assert (await ask(at, "@recall", key="k")).output_text == "one | @hang"


async def test_a_failed_first_turn_leaves_nothing_and_no_store_is_needed(tmp_path: Path) -> None:
    async with laid(tmp_path, "rate_limit", conversationStore=None) as at:
        with pytest.raises(openai.RateLimitError, match="slow down"):
            await ask(at, "one", key="k")
        assert (await at.http.get("/v1/conversations")).json()["data"] == []
        assert transcripts(at) == directories(at) == []
    async with laid(tmp_path, conversationStore=None) as at:
        await ask(at, "two", key="k")
    async with laid(tmp_path, conversationStore=None) as at:  # a restart
        assert (await ask(at, "@recall", key="k")).output_text == "two"


async def test_a_clients_own_tool_is_called_in_the_session(tmp_path: Path) -> None:
    tool: Any = {"type": "function", "name": "git__status", "parameters": {"type": "object"}, "strict": False}
    async with laid(tmp_path, "tools") as at:
        first = await ask(at, "status?", tools=[tool])
        calls = [item for item in first.output if item.type == "function_call"]
        outputs: Any = [{"type": "function_call_output", "call_id": c.call_id, "output": "rain"} for c in calls]
        second = await at.client.responses.create(
            model=SONNET, input=outputs, tools=[tool], previous_response_id=first.id
        )
        assert [item.type for item in second.output][
            -1
        ] == "function_call"  # the recorded one calls whatever it is told
        told = texts(given_to(at.directory))
        assert '<tool_call name="git__status">{"path": "x1"}</tool_call>' in told[1]
        assert "<tool_result>\nrain\n</tool_result>" in told[1]
        assert "status?" not in told[1]


async def test_a_daemon_that_is_killed_finds_the_session_again(tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    write_config(place / "config", "http://127.0.0.1:9/v1", WITH_STORE)
    with (place / "config" / "inferencers.toml").open("a") as file:
        file.write(standing_in(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "WOOLLAMA_CLAUDE_BIN", str(program(tmp_path)))
        with process(place, tmp_path / "state") as daemon:
            async with client_of(place) as plain:
                client = plain.with_options(timeout=SLOW_S)
                lost = await client.responses.create(
                    model=SONNET, input="@hang", stream=True, background=True, extra_body={"key": "k"}
                )
                async for event in lost:
                    if event.type == "response.created":
                        lost_id = event.response.id
                    if event.type == "response.output_text.delta":
                        break
                daemon.send_signal(signal.SIGKILL)
                daemon.wait(PATIENCE_S)
        with process(place, tmp_path / "state"):
            async with client_of(place) as plain:
                client = plain.with_options(timeout=SLOW_S)
                failed = await client.responses.retrieve(lost_id)
                assert failed.status == "failed"
                assert failed.error is not None
                assert "ended before this response was complete" in failed.error.message
                after = await client.responses.create(model=SONNET, input="@recall", extra_body={"key": "k"})
                assert after.output_text == "@hang"
