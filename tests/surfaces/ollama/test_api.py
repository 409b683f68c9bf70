"""Ollama's API as its clients use it: the `ollama` package and plain requests, before a whole daemon."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import ollama
import pytest

from tests import upstream as scripted
from tests.surfaces.tables import GOLDEN, PATIENCE_S, Table, table
from tests.upstream import chat_stream, ollama_lines, ollama_stream

ASK = [{"role": "user", "content": "What is the weather?"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    },
}
PNG = "iVBORw0KGgo="


@pytest.fixture
async def seated(tmp_path: Path) -> AsyncIterator[tuple[Table, ollama.AsyncClient]]:
    async with table(tmp_path) as sat:
        client = ollama.AsyncClient(host=sat.url, timeout=PATIENCE_S, trust_env=False)
        yield sat, client
        await client._client.aclose()


def lines_of(answer: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


async def heard(
    client: ollama.AsyncClient, model: str, pieces: list[Any] | None = None, *, stream: bool = True
) -> None:
    """Ask and listen to the end; what came before a failure is in `pieces`."""
    if not stream:
        await client.chat(model, ASK)
        return
    async for piece in await client.chat(model, ASK, stream=True):
        if pieces is not None:
            pieces.append(piece)


# --- what there is


async def test_a_client_finds_the_models_and_a_version_that_it_accepts(
    seated: tuple[Table, ollama.AsyncClient],
) -> None:
    sat, client = seated
    listed = [model.model for model in (await client.list()).models]
    assert {"woollama/plain", "llama/m", "mock/m"} <= set(listed)
    version = (await sat.client.get("/api/version")).json()["version"]
    assert tuple(map(int, version.split("."))) >= (0, 6, 4)


async def test_the_greeting_and_the_listings_answer_to_head_as_well(
    seated: tuple[Table, ollama.AsyncClient],
) -> None:
    sat, _ = seated
    for path in ("/", "/api/version", "/api/tags"):
        got, head = await sat.client.get(path), await sat.client.head(path)
        assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
    assert (await sat.client.get("/", headers={"accept": "text/html"})).text == "woollama is running"


async def test_a_model_behind_ollama_is_shown_as_ollama_shows_it(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    sat.upstream.answers(
        scripted.json({"capabilities": ["completion"], "model_info": {"general.architecture": "qwen3"}})
    )
    shown = await client.show("llama/qwen3")
    (request,) = sat.upstream.requests
    assert (request.path, request.json) == ("/api/show", {"model": "qwen3"})
    assert shown.capabilities == ["completion"]


@pytest.mark.parametrize("body", [{"model": "woollama/plain"}, {"name": "woollama/plain:latest"}, {"model": "mock/m"}])
async def test_any_other_model_is_shown_as_far_as_it_is_known(
    seated: tuple[Table, ollama.AsyncClient], body: dict[str, str]
) -> None:
    sat, _ = seated
    shown = (await sat.client.post("/api/show", json=body)).json()
    assert "tools" in shown["capabilities"]
    assert shown["details"]["parent_model"] == "mock/m"
    assert shown["model_info"]["general.architecture"] == "woollama"


async def test_what_runs_is_asked_of_every_ollama(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    sat.upstream.answers(scripted.json({"models": [{"name": "qwen3:latest", "size_vram": 7}]}))
    running = (await client.ps()).models
    assert [(model.model, model.size_vram) for model in running] == [("llama/qwen3:latest", 7)]
    assert (await client.ps()).models == []  # the upstream now answers with an error


# --- relayed


@pytest.mark.parametrize("name", ["text", "thinking", "thinking_and_two_tools", "length"])
async def test_a_stream_of_ollamas_own_passes_as_it_came(seated: tuple[Table, ollama.AsyncClient], name: str) -> None:
    sat, _ = seated
    raw = (GOLDEN / f"ollama/{name}.ndjson").read_bytes()
    sat.upstream.answers(ollama_lines([json.loads(line) for line in raw.splitlines()]))
    asked = {"model": "llama/qwen3", "messages": ASK, "options": {"num_ctx": 9}, "keep_alive": "5m", "next_year": [1]}
    answer = await sat.client.post("/api/chat", json=asked)
    (request,) = sat.upstream.requests

    assert (answer.headers["x-woollama-path"], answer.headers["content-type"]) == ("relay", "application/x-ndjson")
    assert lines_of(answer) == [json.loads(line) for line in raw.splitlines()]
    assert (request.path, request.json) == ("/api/chat", {**asked, "model": "qwen3"})
    assert request.headers["authorization"] == "Bearer key-of-llama"


async def test_a_relayed_stream_that_is_cut_ends_with_an_error(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    sat.upstream.answers(ollama_stream("one two three", cut_after=2))
    with pytest.raises(ollama.ResponseError, match="without finishing"):
        await heard(client, "llama/qwen3")


async def test_a_prompt_is_relayed_with_all_that_only_ollama_knows(
    seated: tuple[Table, ollama.AsyncClient],
) -> None:
    sat, client = seated
    sat.upstream.answers(scripted.json({"model": "qwen3", "response": "x = 1", "done": True, "context": [1, 2]}))
    answer = await client.generate("llama/qwen3", "def f():", suffix="return x", raw=True)
    assert (answer.response, answer.context) == ("x = 1", [1, 2])
    (request,) = sat.upstream.requests
    assert (request.path, request.json["suffix"], request.json["raw"]) == ("/api/generate", "return x", True)


async def test_an_answer_in_one_piece_is_relayed(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    whole = {"model": "qwen3", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}
    sat.upstream.answers(scripted.json(whole))
    assert (await client.chat("llama/qwen3", ASK)).message.content == "Hi"


# --- through the engine


async def test_a_conversation_with_calls_of_the_clients_tools(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    calls = [("get_weather", {"location": "Zürich"}), ("get_weather", {"location": "Bern"})]
    sat.upstream.answers(chat_stream("I look.", reasoning="Two places.", calls=calls), chat_stream("Sunny in both."))
    pieces = [piece async for piece in await client.chat("mock/m", ASK, tools=[WEATHER], stream=True)]

    assert "".join(piece.message.thinking or "" for piece in pieces) == "Two places."
    assert "".join(piece.message.content or "" for piece in pieces) == "I look."
    made = [call for piece in pieces for call in piece.message.tool_calls or ()]
    assert [call.function.arguments for call in made] == [{"location": "Zürich"}, {"location": "Bern"}]
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    last = pieces[-1]
    assert (last.done_reason, last.prompt_eval_count, last.eval_count) == ("stop", 11, 7)
    assert all((last.total_duration, last.eval_duration, last.prompt_eval_duration))

    history = [
        *ASK,
        {"role": "assistant", "content": "I look.", "thinking": "Two.", "tool_calls": [c.model_dump() for c in made]},
        {"role": "tool", "tool_name": "get_weather", "content": "sunny"},
        {"role": "tool", "tool_name": "get_weather", "content": "rain"},
    ]
    answer = await client.chat("mock/m", history, tools=[WEATHER])
    assert answer.message.content == "Sunny in both."
    told = sat.asked[1]["messages"]
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool"]
    ids = [call["id"] for call in told[1]["tool_calls"]]
    assert [(each["tool_call_id"], each["content"]) for each in told[2:]] == list(
        zip(ids, ["sunny", "rain"], strict=True)
    )


async def test_options_format_images_and_thinking_reach_a_model_of_another_dialect(
    seated: tuple[Table, ollama.AsyncClient],
) -> None:
    sat, client = seated
    sat.upstream.answers(scripted.chat('{"a": 1}'))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    options = {"temperature": 0.5, "num_predict": 20, "stop": ["END"], "seed": 7, "num_ctx": 4096, "top_k": 3}
    question = [{"role": "user", "content": "What?", "images": [PNG]}]
    answer = await client.chat("mock/m", question, format=schema, options=options, think="low", keep_alive="5m")

    assert answer.message.content == '{"a": 1}'
    (asked,) = sat.asked
    assert (asked["temperature"], asked["max_tokens"], asked["stop"], asked["seed"]) == (0.5, 20, ["END"], 7)
    assert asked["response_format"]["json_schema"]["schema"] == schema
    assert asked["reasoning_effort"] == "low"
    assert asked["messages"][0]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PNG}"


async def test_a_recipe_on_ollama_keeps_ollamas_own_settings(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    sat.upstream.answers(ollama_stream("Baa."))
    options = {"num_ctx": 4096, "temperature": 0.5, "mirostat": 1}
    answer = await client.chat(
        "woollama/shepherd:latest", ASK, options=options, think=True, keep_alive="7m", format="json"
    )
    assert answer.message.content == "Baa."
    (asked,) = sat.asked
    assert asked["options"] == options
    assert (asked["think"], asked["keep_alive"], asked["format"], asked["model"]) == (True, "7m", "json", "qwen3")


async def test_a_prompt_is_answered_by_any_model(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    sat.upstream.answers(scripted.chat("It is noon."), chat_stream("It is noon."))
    whole = await client.generate("woollama/plain", "Time?", system="Be kind.", images=[PNG])
    pieces = [piece async for piece in await client.generate("mock/m", "Time?", stream=True)]
    assert whole.response == "".join(piece.response for piece in pieces) == "It is noon."
    assert (whole.done, whole.done_reason, pieces[-1].eval_count) == (True, "stop", 7)
    assert "Be kind." in json.dumps(sat.asked[0]["messages"])


async def test_tools_of_a_recipe_run_here_and_are_hidden(tmp_path: Path) -> None:
    async with table(tmp_path, tools=True) as sat:
        sat.upstream.answers(
            chat_stream("I count.", calls=[("textops__word_count", {"text": "a b c"})]), chat_stream("Three.")
        )
        answer = await sat.client.post("/api/chat", json={"model": "woollama/clerk", "messages": ASK})
    lines = lines_of(answer)
    assert "".join(line["message"]["content"] for line in lines) == "I count.\n\nThree."
    assert not [line for line in lines if "tool_calls" in line["message"]]
    assert (lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == (11, 14)
    assert [call["name"] for call in lines[-1]["x_woollama"]["tool_calls"]] == ["textops__word_count"]


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/api/generate", {}, "load"),
        ("/api/generate", {"keep_alive": 0}, "unload"),
        ("/api/chat", {"messages": []}, "load"),
        ("/api/chat", {"messages": [], "keep_alive": 0, "stream": False}, "unload"),
    ],
)
async def test_a_model_that_is_not_ollamas_is_loaded_at_once(
    seated: tuple[Table, ollama.AsyncClient], path: str, body: dict[str, Any], reason: str
) -> None:
    sat, _ = seated
    answer = await sat.client.post(path, json={"model": "mock/m", **body})
    (told,) = lines_of(answer)
    assert (told["done"], told["done_reason"], told["model"]) == (True, reason, "mock/m")
    assert sat.upstream.requests == []


# --- embeddings


async def test_embeddings_of_ollamas_own_are_relayed(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    sat.upstream.answers(scripted.json({"model": "e", "embeddings": [[1.0, 2.0]], "prompt_eval_count": 3}))
    answer = await client.embed("llama/e", "hello", truncate=True)
    assert answer.embeddings == [[1.0, 2.0]]
    (request,) = sat.upstream.requests
    assert (request.path, request.json) == ("/api/embed", {"model": "e", "input": "hello", "truncate": True})


async def test_embeddings_of_any_other_are_asked_in_openais_words(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    sat.upstream.answers(scripted.json({"data": data, "usage": {"prompt_tokens": 5}}))
    answer = await client.embed("mock/m", ["a", "b"], dimensions=1)
    assert (answer.embeddings, answer.prompt_eval_count) == ([[1.0], [2.0]], 5)
    (request,) = sat.upstream.requests
    assert (request.path, request.json) == ("/v1/embeddings", {"model": "m", "input": ["a", "b"], "dimensions": 1})
    sat.upstream.answers(scripted.json({"data": data[1:]}))
    assert (await client.embeddings("mock/m", "a")).embedding == [1.0]


@pytest.mark.parametrize("given", [{}, {"input": []}, {"input": [1]}, {"input": 7}])
async def test_a_wrong_input_of_embeddings_is_named(
    seated: tuple[Table, ollama.AsyncClient], given: dict[str, Any]
) -> None:
    sat, _ = seated
    answer = await sat.client.post("/api/embed", json={"model": "mock/m", **given})
    assert (answer.status_code, "input" in answer.json()["error"]) == (400, True)


# --- errors, and how they come in


@pytest.mark.parametrize(
    ("path", "change", "status", "said"),
    [
        ("/api/chat", {"model": "nobody/x"}, 404, "nobody/x"),
        ("/api/chat", {"messages": [{"role": "king"}]}, 400, "messages[0].role"),
        ("/api/chat", {"messages": [{"role": "tool", "content": "x"}]}, 400, "messages[0]"),
        ("/api/chat", {"format": 7}, 400, "format"),
        ("/api/chat", {"think": "hard"}, 400, "think"),
        ("/api/chat", {"options": {"stop": 7}}, 400, "options.stop"),
        ("/api/chat", {"messages": [{"role": "user", "images": [7]}]}, 400, "messages[0].images[0]"),
        ("/api/generate", {"prompt": "x", "suffix": "y"}, 400, "suffix"),
        ("/api/generate", {"prompt": "x", "raw": True}, 400, "raw"),
        ("/api/show", {"model": None}, 400, "model"),
        ("/api/pull", {}, 404, "/api/pull"),
    ],
)
async def test_a_mistake_is_named_in_this_dialects_shape(
    seated: tuple[Table, ollama.AsyncClient], path: str, change: dict[str, Any], status: int, said: str
) -> None:
    sat, _ = seated
    answer = await sat.client.post(path, json={"model": "mock/m", "messages": ASK, **change})
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)
    assert said in answer.json()["error"]
    assert answer.json()["at_fault"] == "client"


@pytest.mark.parametrize("model", ["llama/qwen3", "mock/m"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstreams_refusal_is_the_packages_own_exception(
    seated: tuple[Table, ollama.AsyncClient], model: str, stream: bool
) -> None:
    sat, client = seated
    sat.upstream.answers(scripted.json({"error": "the model is too large"}, status=500))
    with pytest.raises(ollama.ResponseError, match="too large") as caught:
        await heard(client, model, stream=stream)
    assert caught.value.status_code == 500


async def test_an_engines_stream_that_is_cut_ends_with_an_error(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, client = seated
    sat.upstream.answers(chat_stream("one two three", cut_after=3))
    pieces: list[Any] = []
    with pytest.raises(ollama.ResponseError):
        await heard(client, "woollama/plain", pieces)
    assert pieces
    assert not [piece for piece in pieces if piece.done]


async def test_curl_need_not_say_that_it_sends_json_but_a_page_must(seated: tuple[Table, ollama.AsyncClient]) -> None:
    sat, _ = seated
    sat.upstream.always(chat_stream("Hi."))
    body = json.dumps({"model": "mock/m", "messages": ASK, "stream": False})
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await sat.client.post("/api/chat", content=body, headers=form)).json()["message"]["content"] == "Hi."
    strangers = {**form, "origin": "http://evil.example"}
    assert (await sat.client.post("/api/chat", content=body, headers=strangers)).status_code == 403
    own = {**form, "origin": sat.url}
    assert (await sat.client.post("/api/chat", content=body, headers=own)).status_code == 415
    assert (await sat.client.post("/v1/chat/completions", content=body, headers=form)).status_code == 415
