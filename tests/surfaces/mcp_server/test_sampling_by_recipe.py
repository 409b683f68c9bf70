"""A tool server asks for a model in the middle of a call: the recipe that is named for it answers, in both eras."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest

from tests.daemon import daemon_in_thread
from tests.surfaces.mcp_server.hosts import PATIENCE_S, SHIPPED, Host, over_http, said
from woollama.server import InProcess

THINKING = Path(__file__).parents[2] / "toolservers" / "servers" / "thinking.py"
ERAS = pytest.mark.parametrize("server", ["old", "new"])
MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])
RECIPES = """
[recipes.brief]
inferencer = "scripted/echo"
system = "Be brief."
[recipes.ask_old]
inferencer = "scripted/echo"
tools = ["old.think"]
tool_choice = "required"
[recipes.ask_new]
inferencer = "scripted/echo"
tools = ["new.think"]
tool_choice = "required"
"""


@contextmanager
def serving(directory: Path, rules: str, *, trusted: bool = True) -> Iterator[InProcess]:
    config = directory / "config"
    config.mkdir()
    entry = {"command": sys.executable, "args": ["-I", str(THINKING)], "trusted": trusted}
    servers = {name: {"disabled": True} for name in SHIPPED}
    servers |= {"old": {**entry, "era": "handshake"}, "new": {**entry, "era": "modern"}}
    (config / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    (config / "recipes.toml").write_text(RECIPES)
    (config / "woollama.toml").write_text(rules)
    with daemon_in_thread(config, {"HOME": str(directory), "PATH": os.environ["PATH"]}) as running:
        yield running


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    rules = '[mcp]\nsampling_recipe = "brief"\n[prices]\n"scripted/*" = { input = 1000000.0, output = 1000000.0 }\n'
    with serving(tmp_path_factory.mktemp("trusted"), rules) as running:
        yield running


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with serving(tmp_path_factory.mktemp("asking"), '[mcp]\nsampling_recipe = "brief"\n', trusted=False) as running:
        yield running


def ask(running: InProcess, model: str, words: str, **more: Any) -> str:
    body = {"model": f"woollama/{model}", "messages": [{"role": "user", "content": words}], **more}
    answer = httpx2.post(f"{running.url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


@ERAS
def test_the_recipe_answers_a_tool_server_and_its_tokens_are_counted(trusted: InProcess, server: str) -> None:
    before = tokens_of_sampling(trusted)
    answered = ask(trusted, f"ask_{server}", "why is the sky blue?")
    assert "scripted/echo: [scripted, no model] You said: why is the sky blue? (endTurn)" in answered
    assert tokens_of_sampling(trusted) == before + 5


def tokens_of_sampling(running: InProcess) -> float:
    wanted = ("gen_ai_client_token_usage_sum", 'gen_ai_operation_name="sampling"', 'gen_ai_token_type="input"')
    lines = httpx2.get(f"{running.url}/metrics", timeout=PATIENCE_S).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(each in line for each in wanted))


@MODES
@ERAS
async def test_it_answers_for_a_host_that_cannot_sample(trusted: InProcess, server: str, mode: str) -> None:
    async with over_http(trusted, mode) as client:
        assert "You said: hm 2 (endTurn)" in said(await client.call_tool(f"{server}__think_twice", {"prompt": "hm"}))
        declared = json.loads(said(await client.call_tool(f"{server}__capabilities", {"prompt": ""})))
        assert declared["sampling"] == {}


class Sampling(Host):
    async def sample(self, _: object, params: Any) -> types.CreateMessageResult:
        self.asked.append(params.messages[0].content.text)
        return types.CreateMessageResult(role="assistant", content=types.TextContent(text="mine"), model="m")

    def options(self) -> dict[str, Any]:
        return {**super().options(), "sampling_callback": self.sample}


@MODES
@ERAS
async def test_a_host_that_can_sample_is_asked_itself(trusted: InProcess, server: str, mode: str) -> None:
    host = Sampling()
    async with over_http(trusted, mode, host) as client:
        assert said(await client.call_tool(f"{server}__think", {"prompt": "hm"})) == "m: mine (None)"
    assert host.asked == ["hm"]


@ERAS
@pytest.mark.parametrize(("decision", "expected"), [("deny", "the user has rejected it"), ("approve", "You said: me?")])
def test_a_person_is_asked_like_for_every_call(asking: InProcess, server: str, decision: str, expected: str) -> None:
    with ThreadPoolExecutor() as aside:
        answer = aside.submit(ask, asking, f"ask_{server}", "me?")
        asked = answered(asking, decision)
        assert (asked["server"], asked["tool"]) == (server, "sampling/createMessage")
        assert asked["command_preview"] == f"{server} asks your model (recipe brief): me?"
        assert expected in answer.result()


def answered(running: InProcess, decision: str) -> dict[str, Any]:
    """The question that waits for an answer, after it has been given one by the owner."""
    deadline = time.monotonic() + PATIENCE_S
    with httpx2.Client(
        transport=httpx2.HTTPTransport(uds=str(running.unix_path)), base_url="http://localhost", timeout=PATIENCE_S
    ) as owner:
        while not (pending := owner.get("/w1/approvals").json()["data"]):
            assert time.monotonic() < deadline, "nobody is asked"
        owner.post(f"/w1/approvals/{pending[0]['id']}", json={"decision": decision}).raise_for_status()
    return dict(pending[0])


async def test_a_host_that_shows_forms_is_asked_for_the_yes(asking: InProcess) -> None:
    host = Host(types.ElicitResult(action="accept"))
    async with over_http(asking, "auto", host) as client:
        assert "You said: hm" in said(await client.call_tool("new__think", {"prompt": "hm"}))
    assert host.asked == ["new asks your model (recipe brief): hm"]


def test_a_request_that_pauses_for_other_calls_waits_for_this_one(asking: InProcess) -> None:
    body = {
        "model": "scripted/echo",
        "input": "hm",
        "tools": [{"type": "mcp", "server_label": "old", "allowed_tools": ["think"], "require_approval": "never"}],
        "tool_choice": "required",
    }
    with ThreadPoolExecutor() as aside:
        answer = aside.submit(httpx2.post, f"{asking.url}/v1/responses", json=body, timeout=60)
        answered(asking, "approve")
        assert "You said: hm" in answer.result().text


@ERAS
def test_a_recipe_that_leads_back_to_the_tool_that_asked_comes_to_an_end(tmp_path: Path, server: str) -> None:
    with serving(tmp_path, f'[limits]\nruns = 1\n[mcp]\nsampling_recipe = "ask_{server}"\n') as running:
        assert "goes round in circles" in ask(running, f"ask_{server}", "hm")


@ERAS
def test_without_a_recipe_it_is_refused_and_the_tool_says_why(tmp_path: Path, server: str) -> None:
    with serving(tmp_path, "") as running:
        assert "sampling" in ask(running, f"ask_{server}", "hm")
