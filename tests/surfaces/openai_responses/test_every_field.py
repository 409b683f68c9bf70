"""Every field that the published descriptions let a request have: honoured, told of, or refused by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from conformance.published import described
from tests.stateful import MODEL, Table, table
from tests.upstream import chat

FUNCTION: Any = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
WIRED: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
OTHER: Any = {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}


@dataclass(frozen=True)
class Sent:
    """A field with `value` (and what it needs beside it) reaches the upstream as these fields."""

    value: Any
    upstream: Mapping[str, Any]
    beside: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """It is the daemon's own to honour: the response has these members."""

    value: Any
    response: Mapping[str, Any]


@dataclass(frozen=True)
class Told:
    """This target cannot be told of it, and the answer says so."""

    value: Any
    rewrite: str


@dataclass(frozen=True)
class Refused:
    value: Any
    param: str
    status: int = 400


@dataclass(frozen=True)
class Elsewhere:
    """It says what all the other tests are about."""

    test: str


Fate = Sent | Shown | Told | Refused | Elsewhere

RESPONSES: Mapping[str, Fate] = {
    "background": Shown(True, {"background": True, "status": "queued"}),
    "context_management": Refused([{"type": "compaction", "compact_threshold": 1000}], "context_management"),
    "conversation": Refused("conv_none", "conversation", 404),
    "frequency_penalty": Sent(0.25, {"frequency_penalty": 0.25}),
    "include": Refused(["what is not known"], "include[0]"),
    "input": Elsewhere("test_published"),
    "instructions": Sent("be brief", {"messages": [("system", "be brief"), ("user", "hi")]}),
    "max_output_tokens": Sent(20, {"max_tokens": 20}),
    "max_tool_calls": Shown(2, {"max_tool_calls": 2}),
    "metadata": Shown({"a": "b"}, {"metadata": {"a": "b"}}),
    "model": Elsewhere("test_published"),
    "moderation": Refused({"model": "omni-moderation-latest"}, "moderation"),
    "parallel_tool_calls": Sent(False, {"parallel_tool_calls": False}, {"tools": [FUNCTION]}),
    "presence_penalty": Sent(0.5, {"presence_penalty": 0.5}),
    "previous_response_id": Refused("resp_none", "previous_response_id", 404),
    "prompt": Refused({"id": "pmpt_1"}, "prompt"),
    "prompt_cache_key": Told("k", "prompt_cache_key"),
    "prompt_cache_options": Told({"mode": "explicit"}, "prompt_cache_options"),
    "prompt_cache_retention": Told("24h", "prompt_cache_retention"),
    "reasoning": Sent({"effort": "low"}, {"reasoning_effort": "low"}),
    "safety_identifier": Told("s", "safety_identifier"),
    "service_tier": Sent("flex", {"service_tier": "flex"}),
    "store": Shown(False, {"store": False}),
    "stream": Elsewhere("test_published"),
    "stream_options": Told({"include_obfuscation": True}, "stream_options"),
    "temperature": Sent(0.5, {"temperature": 0.5}),
    "text": Sent(
        {"verbosity": "low", "format": {"type": "json_object"}},
        {"verbosity": "low", "response_format": {"type": "json_object"}},
    ),
    "tool_choice": Sent("required", {"tool_choice": "required"}, {"tools": [FUNCTION]}),
    "tools": Sent([FUNCTION], {"tools": [WIRED]}),
    "top_logprobs": Sent(3, {"top_logprobs": 3, "logprobs": True}),
    "top_p": Sent(0.9, {"top_p": 0.9}),
    "truncation": Shown("auto", {"truncation": "auto"}),
    "user": Sent("u", {"user": "u"}),
    # woollama's own, and one that nobody has described
    "key": Elsewhere("test_state"),
    "options": Told({"num_ctx": 4096}, "num_ctx"),
    "variables": Told({"language": "German"}, "variables were left out: language"),
    "not_yet_thought_of": Told(1, "not_yet_thought_of"),
}
CHAT: Mapping[str, Fate] = {
    "audio": Refused({"voice": "alloy", "format": "wav"}, "audio"),
    "frequency_penalty": Sent(0.25, {"frequency_penalty": 0.25}),
    "function_call": Refused("auto", "function_call"),
    "functions": Refused([{"name": "f"}], "functions"),
    "logit_bias": Sent({"1": 2}, {"logit_bias": {"1": 2}}),
    "logprobs": Sent(True, {"logprobs": True}),
    "max_completion_tokens": Sent(20, {"max_tokens": 20}),
    "max_tokens": Sent(20, {"max_tokens": 20}),
    "messages": Elsewhere("test_published"),
    "metadata": Sent({"a": "b"}, {"metadata": {"a": "b"}}),
    "modalities": Sent(["text"], {"modalities": ["text"]}),
    "model": Elsewhere("test_published"),
    "moderation": Sent({"model": "m"}, {"moderation": {"model": "m"}}),
    "n": Refused(2, "n"),
    "parallel_tool_calls": Sent(False, {"parallel_tool_calls": False}, {"tools": [WIRED]}),
    "prediction": Sent({"type": "content", "content": "x"}, {"prediction": {"type": "content", "content": "x"}}),
    "presence_penalty": Sent(0.5, {"presence_penalty": 0.5}),
    "prompt_cache_key": Sent("k", {"prompt_cache_key": "k"}),
    "prompt_cache_options": Sent({"mode": "explicit"}, {"prompt_cache_options": {"mode": "explicit"}}),
    "prompt_cache_retention": Sent("24h", {"prompt_cache_retention": "24h"}),
    "reasoning_effort": Sent("low", {"reasoning_effort": "low"}),
    "response_format": Sent({"type": "json_object"}, {"response_format": {"type": "json_object"}}),
    "safety_identifier": Sent("s", {"safety_identifier": "s"}),
    "seed": Sent(3, {"seed": 3}),
    "service_tier": Sent("flex", {"service_tier": "flex"}),
    "stop": Sent(["x"], {"stop": ["x"]}),
    "store": Sent(True, {"store": True}),
    "stream": Elsewhere("test_published"),
    "stream_options": Elsewhere("test_published"),
    "temperature": Sent(0.5, {"temperature": 0.5}),
    "tool_choice": Sent("required", {"tool_choice": "required"}, {"tools": [WIRED]}),
    "tools": Sent([WIRED, OTHER], {"tools": [WIRED, OTHER]}),
    "top_logprobs": Sent(3, {"top_logprobs": 3}, {"logprobs": True}),
    "top_p": Sent(0.9, {"top_p": 0.9}),
    "user": Sent("u", {"user": "u"}),
    "verbosity": Sent("low", {"verbosity": "low"}),
    "web_search_options": Sent({}, {"web_search_options": {}}),
    # woollama's own, and one that nobody has described
    "options": Told({"num_ctx": 4096}, "num_ctx"),
    "variables": Told({"language": "German"}, "variables were left out: language"),
    "not_yet_thought_of": Sent(1, {"not_yet_thought_of": 1}),
}
HOSTED = (
    *("web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "computer"),
    *("local_shell", "shell", "apply_patch", "tool_search", "computer_use_preview"),
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Table]:
    recipes = '[recipes.plain]\ninferencer = "mock/m"\n'
    async with table(tmp_path_factory.mktemp("fields"), recipes=recipes) as made:
        made.upstream.always(chat("hello"))
        yield made


def test_no_field_is_forgotten() -> None:
    openai, open_responses = described("openai")["requests"], described("open_responses")["requests"]
    assert {*openai["CreateResponse"], *open_responses["CreateResponseBody"]} <= set(RESPONSES)
    assert set(openai["CreateChatCompletionRequest"]) <= set(CHAT)


@pytest.mark.parametrize("name", [name for name, fate in RESPONSES.items() if not isinstance(fate, Elsewhere)])
async def test_a_field_of_a_response(at: Table, name: str) -> None:
    await check(at, "/v1/responses", {"model": MODEL, "input": "hi"}, name, RESPONSES[name])


@pytest.mark.parametrize("name", [name for name, fate in CHAT.items() if not isinstance(fate, Elsewhere)])
async def test_a_field_of_a_chat_completion_of_a_recipe(at: Table, name: str) -> None:
    body = {"model": "woollama/plain", "messages": [{"role": "user", "content": "hi"}]}
    await check(at, "/v1/chat/completions", body, name, CHAT[name])


async def check(at: Table, path: str, body: Mapping[str, Any], name: str, fate: Fate) -> None:
    assert not isinstance(fate, Elsewhere)
    before = len(at.upstream.requests)
    beside = fate.beside if isinstance(fate, Sent) else {}
    answer = await at.http.post(path, json={**body, name: fate.value, **beside})
    said = answer.json()
    match fate:
        case Refused():
            assert (answer.status_code, said["error"]["param"]) == (fate.status, fate.param)
            assert fate.param.partition("[")[0] in said["error"]["message"] or fate.status == 404
            assert len(at.upstream.requests) == before
        case Told():
            assert answer.status_code == 200, said
            assert any(fate.rewrite in rewrite for rewrite in said["x_woollama"]["rewrites"]), said
            assert fate.rewrite in answer.headers.get("x-woollama-rewrites", fate.rewrite)
        case Shown():
            assert answer.status_code == 200, said
            assert {key: said[key] for key in fate.response} == fate.response
            if name == "background":
                await at.ended(said["id"])
        case Sent():
            assert answer.status_code == 200, said
            got = at.upstream.requests[before].json
            got["messages"] = [(message["role"], message["content"]) for message in got["messages"]]
            assert {key: got.get(key) for key in fate.upstream} == fate.upstream


@pytest.mark.parametrize("kind", HOSTED)
async def test_a_hosted_tool_is_refused_by_its_name(at: Table, kind: str) -> None:
    answer = await at.http.post("/v1/responses", json={"model": MODEL, "input": "hi", "tools": [{"type": kind}]})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "tools[0].type")
    assert repr(kind) in error["message"]


@pytest.mark.parametrize("name", ["store", "previous_response_id", "conversation", "key", "background"])
async def test_without_a_store_state_is_refused_with_the_line_that_would_change_that(
    stateless: Table, name: str
) -> None:
    value = True if name in ("store", "background") else "x_1"
    for model in (MODEL, "woollama/plain"):
        answer = await stateless.http.post("/v1/responses", json={"model": model, "input": "hi", name: value})
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (501, name)
        assert '"conversationStore"' in error["message"]
        assert "mcp.json" in error["message"]


@pytest.fixture(scope="module")
async def stateless(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Table]:
    recipes = '[recipes.plain]\ninferencer = "mock/m"\n'
    async with table(tmp_path_factory.mktemp("stateless"), recipes=recipes, conversationStore=None) as made:
        yield made


async def test_without_a_store_a_plain_request_is_answered_and_says_that_it_is_not_kept(stateless: Table) -> None:
    stateless.upstream.answers(chat("hello"))
    answer = await stateless.http.post("/v1/responses", json={"model": MODEL, "input": "hi"})
    assert answer.json()["store"] is False


@pytest.mark.parametrize("path", ["compact", "input_tokens"])
async def test_what_is_not_run_refuses_the_same_fields(at: Table, path: str) -> None:
    names = described("openai")["requests"][
        "CompactResponseMethodPublicBody" if path == "compact" else "TokenCountsBody"
    ]
    for name in names:
        fate = RESPONSES.get(name) or Refused("friendly", "personality")
        if isinstance(fate, Refused):
            asked = {"model": MODEL, "input": "hi", name: fate.value}
            answer = await at.http.post(f"/v1/responses/{path}", json=asked)
            assert (answer.status_code, answer.json()["error"]["param"]) == (fate.status, fate.param)


async def test_an_output_of_a_call_that_nobody_made_is_refused(at: Table) -> None:
    stray = {"type": "function_call_output", "call_id": "call_of_nobody", "output": "sunny"}
    first = (await at.http.post("/v1/responses", json={"model": MODEL, "input": "hi"})).json()
    before = len(at.upstream.requests)
    for more in ({}, {"previous_response_id": first["id"]}, {"stream": True}):
        answer = await at.http.post("/v1/responses", json={"model": MODEL, "input": [stray], **more})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
        assert "'call_of_nobody'" in answer.json()["error"]["message"]
    assert len(at.upstream.requests) == before
