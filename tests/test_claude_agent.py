"""The shipped `claude-agent`, a hosted agent as a model of a daemon: every surface, a recipe's tools, failures."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.daemon import daemon
from tests.dialects.responses_wire import check_response, check_stream
from tests.inferencers.managed_agents.service import KEY, Refused, Service, serving

PATIENCE_S = 60.0
TINY = Path(__file__).parent / "toolservers" / "servers" / "tiny.py"
RECIPES = """
[recipes.plain]
inferencer = "claude-agent/helper"
system = "Be brief."

[recipes.busy]
inferencer = "claude-agent/helper"
tools = ["tiny.echo"]

[recipes.safe]
inferencer = "claude-agent/nobody"
fallbacks = ["scripted/echo"]
"""
MODEL = "claude-agent/helper"


@dataclass
class Table:
    service: Service
    http: httpx2.AsyncClient
    url: str

    async def chat(self, text: str, model: str = MODEL, **more: Any) -> httpx2.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return await self.http.post("/v1/chat/completions", json=body)


@asynccontextmanager
async def table(directory: Path, key: str = KEY) -> AsyncIterator[Table]:
    config = directory / "config"
    config.mkdir()
    off = {name: {"disabled": True} for name in ("hello", "clock", "textops")}
    tiny = {"command": sys.executable, "args": [str(TINY)]}
    (config / "mcp.json").write_text(json.dumps({"conversationStore": None, "mcpServers": {**off, "tiny": tiny}}))
    (config / "recipes.toml").write_text(RECIPES)
    async with asyncio.timeout(PATIENCE_S), serving() as service:
        (config / "inferencers.toml").write_text(
            f'[inferencers.claude-agent]\nbase_url = "{service.url}"\nretries = 0\n'
            "[inferencers.anthropic]\ndisabled = true\n"
        )
        environ = {"HOME": str(directory), "PATH": "/usr/bin:/bin", "ANTHROPIC_API_KEY": key}
        async with (
            daemon(config, environ) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as http,
        ):
            yield Table(service, http, running.url)
        assert service.sessions == {}  # no session is left behind by any turn


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Table]:
    async with table(tmp_path) as laid:
        yield laid


def spoken(raw: str, name: str) -> list[Any]:
    """What the events of a stream called `name`, or all data lines of one without names, say."""
    lines = [line.removeprefix("data: ") for line in raw.splitlines() if line.startswith("data: {")]
    return [wire for line in lines if (wire := json.loads(line)).get("type", "chunk") == name]


async def test_every_surface_tells_what_it_says_and_does(at: Table, subtests: pytest.Subtests) -> None:
    with subtests.test("chat"):
        whole = (await at.chat("@run ls")).json()
        assert whole["choices"][0]["message"]["content"] == "Let me look.It is done."
        assert (whole["choices"][0]["finish_reason"], whole["usage"]["completion_tokens"]) == ("stop", 14)
        (call,) = whole["x_woollama"]["tool_calls"]
        assert (call["name"], call["result"], call["ok"]) == ("claude-agent__bash", "ran ls", True)
    with subtests.test("chat, streamed"):
        raw = (await at.chat("Hello", stream=True)).text
        pieces = [chunk["choices"][0]["delta"].get("content") for chunk in spoken(raw, "chunk") if chunk["choices"]]
        assert [piece for piece in pieces if piece] == ["You sai", "d: Hello"]
        assert raw.endswith("data: [DONE]\n\n")
    with subtests.test("responses"):
        body = {"model": MODEL, "input": "@run ls", "store": False}
        response = (await at.http.post("/v1/responses", json=body)).json()
        check_response(response)
        assert [item["type"] for item in response["output"]] == ["message", "mcp_call", "message"]
        call = response["output"][1]
        assert (call["server_label"], call["name"], call["output"]) == ("claude-agent", "bash", "ran ls")
    with subtests.test("responses, streamed"):
        body = {"model": MODEL, "input": "@search owls", "stream": True, "store": False}
        answer = await at.http.post("/v1/responses", json=body)
        check_stream(frame.encode() + b"\n\n" for frame in answer.text.split("\n\n") if frame)
    with subtests.test("messages"):
        body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
        message = (await at.http.post("/v1/messages", json=body)).json()
        assert (message["content"][0]["text"], message["stop_reason"]) == ("You said: Hello", "end_turn")
    with subtests.test("ollama"):
        body = {"model": MODEL, "stream": False, "messages": [{"role": "user", "content": "Hello"}]}
        assert (await at.http.post("/api/chat", json=body)).json()["message"]["content"] == "You said: Hello"
    with subtests.test("a recipe's words"):
        assert (await at.chat("Hi", "woollama/plain")).status_code == 200
        assert at.service.created[-1]["agent"]["system"] == "Be kind.\n\nBe brief."


async def test_it_is_listed_by_its_name(at: Table) -> None:
    listed: list[str] = []
    while MODEL not in listed:
        listed = [each["id"] for each in (await at.http.get("/v1/models")).json()["data"]]


async def test_a_recipes_tools_are_run_here_and_their_results_go_back(at: Table) -> None:
    whole = (await at.chat('@call tiny__echo {"text": "noon"}', "woollama/busy")).json()
    assert whole["choices"][0]["message"]["content"] == "The tool said: noon"
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert len(at.service.created) == 1
    (_, told) = at.service.told
    assert (told["type"], told["is_error"]) == ("user.custom_tool_result", False)


async def test_a_tool_that_nobody_has_is_an_error_that_it_can_mend(at: Table) -> None:
    whole = (await at.chat("@ask Tea or coffee?")).json()
    assert "there is no tool 'ask_user'" in whole["choices"][0]["message"]["content"]


async def test_a_tool_of_the_clients_is_called_through_the_client(at: Table) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    first = (await at.chat('@call weather {"city": "Bonn"}', tools=[tool])).json()["choices"][0]
    assert first["finish_reason"] == "tool_calls"
    (call,) = first["message"]["tool_calls"]
    asked = {"role": "user", "content": "What is the weather?"}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "rain"}
    body = {"model": MODEL, "tools": [tool], "messages": [asked, first["message"], result]}
    again = (await at.http.post("/v1/chat/completions", json=body)).json()
    assert "<tool_result>\nrain\n</tool_result>" in again["choices"][0]["message"]["content"]


@pytest.mark.parametrize("status", [404, 429, 500])
async def test_a_refusal_keeps_its_status(at: Table, status: int) -> None:
    at.service.refusals = [Refused(status, "not today", {"retry-after": "7"})]
    answer = await at.chat("Hello")
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, "7"), answer.text
    assert "not today" in answer.json()["error"]["message"]
    assert answer.json()["error"]["at_fault"] == "upstream"


async def test_a_wrong_key_and_an_agent_that_is_not_there_are_told(tmp_path: Path) -> None:
    async with table(tmp_path, "sk-wrong") as at:
        answer = await at.chat("Hello")
        assert (answer.status_code, "invalid x-api-key" in answer.text) == (401, True)
        assert "sk-wrong" not in answer.text


async def test_an_agent_that_is_not_there_is_a_404_with_those_that_are(at: Table) -> None:
    answer = await at.chat("Hello", "claude-agent/nobody")
    assert answer.status_code == 404
    assert "there is: 'helper'" in answer.json()["error"]["message"]


async def test_a_cut_stream_is_no_success(at: Table) -> None:
    raw = (await at.chat("@cut", stream=True)).text
    assert "broke off" in raw
    assert "[DONE]" not in raw
    await at.service.until(lambda: not at.service.sessions)
    assert at.service.told[-1] == {"type": "user.interrupt"}


async def test_the_session_of_a_client_that_leaves_is_interrupted(at: Table) -> None:
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "@hang"}]}
    async with at.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            if "Well" in line:
                break
    await at.service.until(lambda: not at.service.sessions)
    assert at.service.told[-1] == {"type": "user.interrupt"}
