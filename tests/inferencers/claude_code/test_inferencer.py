"""The inferencer against a program that says what a real `claude` said."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest

from tests.inferencers.claude_code.stand_in import claude
from woollama.domain.errors import (
    NotSetUp,
    UnsupportedField,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamTimeout,
)
from woollama.domain.events import (
    ArgumentsDelta,
    CallOpened,
    Event,
    Rewrote,
    RoundBegan,
    Stopped,
    TextDelta,
    ThinkingDelta,
    UsageSeen,
)
from woollama.domain.messages import Image, Message, Text, ToolCall, ToolResult
from woollama.domain.ports import Inferencer
from woollama.domain.tools import Denied, Function, Returned
from woollama.domain.turns import Call, Params, ResponseFormat, Target
from woollama.processes.children import Supervisor
from woollama.processes.table import process_table

SONNET = Target("claude-code", "sonnet")
ASKED = Message("user", (Text("What is the status?"),))
CALL = Call(SONNET, (ASKED,), system="Be brief.")
STATUS = Function("git__status", description="Status of the tree", parameters={"type": "object"})
PATIENCE_S = 60.0


async def events_of(inferencer: Inferencer, call: Call) -> list[Event]:
    async with asyncio.timeout(PATIENCE_S), inferencer.answer(call) as events:
        return [event async for event in events]


def said(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_an_answer_streams_with_its_usage_and_its_reason(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer") as (inferencer, _, _):
        events = await events_of(inferencer, CALL)
    assert isinstance(events[0], RoundBegan)
    assert events[0].model == "claude-sonnet-5"
    assert said(events) == "it is clean"
    assert [event.usage.output_tokens for event in events if isinstance(event, UsageSeen)][-1] == 3
    assert isinstance(events[-1], Stopped)
    assert (events[-1].reason, events[-1].detail) == ("end", "end_turn")


async def test_it_is_given_the_prompt_on_stdin_no_tools_and_no_settings(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer") as (inferencer, given, _):
        await events_of(inferencer, CALL)
    (start,) = given.starts
    assert start["system"] == "Be brief."
    assert start["mode"] == 0o600
    assert not any("status" in flag for flag in start["flags"])
    values = dict(pairwise(start["flags"]))
    assert (values["--tools"], values["--setting-sources"]) == ("", "")
    assert {"--print", "--model=sonnet", "--strict-mcp-config"} <= set(start["flags"])
    assert "--mcp-config" not in start["flags"]
    assert given.heard("user") == [
        {"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": "What is the status?"}]}}
    ]
    assert list((tmp_path / "work").iterdir()) == []


async def test_its_environment_has_a_home_and_no_key(tmp_path: Path) -> None:
    keys = {"ANTHROPIC_API_KEY": "sk-ant", "OPENAI_API_KEY": "sk", "CLAUDE_CONFIG_DIR": "/srv/ada/.claude-work"}
    async with claude(tmp_path, "answer", environ=keys) as (inferencer, given, _):
        await events_of(inferencer, CALL)
    env = given.starts[0]["env"]
    assert env["HOME"] == str(tmp_path)
    assert env["CLAUDE_CONFIG_DIR"] == "/srv/ada/.claude-work"
    assert not {"ANTHROPIC_API_KEY", "OPENAI_API_KEY"} & env.keys()
    assert env["CLAUDE_CODE_DISABLE_ATTACHMENTS"] == "1"  # else it reads the files that a prompt names with an @


async def test_limits_and_effort_are_handed_on_and_what_cannot_be_is_listed(tmp_path: Path) -> None:
    params = Params(temperature=0.1, max_tokens=77, reasoning_effort="minimal")
    async with claude(tmp_path, "answer") as (inferencer, given, _):
        events = await events_of(inferencer, Call(SONNET, (ASKED,), params=params))
    (start,) = given.starts
    assert start["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "77"
    assert start["flags"][-1] == "--effort=low"
    assert Rewrote("temperature was left out: the target has no such setting") in events


async def test_an_effort_that_it_does_not_know_is_listed(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer") as (inferencer, given, _):
        events = await events_of(inferencer, Call(SONNET, (ASKED,), params=Params(reasoning_effort="heroic")))
    assert not any(flag.startswith("--effort") for flag in given.starts[0]["flags"])
    assert any(isinstance(event, Rewrote) and "reasoning_effort was left out" in event.what for event in events)


async def test_a_name_that_looks_like_a_flag_is_a_name(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer") as (inferencer, given, _):
        await events_of(inferencer, Call(Target("claude-code", "--dangerously-skip-permissions"), (ASKED,)))
    assert "--model=--dangerously-skip-permissions" in given.starts[0]["flags"]
    assert "--dangerously-skip-permissions" not in given.starts[0]["flags"]


async def test_a_form_of_json_is_refused_by_name(tmp_path: Path) -> None:
    call = Call(SONNET, (ASKED,), params=Params(response_format=ResponseFormat("json_object")))
    async with claude(tmp_path, "answer") as (inferencer, given, _):
        with pytest.raises(UnsupportedField) as caught:
            await events_of(inferencer, call)
    assert caught.value.param == "response_format"
    assert given.starts == []


async def test_earlier_turns_and_pictures_are_told_in_one_message(tmp_path: Path) -> None:
    picture = Image(url="data:image/png;base64,iVBORw0KGgo=")
    items = (
        Message("user", (Text("I am Ada."), picture)),
        Message("assistant", (Text("Hello Ada."),)),
        ToolCall("c1", "clock", '{"zone": "UTC"}'),
        ToolResult("c1", Returned(({"type": "text", "text": "noon"},))),
        Message("user", (Text("/who am I?"),)),
    )
    async with claude(tmp_path, "answer") as (inferencer, given, _):
        events = await events_of(inferencer, Call(SONNET, items))
    content = given.heard("user")[0]["message"]["content"]
    assert [block["type"] for block in content] == ["text", "image", "text"]
    assert content[0]["text"] == "Earlier in this conversation:\n\n<user>\nI am Ada."
    assert "<assistant>\nHello Ada.<tool_call" in content[2]["text"]
    assert "<tool_result>\nnoon\n</tool_result>" in content[2]["text"]
    assert content[2]["text"].endswith("/who am I?")
    assert any(isinstance(event, Rewrote) and "earlier turns" in event.what for event in events)


async def test_a_slash_is_no_command(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer") as (inferencer, given, _):
        await events_of(inferencer, Call(SONNET, (Message("user", (Text("/help"),)),)))
    assert given.heard("user")[0]["message"]["content"] == [{"type": "text", "text": "\n/help"}]


async def test_tools_are_called_by_rounds_of_one_process(tmp_path: Path) -> None:
    call = Call(SONNET, (ASKED,), tools=(STATUS,))
    async with claude(tmp_path, "tools") as (inferencer, given, supervisor):
        first = await events_of(inferencer, call)
        calls = [event for event in first if isinstance(event, CallOpened)]
        assert [(each.id, each.name) for each in calls] == [("toolu_1", "git__status"), ("toolu_2", "git__status")]
        assert [event.text for event in first if isinstance(event, ArgumentsDelta)] == [
            '{"path":"x1"}',
            '{"path":"x2"}',
        ]
        assert [event.text for event in first if isinstance(event, ThinkingDelta)] == ["hm"]
        assert isinstance(first[-1], Stopped)
        assert first[-1].reason == "tool_calls"
        (row,) = [each for each in process_table(supervisor, ()) if each["name"] == "claude-code"]
        assert (row["kind"], row["state"]) == ("answer", "ready")
        results = (
            ToolResult("toolu_1", Returned(({"type": "text", "text": "clean"},))),
            ToolResult("toolu_2", Denied("the user", "Not today.")),
        )
        second = await events_of(inferencer, Call(SONNET, (*call.items, *results), tools=(STATUS,)))
    assert said(second) == "it is clean"
    assert len(given.starts) == 1
    replies = [each["response"]["response"]["mcp_response"] for each in given.heard("control_response")]
    listed = [reply["result"]["tools"] for reply in replies if "tools" in reply["result"]]
    assert listed[0] == [
        {"name": "git__status", "description": "Status of the tree", "inputSchema": {"type": "object"}}
    ]
    returned = [reply["result"] for reply in replies if "content" in reply["result"]]
    assert [each["isError"] for each in returned] == [False, True]
    assert returned[0]["content"] == [{"type": "text", "text": "clean"}]


async def test_a_process_that_waits_for_tools_ends_with_the_task_of_its_turn(tmp_path: Path) -> None:
    async with claude(tmp_path, "tools") as (inferencer, _, supervisor):
        await asyncio.create_task(events_of(inferencer, Call(SONNET, (ASKED,), tools=(STATUS,))))
        await nothing_runs(supervisor)


async def test_nothing_goes_on_for_somebody_who_left(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer", ends="hang 5") as (inferencer, _, supervisor):
        heard = asyncio.Event()

        async def listen() -> None:
            async with inferencer.answer(CALL) as events:
                async for event in events:
                    if isinstance(event, RoundBegan):
                        heard.set()

        listening = asyncio.create_task(listen())
        async with asyncio.timeout(PATIENCE_S):
            await heard.wait()
        listening.cancel()
        await asyncio.wait({listening})
        await nothing_runs(supervisor)


async def nothing_runs(supervisor: Supervisor) -> None:
    async with asyncio.timeout(PATIENCE_S):
        for child in supervisor.children:
            await child.closed.wait()
    assert supervisor.children == ()


async def test_what_a_killed_daemon_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir(mode=0o700)
    left, now = tmp_path / "work" / "system-old.txt", tmp_path / "work" / "system-new.txt"
    left.touch()
    os.utime(left, (0, 0))
    now.touch()
    async with claude(tmp_path, "answer") as (inferencer, _, _):
        await events_of(inferencer, CALL)
    assert list((tmp_path / "work").iterdir()) == [now]


async def test_one_that_is_not_logged_in_says_what_to_do(tmp_path: Path) -> None:
    async with claude(tmp_path, "not_logged_in") as (inferencer, _, _):
        with pytest.raises(UpstreamRefused, match=r"run `claude` as the user of this daemon, and /login") as caught:
            await events_of(inferencer, CALL)
    assert (caught.value.status_hint, caught.value.at_fault) == (401, "upstream")


@pytest.mark.parametrize(
    ("recorded", "status", "word"), [("rate_limit", 429, "slow down"), ("model_not_found", 404, "nobody/echo")]
)
async def test_what_it_was_refused_keeps_its_status(tmp_path: Path, recorded: str, status: int, word: str) -> None:
    async with claude(tmp_path, recorded) as (inferencer, _, _):
        with pytest.raises(UpstreamRefused, match=word) as caught:
            await events_of(inferencer, CALL)
    assert (caught.value.status_hint, caught.value.code) == (status, recorded)


async def test_one_that_dies_is_quoted(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer", ends="die 4") as (inferencer, _, _):
        with pytest.raises(UpstreamBroke, match=r"exited with code 3 without an answer: Error: the disk is full"):
            await events_of(inferencer, CALL)


async def test_what_is_no_json_is_quoted(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer", ends="garble 1") as (inferencer, _, _):
        with pytest.raises(UpstreamBroke, match="Segmentation fault"):
            await events_of(inferencer, CALL)


async def test_a_silence_has_an_end(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer", ends="hang 4", idle_timeout_s=0.1) as (inferencer, _, _):
        with pytest.raises(UpstreamTimeout, match=r"said nothing for 0\.1 s"):
            await events_of(inferencer, CALL)


async def test_without_the_program_there_are_no_models_and_a_word_on_where_it_comes_from(tmp_path: Path) -> None:
    nowhere = {"WOOLLAMA_CLAUDE_BIN": str(tmp_path / "nowhere")}
    async with claude(tmp_path, "answer", environ=nowhere) as (inferencer, _, _):
        assert await inferencer.list_models() == ()
        with pytest.raises(NotSetUp, match=r"npm install -g @anthropic-ai/claude-code") as caught:
            await events_of(inferencer, CALL)
    assert caught.value.code == "not_installed"
    assert list((tmp_path / "work").iterdir()) == []


async def test_with_it_the_names_that_it_knows_are_listed(tmp_path: Path) -> None:
    async with claude(tmp_path, "answer") as (inferencer, given, _):
        assert await inferencer.list_models() == ("sonnet", "opus", "haiku")
    assert given.starts == []
