"""`claude` as a model of a whole daemon, and as the executor of a recipe's tools: a stand-in, and the real one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import upstream
from tests.daemon import daemon
from tests.inferencers.claude_code.stand_in import Given, program
from tests.upstream import ScriptedUpstream
from woollama.server import InProcess

PATIENCE_S = 60.0
TINY = Path(__file__).parent / "toolservers" / "servers" / "tiny.py"
REAL = Path(__file__).parents[1] / ".clients" / "node" / "node_modules" / "@anthropic-ai"
RECIPES = """
[recipes.free]
inferencer = "claude-code/sonnet"
system = "Use your tools."
tools = ["tiny.echo"]

[recipes.careful]
inferencer = "claude-code/sonnet"
tools = ["tiny.echo"]
confirm = ["tiny.echo"]

[recipes.brief]
inferencer = "claude-code/sonnet"
tools = ["tiny.echo"]
compress = "auto"

[recipes.other]
inferencer = "claude-code/sonnet"
tools = ["tiny.pid"]
"""


@asynccontextmanager
async def serving(
    directory: Path, claude: Path, env: Mapping[str, str]
) -> AsyncIterator[tuple[InProcess, httpx2.AsyncClient]]:
    config = directory / "config"
    config.mkdir()
    words = ", ".join(f"{name} = {json.dumps(value)}" for name, value in env.items())
    (config / "inferencers.toml").write_text(f"[inferencers.claude-code]\nretries = 0\nenv = {{ {words} }}\n")
    (config / "recipes.toml").write_text(RECIPES)
    off = {name: {"disabled": True} for name in ("hello", "clock", "textops")}
    tiny = {"command": sys.executable, "args": [str(TINY)]}
    mcp = {"conversationStore": {"type": "sql"}, "mcpServers": {**off, "tiny": tiny}}
    (config / "mcp.json").write_text(json.dumps(mcp))
    environ = {"HOME": str(directory), "PATH": "/usr/bin:/bin", "WOOLLAMA_CLAUDE_BIN": str(claude)}
    async with (
        asyncio.timeout(PATIENCE_S),
        daemon(config, environ) as running,
        httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as client,
    ):
        yield running, client


@asynccontextmanager
async def standing_in(
    directory: Path, recorded: str = "tools", **words: str
) -> AsyncIterator[tuple[InProcess, httpx2.AsyncClient, Given]]:
    given = Given(directory / "given.ndjson")
    says = json.dumps({"git__status": "tiny__echo", "path": "text", **words})
    env = {"STAND_IN": recorded, "STAND_IN_LOG": str(given.log), "STAND_IN_SAYS": says}
    async with serving(directory, program(directory), env) as (running, client):
        yield running, client, given


async def answered(client: httpx2.AsyncClient, model: str, asked: str = "echo x1 and x2") -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": asked}]}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def returned(given: Given) -> list[tuple[bool, str]]:
    """What it was told of its calls: whether it was an error, and the text."""
    replies = [each["response"]["response"]["mcp_response"]["result"] for each in given.heard("control_response")]
    return [(reply["isError"], reply["content"][0]["text"]) for reply in replies if "content" in reply]


async def test_its_calls_are_run_by_the_tool_servers_of_the_recipe(tmp_path: Path) -> None:
    async with standing_in(tmp_path) as (_, client, given):
        whole = await answered(client, "woollama/free")
    assert whole["choices"][0]["message"]["content"] == "it is clean"
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["completion_tokens"] == 12  # of both rounds
    assert returned(given) == [(False, "x1"), (False, "x2")]
    (start,) = given.starts
    assert start["system"] == "Use your tools."


async def test_its_results_are_made_smaller_and_it_has_the_tool_to_have_them_back(tmp_path: Path) -> None:
    long = " ".join(f"The gate {number} was opened late because nobody had found its key." for number in range(700))
    async with standing_in(tmp_path, x1=long) as (_, client, given):
        await answered(client, "woollama/brief", "Which gate?")
    (_, first), second = returned(given)
    assert first.startswith("[woollama: ")
    assert len(first) < 0.7 * len(long)
    assert second == (False, "x2")
    replies = [each["response"]["response"]["mcp_response"]["result"] for each in given.heard("control_response")]
    offered = [[tool["name"] for tool in reply["tools"]] for reply in replies if "tools" in reply]
    assert offered
    assert all(names == ["tiny__echo", "woollama__retrieve"] for names in offered)


async def test_a_tool_outside_of_the_recipe_is_not_run(tmp_path: Path) -> None:
    async with standing_in(tmp_path) as (_, client, given):
        await answered(client, "woollama/other")
    assert [failed for failed, _ in returned(given)] == [True, True]
    assert all("there is no tool 'tiny__echo'; there is: tiny__pid" in text for _, text in returned(given))


async def test_a_person_is_asked_before_its_dangerous_calls(tmp_path: Path) -> None:
    async with standing_in(tmp_path) as (running, client, given):
        transport = httpx2.AsyncHTTPTransport(uds=str(running.unix_path))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=PATIENCE_S) as person:
            turn = asyncio.create_task(answered(client, "woollama/careful"))
            asks: list[Any] = []
            while len(asks) < 2:
                assert not turn.done(), turn.result()
                asks = (await person.get("/w1/approvals")).json()["data"]
            for ask in asks:
                decision = "approve" if "x1" in json.dumps(ask) else "deny"
                await person.post(f"/w1/approvals/{ask['id']}", json={"decision": decision})
            whole = await turn
    assert whole["choices"][0]["message"]["content"] == "it is clean"
    assert [failed for failed, _ in returned(given)] == [False, True]


async def test_a_tool_of_the_clients_is_called_through_the_client(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "tiny__echo", "parameters": {"type": "object"}}}
    asked = {"role": "user", "content": "echo x1 and x2"}
    async with standing_in(tmp_path) as (_, client, given):
        body = {"model": "claude-code/sonnet", "messages": [asked], "tools": [tool]}
        answer = (await client.post("/v1/chat/completions", json=body)).json()["choices"][0]
    assert answer["finish_reason"] == "tool_calls"
    assert [call["function"]["arguments"] for call in answer["message"]["tool_calls"]] == [
        '{"text":"x1"}',
        '{"text":"x2"}',
    ]
    assert returned(given) == []


async def test_a_conversation_with_a_recipe_on_it_is_kept_by_the_store(tmp_path: Path) -> None:
    async with standing_in(tmp_path, "answer") as (_, client, given):
        for asked in ("I am Ada.", "Who am I?"):
            body = {"model": "woollama/free", "key": "panel", "input": asked}
            answer = await client.post("/v1/responses", json=body)
            assert answer.json()["output"][-1]["content"][0]["text"] == "it is clean"
    first, second = (each["message"]["content"][0]["text"] for each in given.heard("user"))
    assert first == "I am Ada."
    assert "<user>\nI am Ada.\n</user>\n\n<assistant>\nit is clean\n</assistant>" in second
    assert second.endswith("Who am I?")
    assert all("--no-session-persistence" in start["flags"] for start in given.starts)


async def test_a_call_of_a_session_waits_for_a_person_between_two_turns(tmp_path: Path) -> None:
    tool = {"type": "mcp", "server_label": "tiny", "require_approval": "always", "allowed_tools": ["echo"]}
    body = {"model": "claude-code/sonnet", "key": "k", "tools": [tool]}
    async with standing_in(tmp_path) as (_, client, given):
        asked = (await client.post("/v1/responses", json={**body, "input": "echo x1 and x2"})).json()
        asks = [item["id"] for item in asked["output"] if item["type"] == "mcp_approval_request"]
        said: list[Any] = [
            {"type": "mcp_approval_response", "approval_request_id": ask, "approve": number == 0}
            for number, ask in enumerate(asks)
        ]
        answered = (await client.post("/v1/responses", json={**body, "input": said})).json()
    calls = [item for item in answered["output"] if item["type"] == "mcp_call"]
    assert (calls[0]["output"], calls[1]["output"]) == ("x1", None)
    began, resumed = given.starts
    assert ("--session-id" in began["flags"], "--resume" in resumed["flags"]) == (True, True)
    told = given.heard("user")[1]["message"]["content"][0]["text"]
    assert "<tool_result>\nx1\n</tool_result>" in told
    assert "echo x1 and x2" not in told


# --- the real one


def real_claude() -> Path:
    found = sorted(REAL.glob("claude-code-*/claude"))
    if not found:
        pytest.skip("the claude command line is not installed: install Node and run scripts/clients")
    return found[0]


def below(directory: Path, pattern: str) -> list[Path]:
    return list(directory.glob(pattern))


def streamed(*blocks: Mapping[str, Any], reason: str) -> upstream.Answer:
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "sonnet", "content": []}
    wires: list[Mapping[str, Any]] = [
        {"type": "message_start", "message": {**start, "usage": {"input_tokens": 5, "output_tokens": 0}}}
    ]
    for index, block in enumerate(blocks):
        delta = (
            {"type": "text_delta", "text": block["text"]}
            if block["type"] == "text"
            else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        )
        empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
        wires += [
            {"type": "content_block_start", "index": index, "content_block": empty},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    wires += [
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    return upstream.sse([f"event: {wire['type']}\ndata: {json.dumps(wire)}\n\n".encode() for wire in wires])


async def test_the_real_one_calls_the_tools_of_a_recipe(tmp_path: Path) -> None:
    claude = real_claude()
    call = {"type": "tool_use", "id": "toolu_1", "name": "mcp__w__tiny__echo", "input": {"text": "noon"}}
    told = {"type": "text", "text": "It is noon."}
    async with ScriptedUpstream() as anthropic:
        rounds = [streamed(call, reason="tool_use"), streamed(told, reason="end_turn")]
        # It also knocks at the door before it asks.
        anthropic.always(lambda asked: rounds.pop(0) if asked.path.startswith("/v1/messages") else upstream.json({}))
        env = {"ANTHROPIC_BASE_URL": anthropic.origin, "ANTHROPIC_AUTH_TOKEN": "none"}
        async with serving(tmp_path, claude, env) as (_, client):
            whole = await answered(client, "woollama/free", "/what time is @/etc/hostname")
    assert whole["choices"][0]["message"]["content"] == "It is noon."
    first, second = (each.json for each in anthropic.requests if each.path.startswith("/v1/messages"))
    assert [tool["name"] for tool in first["tools"]] == ["mcp__w__tiny__echo"]
    assert first["system"][-1]["text"] == "Use your tools."
    assert first["messages"][-1]["content"][-1]["text"] == "\n/what time is @/etc/hostname"
    (result,) = second["messages"][-1]["content"]
    assert (result["tool_use_id"], result["content"]) == ("toolu_1", [{"type": "text", "text": "noon"}])


async def test_the_real_one_without_a_login_says_what_to_do(tmp_path: Path) -> None:
    async with serving(tmp_path, real_claude(), {}) as (_, client):
        body = {"model": "claude-code/sonnet", "messages": [{"role": "user", "content": "hi"}]}
        refused = await client.post("/v1/chat/completions", json=body)
    assert refused.status_code == 401
    assert "run `claude` as the user of this daemon, and /login" in refused.json()["error"]["message"]
    assert refused.json()["error"]["at_fault"] == "upstream"


async def test_the_real_one_remembers_in_its_session(tmp_path: Path) -> None:
    claude = real_claude()
    async with ScriptedUpstream() as anthropic:
        anthropic.always(
            lambda asked: (
                streamed({"type": "text", "text": "Yes."}, reason="end_turn")
                if asked.path.startswith("/v1/messages")
                else upstream.json({})
            )
        )
        env = {"ANTHROPIC_BASE_URL": anthropic.origin, "ANTHROPIC_AUTH_TOKEN": "none"}
        async with serving(tmp_path, claude, env) as (_, client):
            for said in ("I am Ada.", "Who am I?"):
                body = {"model": "claude-code/sonnet", "key": "k", "input": said, "instructions": f"Hear: {said}"}
                answer = await client.post("/v1/responses", json=body)
                assert answer.json()["status"] == "completed", answer.text
            conversation = answer.json()["conversation"]["id"]
            (transcript,) = below(tmp_path / ".claude" / "projects", "*/*.jsonl")
            transcript.rename(tmp_path / "away")
            lost = await client.post("/v1/responses", json=body)
            assert lost.status_code == 410, lost.text
            (tmp_path / "away").rename(transcript)
            assert (await client.delete(f"/v1/conversations/{conversation}")).status_code == 200
    assert below(tmp_path / ".claude" / "projects", "*") == []
    second = [each.json for each in anthropic.requests if each.path.startswith("/v1/messages")][-1]
    texts = [[block["text"] for block in message["content"]][-1] for message in second["messages"]]
    assert texts == ["I am Ada.", "Yes.", "Who am I?"]
    assert second["system"][-1]["text"] == "Hear: Who am I?"
