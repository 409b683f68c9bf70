"""Every shipped inferencer, each against an upstream of its own dialect: what it is asked, where, with which key."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests import upstream
from tests.daemon import daemon
from tests.dialects.recordings import Recording
from tests.upstream import Scripted, ScriptedUpstream, chat, chat_stream, ollama_stream
from woollama.app import open_core
from woollama.config import load

ROOT = Path(__file__).parents[1]
SHIPPED: Mapping[str, Mapping[str, Any]] = tomllib.loads((ROOT / "inferencers.toml").read_text())["inferencers"]
WITHOUT_UPSTREAM = {"claude-code", "local", "scripted"}
IN_SESSIONS = {"claude-agent"}
"""Not asked by one request; see test_claude_agent.py."""
KEY = "sk-the-daemons-own"
PATIENCE_S = 60.0
WEATHER = Recording("anthropic", "text")


@dataclass(frozen=True)
class Speech:
    """How an `api` is spoken: the path of a round, what answers it, and the header with the key."""

    path: str
    answer: Scripted
    text: str
    key_header: str
    key: str


SPEECHES = {
    "openai": Speech("/chat/completions", chat_stream("It is noon."), "It is noon.", "authorization", f"Bearer {KEY}"),
    "ollama": Speech("/api/chat", ollama_stream("It is noon."), "It is noon.", "authorization", f"Bearer {KEY}"),
    "anthropic": Speech(
        "/v1/messages",
        upstream.sse([frame + b"\n\n" for frame in WEATHER.raw.split(b"\n\n") if frame]),
        "".join(wire["delta"]["text"] for wire in WEATHER.wires if wire.get("delta", {}).get("type") == "text_delta"),
        "x-api-key",
        KEY,
    ),
}


def path_of(name: str) -> str:
    """What of the shipped base URL stays when another host takes its place."""
    url: str = SHIPPED[name]["base_url"]
    return "" if url.startswith("${") else urlsplit(url).path


def speech_of(name: str) -> Speech:
    return SPEECHES[SHIPPED[name].get("api", "openai")]


def configure(directory: Path, name: str, base_url: str, more: str = "") -> dict[str, str]:
    """A user's files that send the one inferencer to `base_url` and switch off all that is not needed. Gives the
    environment, with a key only where the inferencer wants one."""
    others = "".join(f"[inferencers.{other}]\ndisabled = true\n" for other in SHIPPED if other != name)
    own = f'[inferencers.{name}]\nbase_url = "{base_url}"\nretries = 0\n{more}\n'
    (directory / "inferencers.toml").write_text(own + others)
    (directory / "recipes.toml").write_text(f'[recipes.plain]\ninferencer = "{name}/mock-model"\n')
    servers = {server: {"disabled": True} for server in ("hello", "clock", "textops")}
    (directory / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    key = SHIPPED[name].get("api_key_env")
    environ = {variable: value for variable, value in os.environ.items() if not variable.endswith("_API_KEY")}
    return {**environ, "HOME": str(directory), **({key: KEY} if key else {})}


@asynccontextmanager
async def between(
    directory: Path, name: str, more: str = "", path: str | None = None
) -> AsyncIterator[tuple[ScriptedUpstream, httpx2.AsyncClient]]:
    """A daemon with the one inferencer, an upstream that plays it, and a client."""
    async with ScriptedUpstream() as played:
        environ = configure(directory, name, played.origin + (path_of(name) if path is None else path), more)
        async with (
            daemon(directory, environ) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            yield played, client


async def ask(client: httpx2.AsyncClient, model: str, **body: Any) -> httpx2.Response:
    asked = {"model": model, "messages": [{"role": "user", "content": "Time?"}], **body}
    return await client.post("/v1/chat/completions", json=asked)


def asked_in(played: ScriptedUpstream) -> upstream.Received:
    """The one request that is no question for models."""
    (request,) = (each for each in played.requests if each.method == "POST")
    return request


def key_in(request: upstream.Received, name: str) -> str | None:
    return request.headers.get(speech_of(name).key_header)


def key_for(name: str) -> str | None:
    return speech_of(name).key if "api_key_env" in SHIPPED[name] else None


EACH = pytest.mark.parametrize("name", sorted(SHIPPED.keys() - WITHOUT_UPSTREAM - IN_SESSIONS))
RELAYED = pytest.mark.parametrize(
    "name", sorted(name for name, entry in SHIPPED.items() if entry.get("api", "openai") in ("openai", "ollama"))
)


def test_every_shipped_inferencer_but_those_on_this_machine_has_an_address() -> None:
    assert {name for name, entry in SHIPPED.items() if "base_url" not in entry} == WITHOUT_UPSTREAM
    asked = {name: entry for name, entry in SHIPPED.items() if name not in WITHOUT_UPSTREAM | IN_SESSIONS}
    assert {entry.get("api", "openai") for entry in asked.values()} == set(SPEECHES)


@EACH
async def test_the_engine_asks_each_in_its_own_dialect_with_its_own_key(name: str, tmp_path: Path) -> None:
    speech = speech_of(name)
    async with between(tmp_path, name) as (played, client):
        played.answers(speech.answer)
        answer = await ask(client, "woollama/plain", max_tokens=64)
        request = asked_in(played)

    assert answer.headers["x-woollama-path"] == "engine; recipe"
    assert answer.headers["x-woollama-target"] == f"{name}/mock-model"
    assert answer.json()["choices"][0]["message"]["content"] == speech.text
    assert request.path == path_of(name) + speech.path
    assert request.json["model"] == "mock-model"
    assert key_in(request, name) == key_for(name)


@RELAYED
async def test_plain_chat_is_relayed_with_its_own_key(name: str, tmp_path: Path) -> None:
    async with between(tmp_path, name) as (played, client):
        played.answers(chat("It is noon."))
        answer = await ask(client, f"{name}/mock-model", vendor_field=7)
        request = asked_in(played)

    assert answer.headers["x-woollama-path"] == "relay"
    assert answer.json()["choices"][0]["message"]["content"] == "It is noon."
    assert request.path == (path_of(name) or "/v1") + "/chat/completions"
    assert request.json == {
        "model": "mock-model",
        "messages": [{"role": "user", "content": "Time?"}],
        "vendor_field": 7,
    }
    assert key_in(request, name) == key_for(name)


@EACH
async def test_the_models_of_each_are_listed(name: str, tmp_path: Path) -> None:
    async with ScriptedUpstream() as played:
        played.models = ["mock-model", "another"]
        environ = configure(tmp_path, name, played.origin + path_of(name), "discover = true")
        loaded = load(tmp_path, environ)
        assert not loaded.errors, loaded.errors
        async with open_core(loaded.config, environ) as core:
            assert await core.catalog.refresh(name)
            listed = [str(target) for target in core.catalog.targets()]

    assert listed == [f"{name}/mock-model", f"{name}/another"]
    assert {key_in(request, name) for request in played.requests} == {key_for(name)}


WITH_A_KEY = pytest.mark.parametrize("name", sorted(name for name, entry in SHIPPED.items() if "api_key_env" in entry))


@WITH_A_KEY
@pytest.mark.parametrize("model", ["woollama/plain", "{name}/mock-model"])
async def test_without_its_key_it_is_not_asked_and_the_variable_is_named(name: str, model: str, tmp_path: Path) -> None:
    async with ScriptedUpstream() as played:
        environ = configure(tmp_path, name, played.origin + path_of(name))
        variable = SHIPPED[name]["api_key_env"]
        del environ[variable]
        async with (
            daemon(tmp_path, environ) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            answer = await ask(client, model.format(name=name))

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["at_fault"]) == (401, "no_key", "router")
    assert error["message"] == f"{name} needs {variable}, which is not set where the daemon runs"
    assert not played.requests


async def test_a_recipe_goes_on_to_the_inferencer_that_has_its_key(tmp_path: Path) -> None:
    async with ScriptedUpstream() as played:
        environ = configure(tmp_path, "openai", f"{played.origin}/v1")
        del environ["OPENAI_API_KEY"]
        (tmp_path / "inferencers.toml").write_text(f'[inferencers.near]\nbase_url = "{played.origin}/v1"\n')
        (tmp_path / "recipes.toml").write_text(
            '[recipes.plain]\ninferencer = "openai/gpt"\nfallbacks = ["near/mock-model"]\n'
        )
        played.answers(chat("It is noon."))
        async with (
            daemon(tmp_path, environ) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            answer = await ask(client, "woollama/plain")

    assert answer.headers["x-woollama-target"] == "near/mock-model"
    assert answer.headers["x-woollama-attempts"] == "2"


# --- Ollama: what its own words are needed for -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
@pytest.mark.parametrize("own", [{"options": {"num_ctx": 8192}}, {"keep_alive": "5m"}, {"think": False}])
async def test_what_only_ollamas_own_api_honours_is_asked_there(own: dict[str, Any], path: str, tmp_path: Path) -> None:
    async with between(tmp_path, "ollama", path=path) as (played, client):
        played.answers(ollama_stream("It is noon."))
        answer = await ask(client, "ollama/mock-model", **own)
        request = asked_in(played)

    assert answer.headers["x-woollama-path"] == f"engine; field {next(iter(own))}"
    assert "x-woollama-rewrites" not in answer.headers
    assert request.path == "/api/chat"
    assert request.json == {
        "model": "mock-model",
        "messages": [{"role": "user", "content": "Time?"}],
        "stream": True,
        **own,
    }


async def test_a_context_that_is_configured_is_never_lost_to_the_relay(tmp_path: Path) -> None:
    more = 'extra_body = { keep_alive = "30m", options = { num_ctx = 16384 } }'
    async with between(tmp_path, "ollama", more) as (played, client):
        played.answers(ollama_stream("It is noon."))
        answer = await ask(client, "ollama/mock-model", temperature=0.5)
        request = asked_in(played)

    assert answer.json()["choices"][0]["message"]["content"] == "It is noon."
    assert (request.path, request.json["keep_alive"]) == ("/api/chat", "30m")
    assert request.json["options"] == {"num_ctx": 16384, "temperature": 0.5}


async def test_embeddings_go_where_ollama_speaks_openais_words(tmp_path: Path) -> None:
    async with between(tmp_path, "ollama") as (played, client):
        played.answers(upstream.json({"object": "list", "data": []}))
        answer = await client.post("/v1/embeddings", json={"model": "ollama/mock-model", "input": "x"})

    assert answer.status_code == 200
    assert asked_in(played).path == "/v1/embeddings"


async def test_it_is_the_api_that_decides_and_not_the_name(tmp_path: Path) -> None:
    async with between(tmp_path, "vllm", 'api = "ollama"') as (played, client):
        played.answers(ollama_stream("It is noon."), chat("It is one."))
        first = await ask(client, "vllm/mock-model", think=True)
        second = await ask(client, "vllm/mock-model")
        paths = [request.path for request in played.requests if request.method == "POST"]

    assert (first.status_code, second.status_code) == (200, 200)
    assert paths == ["/api/chat", "/v1/chat/completions"]


async def test_a_tool_of_the_clients_is_called_through_ollamas_own_api(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
    async with between(tmp_path, "ollama") as (played, client):
        played.answers(ollama_stream(calls=[("now", {"timezone": "Asia/Tokyo"})]), ollama_stream("It is noon."))
        first = await ask(client, "woollama/plain", tools=[tool])
        said = first.json()["choices"][0]["message"]
        (call,) = said["tool_calls"]
        result = {"role": "tool", "tool_call_id": call["id"], "content": "12:00"}
        second = await ask(
            client, "woollama/plain", tools=[tool], messages=[{"role": "user", "content": "?"}, said, result]
        )
        *_, last = (request for request in played.requests if request.method == "POST")

    assert first.json()["choices"][0]["finish_reason"] == "tool_calls"
    assert json.loads(call["function"]["arguments"]) == {"timezone": "Asia/Tokyo"}
    assert second.json()["choices"][0]["message"]["content"] == "It is noon."
    assert last.json["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": call["id"], "function": {"name": "now", "arguments": {"timezone": "Asia/Tokyo"}}}],
        },
        {"role": "tool", "content": "12:00", "tool_name": "now", "tool_call_id": call["id"]},
    ]


async def test_a_model_that_was_never_pulled_is_told_with_what_helps(tmp_path: Path) -> None:
    async with between(tmp_path, "ollama") as (played, client):
        played.answers(upstream.json({"error": "model 'mock-model' not found"}, status=404))
        answer = await ask(client, "woollama/plain")

    assert answer.status_code == 404
    assert "ollama pull mock-model" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_of_ollamas_that_is_cut_is_no_success(stream: bool, tmp_path: Path) -> None:
    async with between(tmp_path, "ollama") as (played, client):
        played.answers(ollama_stream("It is noon.", cut_after=2))
        answer = await ask(client, "woollama/plain", stream=stream)

    if stream:
        assert '"error"' in answer.text
        assert '"finish_reason":"stop"' not in answer.text.replace(" ", "")
        assert "[DONE]" not in answer.text
    else:
        assert answer.status_code == 502
        assert "without finishing" in answer.json()["error"]["message"]
