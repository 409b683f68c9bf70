"""Recipes as parameterised prompts, on a whole daemon."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.daemon import daemon
from tests.upstream import ScriptedUpstream, chat

RECIPES = """
[patterns]
dir = "patterns"
default_inferencer = "mock/m"

[recipes.greeter]
description = "Says hello"
inferencer = "mock/m"
system = "Greet {{whom}} in {{language}}."
params = { temperature = 0.5 }
locked = ["temperature"]
variables.language = { default = "English", choices = ["English", "Deutsch"], description = "which" }

[recipes.polite]
inferencer = "woollama/greeter"
system = "Be polite."

[recipes.hidden]
inferencer = "mock/m"
private = true
"""


@dataclass
class Table:
    client: httpx2.AsyncClient
    upstream: ScriptedUpstream

    async def post(self, name: str, verb: str, **body: Any) -> httpx2.Response:
        return await self.client.post(f"/w1/patterns/{name}/{verb}", json=body)


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    folder = tmp_path / "patterns" / "extract wisdom"
    folder.mkdir(parents=True)
    (folder / "system.md").write_text("Extract it.")
    (tmp_path / "recipes.toml").write_text(RECIPES)
    async with ScriptedUpstream() as upstream:
        entry = f'base_url = "{upstream.base_url}"\nmodels = ["m", "other"]\ndiscover = false\nretries = 0\n'
        (tmp_path / "inferencers.toml").write_text(f"[inferencers.mock]\n{entry}")
        async with (
            daemon(tmp_path, {"HOME": str(tmp_path)}) as running,
            httpx2.AsyncClient(base_url=running.url, trust_env=False, timeout=60) as client,
        ):
            yield Table(client, upstream)


async def test_the_listing_names_each_pattern_with_its_variables_and_its_source(table: Table):
    listing = (await table.client.get("/w1/patterns")).json()["data"]
    by_name = {pattern["name"]: pattern for pattern in listing}
    language = {
        "name": "language",
        "default": "English",
        "choices": ["English", "Deutsch"],
        "description": "which",
    }
    assert by_name["greeter"]["variables"] == [{"name": "whom"}, language]
    assert by_name["polite"]["variables"] == [{"name": "whom"}, language]
    assert by_name["greeter"]["source"] == "recipe"
    assert by_name["extract wisdom"] == {
        "name": "extract wisdom",
        "description": "",
        "variables": [],
        "source": "fabric",
    }
    assert by_name["hidden"]["variables"] == []


async def test_rendering_fills_the_variables_in_and_puts_the_input_below(table: Table):
    answer = await table.post("greeter", "render", input="Hi {{whom}}", variables={"whom": "Ada"})
    assert answer.json() == {"prompt": "Greet Ada in English.\n\nHi {{whom}}"}
    assert (await table.post("extract%20wisdom", "render")).json() == {"prompt": "Extract it."}
    assert (await table.post("polite", "render", variables={"whom": "Ada"})).json() == {
        "prompt": "Greet Ada in English.\n\nBe polite."
    }
    assert table.upstream.requests == []


@pytest.mark.parametrize(
    ("variables", "param"),
    [({}, "variables.whom"), ({"whom": "x", "language": "Latin"}, "variables.language"), ("x", "variables")],
)
async def test_a_missing_or_forbidden_value_is_named(table: Table, variables: Any, param: str):
    for verb in ("render", "run"):
        answer = await table.post("greeter", verb, input="x", variables=variables)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param


async def test_running_gives_a_chat_completion(table: Table):
    table.upstream.answers(chat("Hello, Ada."))
    answer = await table.post("greeter", "run", input="Hi", variables={"whom": "Ada"}, temperature=0.9, seed=7)
    body = answer.json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == "Hello, Ada."
    sent = table.upstream.requests[0].json
    assert sent["messages"] == [
        {"role": "system", "content": "Greet Ada in English."},
        {"role": "user", "content": "Hi"},
    ]
    assert (sent["model"], sent["temperature"], sent["seed"]) == ("m", 0.5, 7)


async def test_running_streams_when_asked_to(table: Table):
    table.upstream.answers(chat("Wise."))
    answer = await table.post("extract%20wisdom", "run", input=[{"role": "user", "content": "Hi"}], stream=True)
    frames = [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]
    assert frames[-1] == "[DONE]"
    said = [json.loads(frame)["choices"][0]["delta"].get("content") for frame in frames[:-1]]
    assert "".join(filter(None, said)) == "Wise."


async def test_another_model_may_play_a_pattern_under_the_patterns_own_rules(table: Table):
    table.upstream.answers(chat("Hello."))
    answer = await table.post("greeter", "run", input="Hi", model="mock/other", variables={"whom": "Ada"})
    assert answer.status_code == 200
    sent = table.upstream.requests[0].json
    assert (sent["model"], sent["temperature"]) == ("other", 0.5)
    assert sent["messages"][0] == {"role": "system", "content": "Greet Ada in English."}


async def test_a_private_pattern_stays_private_on_any_model(table: Table):
    answer = await table.post("hidden", "run", input="Hi", model="mock/other")
    assert answer.status_code == 403
    assert table.upstream.requests == []


@pytest.mark.parametrize("verb", ["render", "run"])
async def test_a_name_that_nobody_has_is_a_404_with_the_nearest(table: Table, verb: str):
    answer = await table.post("greter", verb, input="x")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "pattern_not_found"
    assert "greeter" in answer.json()["error"]["message"]


@pytest.mark.parametrize("given", [None, "", [], 3, {}])
async def test_a_run_needs_an_input(table: Table, given: Any):
    answer = await table.post("extract%20wisdom", "run", input=given)
    assert answer.json()["error"]["param"] == "input"
    assert answer.status_code == 400
