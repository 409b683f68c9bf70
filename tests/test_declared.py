"""What is declared of inferencers and holds on every way to them: capabilities, whose key, what stays private."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.daemon import daemon
from tests.upstream import Answer, Received, ScriptedUpstream, chat, error, json
from woollama.server import ServeOptions

PATIENCE_S = 60.0
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TOOL = {"type": "function", "function": {"name": "mine", "parameters": {"type": "object"}}}


class Table:
    """A daemon before an inferencer `near`, which is local, and `far`, which is not; both are scripted."""

    def __init__(self, client: httpx2.AsyncClient, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
        self.client = client
        self.near = near
        self.far = far

    async def chat(
        self, model: str, *parts: Any, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx2.Response:
        messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}, *parts]}]
        asked = {"model": model, "messages": messages, **body}
        return await self.client.post("/v1/chat/completions", json=asked, headers=headers)

    async def embed(self, model: str, **how: Any) -> httpx2.Response:
        return await self.client.post("/v1/embeddings", json={"model": model, "input": "hi"}, **how)


@asynccontextmanager
async def table(directory: Path, recipes: str = "", *, token: str | None = None, **far: str) -> AsyncIterator[Table]:
    async with ScriptedUpstream() as near, ScriptedUpstream() as other:
        near.always(fine)
        other.always(fine)
        more = "".join(f"{key} = {value}\n" for key, value in far.items())
        (directory / "inferencers.toml").write_text(
            f'[inferencers.near]\nbase_url = "{near.base_url}"\nretries = 0\ndiscover = false\nlocal = true\n'
            f'[inferencers.far]\nbase_url = "{other.base_url}"\nretries = 0\ndiscover = false\n{more}'
        )
        (directory / "recipes.toml").write_text(recipes)
        (directory / "mcp.json").write_text("{}")
        environ = {**os.environ, "HOME": str(directory), "FAR_KEY": "our-own-key"}
        options = ServeOptions(shutdown_timeout_s=1.0, token=token)
        async with (
            daemon(directory, environ, options) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            yield Table(client, near, other)


def fine(request: Received) -> Answer:
    if request.path.endswith("/embeddings"):
        return json({"object": "list", "data": [{"index": 0, "embedding": [1.0]}], "model": "m"})
    whole = chat("fine")
    return whole(request) if callable(whole) else whole


# --- what a model can do


CAPABILITIES = '{ embedding = ["*embed*"], chat = ["gpt", "seer"], vision = ["seer"], tools = ["gpt"] }'


async def test_a_model_that_is_declared_as_another_is_refused_by_name(tmp_path: Path) -> None:
    recipes = '[recipes.plain]\ninferencer = "far/text-embed"\n'
    async with table(tmp_path, recipes, capabilities=CAPABILITIES) as at:
        refusals = [
            await at.chat("far/text-embed"),
            await at.chat("woollama/plain"),
            await at.embed("far/gpt"),
            await at.chat("far/gpt", IMAGE),
            await at.chat("far/seer", tools=[TOOL]),
            await at.client.post("/v1/responses", json={"model": "far/text-embed", "input": "hi", "store": False}),
            await at.client.post("/v1/images/generations", json={"model": "far/gpt", "prompt": "a cat"}),
        ]
        for refused in refusals:
            assert refused.status_code == 400
            told = refused.json()["error"]
            assert (told["code"], told["param"]) == ("model_lacks_capability", "model")
        assert "far/text-embed as embedding" in refusals[0].json()["error"]["message"]
        assert "far/seer as chat, vision" in refusals[4].json()["error"]["message"]
        assert at.far.requests == []


async def test_what_is_declared_so_and_what_is_undeclared_goes_through(tmp_path: Path) -> None:
    async with table(tmp_path, capabilities=CAPABILITIES) as at:
        through = [
            await at.embed("far/text-embed"),
            await at.chat("far/gpt", tools=[TOOL]),
            await at.chat("far/seer", IMAGE),
            await at.chat("far/unknown", IMAGE, tools=[TOOL]),
            await at.embed("far/unknown"),
        ]
        assert [answer.status_code for answer in through] == [200] * len(through)


async def test_a_fallback_that_cannot_do_it_is_passed_over(tmp_path: Path) -> None:
    recipes = '[recipes.plain]\ninferencer = "far/text-embed"\nfallbacks = ["near/gpt"]\n'
    async with table(tmp_path, recipes, capabilities=CAPABILITIES) as at:
        assert (await at.chat("woollama/plain")).headers["x-woollama-target"] == "near/gpt"
        assert (await at.embed("woollama/plain")).headers["x-woollama-target"] == "far/text-embed"


async def test_emulated_tools_need_no_declaration(tmp_path: Path) -> None:
    declared = '{ chat = ["*"], tools = ["gpt"] }'
    async with table(tmp_path, capabilities=declared, tool_mode='"emulated"') as at:
        at.far.answers(chat('{"calls": []}'), chat("fine"))
        assert (await at.chat("far/seer", tools=[TOOL])).status_code == 200


async def test_the_list_of_models_says_what_is_declared(tmp_path: Path) -> None:
    async with table(tmp_path, capabilities=CAPABILITIES, models='["seer", "text-embed", "unknown"]') as at:
        listed = {model["id"]: model for model in (await at.client.get("/v1/models")).json()["data"]}
        assert listed["far/seer"]["x_woollama"] == {"capabilities": ["chat", "vision"]}
        assert listed["far/text-embed"]["x_woollama"] == {"capabilities": ["embedding"]}
        assert "x_woollama" not in listed["far/unknown"]
        shown = (await at.client.post("/api/show", json={"model": "far/seer"})).json()
        assert shown["capabilities"] == ["completion", "vision"]


# --- whose key


WAYS = pytest.mark.parametrize("way", ["relay", "recipe", "embeddings"])
RECIPE = '[recipes.plain]\ninferencer = "far/m"\n'


async def asked(at: Table, way: str, headers: dict[str, str]) -> httpx2.Response:
    if way == "embeddings":
        return await at.embed("far/m", headers=headers)
    return await at.chat("far/m" if way == "relay" else "woollama/plain", headers=headers)


@WAYS
async def test_a_callers_key_stays_here_unless_it_is_wanted(tmp_path: Path, way: str) -> None:
    async with table(tmp_path, RECIPE, api_key_env='"FAR_KEY"') as at:
        assert (await asked(at, way, {"authorization": "Bearer callers-own"})).status_code == 200
        assert at.far.requests[0].headers["authorization"] == "Bearer our-own-key"
        assert "callers-own" not in repr(at.far.requests)


@WAYS
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_where_it_is_wanted_it_goes_up(tmp_path: Path, way: str, header: str) -> None:
    value = "Bearer callers-own" if header == "authorization" else "callers-own"
    async with table(tmp_path, RECIPE, auth='"client"') as at:
        assert (await asked(at, way, {header: value})).status_code == 200
        assert at.far.requests[0].headers["authorization"] == "Bearer callers-own"
        assert "x-api-key" not in at.far.requests[0].headers


@WAYS
async def test_a_request_without_one_is_told_what_to_send(tmp_path: Path, way: str) -> None:
    async with table(tmp_path, RECIPE, auth='"client"') as at:
        refused = await asked(at, way, {})
        assert refused.status_code == 401
        assert "far is asked with the key of whoever asks" in refused.json()["error"]["message"]
        assert at.far.requests == []


@WAYS
async def test_our_own_token_is_never_taken_for_a_callers_key(tmp_path: Path, way: str) -> None:
    async with table(tmp_path, RECIPE, token="the-daemons-token", auth='"client"') as at:
        refused = await asked(at, way, {"authorization": "Bearer the-daemons-token"})
        assert refused.status_code == 401
        both = {"x-api-key": "the-daemons-token", "authorization": "Bearer callers-own"}
        assert (await asked(at, way, both)).status_code == 200
        assert at.far.requests[0].headers["authorization"] == "Bearer callers-own"
        assert "the-daemons-token" not in repr([request.raw_headers for request in at.far.requests])


@WAYS
async def test_a_callers_key_that_an_error_repeats_is_taken_out(tmp_path: Path, way: str) -> None:
    async with table(tmp_path, RECIPE, auth='"client"') as at:
        at.far.answers(error(401, "wrong key: callers-own"))
        refused = await asked(at, way, {"authorization": "Bearer callers-own"})
        assert refused.status_code == 401
        assert "wrong key: ***" in refused.json()["error"]["message"]


# --- what stays on this machine


PRIVATE = """
[aliases]
mine = "woollama/hidden"

[recipes.hidden]
inferencer = "near/m"
fallbacks = ["far/m"]
private = true

[recipes.outer]
inferencer = "woollama/hidden"
fallbacks = ["far/m"]
private = false

[recipes.nowhere]
inferencer = "far/m"
private = true
"""


@pytest.mark.parametrize("model", ["woollama/hidden", "hidden", "mine", "woollama/outer"])
async def test_a_private_recipe_never_leaves_also_when_what_is_near_fails(tmp_path: Path, model: str) -> None:
    async with table(tmp_path, PRIVATE) as at:
        at.near.always(error(500))
        answers = [
            await at.chat(model),
            await at.chat(model, stream=True),
            await at.embed(model),
            await at.client.post("/v1/responses", json={"model": model, "input": "hi", "store": False}),
            await at.client.post(
                "/v1/messages", json={"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
            ),
            await at.client.post("/api/chat", json={"model": model, "messages": [{"role": "user", "content": "x"}]}),
            await at.client.post("/api/embed", json={"model": model, "input": "hi"}),
            await at.client.post("/w1/patterns/hidden/run", json={"input": "hi"}),
        ]
        assert [answer.status_code for answer in answers] == [500] * len(answers)
        assert at.far.requests == []


async def test_a_private_recipe_without_anything_near_is_refused_everywhere(tmp_path: Path) -> None:
    async with table(tmp_path, PRIVATE) as at:
        answers = [
            await at.chat("woollama/nowhere"),
            await at.embed("woollama/nowhere"),
            await at.client.post("/w1/patterns/nowhere/run", json={"input": "hi"}),
            await at.client.post("/w1/patterns/hidden/run", json={"input": "hi", "model": "far/m"}),
        ]
        assert [answer.status_code for answer in answers] == [403] * len(answers)
        assert at.far.requests == []
