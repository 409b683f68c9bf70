"""All that the Responses and Conversations surfaces say, held against the published descriptions of the protocol.

For everything that an upstream can do: the body, each event of the stream, what is read back and the lists of items are
valid by OpenAI's description and by that of Open Responses, with no field that they do not name but our own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import connect

from conformance.published import check, check_event, check_response
from tests.convstores import EXAMPLES
from tests.dialects.responses_wire import check_stream
from tests.stateful import MODEL, Table, table
from tests.upstream import Scripted, chat_stream, error

OBJECT: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION: Any = {"type": "function", "name": "get_weather", "parameters": OBJECT, "strict": False}
CUSTOM: Any = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}
GRAMMAR: Any = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'}
NAMESPACE: Any = {
    "type": "namespace",
    "name": "crm",
    "description": "Customers",
    "tools": [{**FUNCTION, "name": "look"}],
}
TEXTOPS: Any = {"type": "mcp", "server_label": "textops", "require_approval": "never"}
WAITING: Any = {**TEXTOPS, "require_approval": "always"}
SCHEMA: Any = {"type": "json_schema", "name": "city", "schema": OBJECT, "strict": False}
UPPERCASE = [("textops__uppercase", {"text": "abc"})]
RECIPES = """
[recipes.plain]
inferencer = "mock/m"

[recipes.short]
inferencer = "mock/m"
tools = ["textops.*"]
max_turns = 1
"""
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@dataclass(frozen=True)
class Said:
    """What an upstream answers in each of its rounds, and with which request it is asked for."""

    rounds: Sequence[Mapping[str, Any]]
    asked: Mapping[str, Any] = field(default_factory=dict)
    status: str = "completed"

    @property
    def answers(self) -> list[Scripted]:
        return [_either(each) for each in self.rounds]


def _either(how: Mapping[str, Any]) -> Scripted:
    """Streamed or not, as the request asks; what only a stream can say is streamed."""
    if "status" in how:
        return error(how["status"], "as you wished")
    return chat_stream(how.get("text", ""), **{key: value for key, value in how.items() if key != "text"})


REPERTOIRE: Mapping[str, Said] = {
    "text": Said([{"text": "one two three"}]),
    "no words at all": Said([{"text": ""}]),
    "thoughts": Said([{"text": "so", "reasoning": "hm well"}]),
    "a refusal": Said([{"refusal": "I will not"}]),
    "a function call": Said([{"calls": [("get_weather", {"city": "Oslo"})]}], {"tools": [FUNCTION]}),
    "parallel calls after words": Said(
        [{"text": "let me see", "calls": [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"})]}],
        {"tools": [FUNCTION], "parallel_tool_calls": True, "tool_choice": "required"},
    ),
    "a custom call": Said([{"calls": [("apply_patch", {"input": "*** Begin\n+a"})]}], {"tools": [CUSTOM]}),
    "a custom call of a grammar": Said(
        [{"calls": [("apply_patch", {"input": "a"})]}],
        {"tools": [{**CUSTOM, "format": GRAMMAR}], "tool_choice": {"type": "custom", "name": "apply_patch"}},
    ),
    "a call in a namespace": Said([{"calls": [("crm__look", {"city": "Oslo"})]}], {"tools": [NAMESPACE]}),
    "a tool of ours": Said([{"calls": UPPERCASE}, {"text": "ABC"}], {"tools": [TEXTOPS]}),
    "a tool of ours that fails": Said([{"calls": [("textops__uppercase", {})]}, {"text": "oh"}], {"tools": [TEXTOPS]}),
    "a tool that nobody has": Said([{"calls": [("nobody", {})]}, {"text": "oh"}], {"tools": [TEXTOPS]}),
    "a tool that waits for a yes": Said([{"calls": UPPERCASE}], {"tools": [WAITING]}),
    "a tool of ours and one of the client's": Said(
        [{"calls": [*UPPERCASE, ("get_weather", {"city": "Oslo"})]}], {"tools": [TEXTOPS, FUNCTION]}
    ),
    "cut at its limit": Said([{"text": "one two", "finish": "length"}], {"max_output_tokens": 16}, "incomplete"),
    "filtered": Said([{"text": "one", "finish": "content_filter"}], status="incomplete"),
    "more rounds than it may have": Said(
        [{"calls": UPPERCASE}, {"calls": UPPERCASE}], {"model": "woollama/short"}, "incomplete"
    ),
    "one of the tools that are allowed": Said(
        [{"text": "no"}],
        {
            "tools": [FUNCTION, CUSTOM],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "get_weather"}],
            },
        },
    ),
    "JSON of a schema": Said([{"text": '{"city": "Oslo"}'}], {"text": {"format": SCHEMA, "verbosity": "low"}}),
    "JSON": Said([{"text": "{}"}], {"text": {"format": {"type": "json_object"}}}),
    "without usage": Said([{"text": "one", "usage": None}]),
    "every setting": Said(
        [{"text": "one"}],
        {
            "instructions": "be brief",
            "temperature": 0.5,
            "top_p": 0.9,
            "max_output_tokens": 50,
            "max_tool_calls": 3,
            "metadata": {"a": "b"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "truncation": "auto",
            "user": "somebody",
            "safety_identifier": "x",
            "prompt_cache_key": "y",
            "service_tier": "default",
            "top_logprobs": 2,
            "include": ["reasoning.encrypted_content"],
        },
    ),
    "every part of a message": Said(
        [{"text": "I see"}],
        {
            "input": [
                {"role": "system", "content": "be brief"},
                {"role": "developer", "content": [{"type": "input_text", "text": "really"}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "what is it?"},
                        {"type": "input_image", "image_url": PIXEL},
                        {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,YQ=="},
                    ],
                },
                {"type": "message", "role": "assistant", "content": "a pixel", "phase": "final_answer"},
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
                {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
                {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "a"},
                {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
                {"role": "user", "content": "and?"},
            ],
            "tools": [FUNCTION, CUSTOM],
        },
    ),
}
FAILURES: Mapping[str, Said] = {
    "cut in the middle": Said([{"text": "one two three", "cut_after": 3}], status="failed"),
    "refused": Said([{"status": 500}], status="failed"),
    "too much": Said([{"status": 429}], status="failed"),
    "cut after a tool of ours": Said(
        [{"calls": UPPERCASE}, {"text": "one two", "cut_after": 3}], {"tools": [TEXTOPS]}, "failed"
    ),
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Table]:
    textops = {"command": sys.executable, "args": [str(EXAMPLES / "mcp-textops" / "server.py")]}
    async with table(tmp_path_factory.mktemp("published"), recipes=RECIPES, mcpServers={"textops": textops}) as made:
        yield made


def check_error(body: Mapping[str, Any]) -> None:
    check("openai", "ErrorResponse", body)
    check("open_responses", "ErrorPayload", body["error"])


async def whole(at: Table, said: Said, **asked: Any) -> dict[str, Any]:
    at.upstream.answers(*said.answers)
    answer = await at.http.post("/v1/responses", json={"model": MODEL, "input": "go", **said.asked, **asked})
    body: dict[str, Any] = answer.json()
    return body


async def streamed(at: Table, said: Said, **asked: Any) -> list[dict[str, Any]]:
    at.upstream.answers(*said.answers)
    body = {"model": MODEL, "input": "go", "stream": True, **said.asked, **asked}
    answer = await at.http.post("/v1/responses", json=body)
    return frames_in(answer.content)


def frames_in(content: bytes) -> list[dict[str, Any]]:
    return check_stream(f + b"\n\n" for f in content.split(b"\n\n")[:-1] if not f.startswith(b":"))


async def check_read_back(at: Table, response: Mapping[str, Any]) -> None:
    read = (await at.http.get(f"/v1/responses/{response['id']}")).json()
    check_response(read)
    assert read == response
    items = (await at.http.get(f"/v1/responses/{response['id']}/input_items")).json()
    check("openai", "ResponseItemList", items)


@pytest.mark.parametrize("name", REPERTOIRE)
async def test_a_response_is_valid_whole_and_streamed_and_read_back(at: Table, name: str) -> None:
    said = REPERTOIRE[name]
    body = await whole(at, said)
    check_response(body)
    assert body["status"] == said.status
    await check_read_back(at, body)

    wires = await streamed(at, said)
    for wire in wires:
        check_event(wire)
    assert wires[-1]["type"] == f"response.{said.status}"
    await check_read_back(at, wires[-1]["response"])

    unkept = await whole(at, said, store=False)
    check_response(unkept)
    assert unkept["store"] is False


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_valid_whole_and_streamed_and_read_back(at: Table, name: str) -> None:
    said = FAILURES[name]
    body = await whole(at, said)
    if "error" in body and "object" not in body:
        check_error(body)
    else:
        check_response(body)
    at.upstream.answers(*said.answers)
    answer = await at.http.post("/v1/responses", json={"model": MODEL, "input": "go", "stream": True, **said.asked})
    if answer.status_code != 200:
        check_error(answer.json())
        return
    wires = frames_in(answer.content)
    for wire in wires:
        check_event(wire)
    assert wires[-1]["type"] == "response.failed"
    await check_read_back(at, wires[-1]["response"])


async def test_a_response_in_the_background_is_valid_from_its_first_word(at: Table) -> None:
    body = await whole(at, Said([{"text": "one two"}]), background=True)
    check_response(body)
    assert body["status"] == "queued"
    ended = await at.ended(body["id"])
    await check_read_back(at, ended.model_dump(mode="json", exclude_unset=True))
    again = await at.http.get(f"/v1/responses/{body['id']}", params={"stream": "true"})
    wires = frames_in(again.content)
    for wire in wires:
        check_event(wire)
    later = await at.http.get(f"/v1/responses/{body['id']}", params={"stream": "true", "starting_after": "3"})
    told = [json.loads(line[6:]) for line in later.text.split("\n") if line.startswith("data: {")]
    assert told == wires[4:]


async def test_an_approval_and_what_follows_are_valid(at: Table) -> None:
    paused = await whole(at, REPERTOIRE["a tool that waits for a yes"])
    (ask,) = [item for item in paused["output"] if item["type"] == "mcp_approval_request"]
    answered = [{"type": "mcp_approval_response", "approval_request_id": ask["id"], "approve": True}]
    at.upstream.answers(chat_stream("ABC"))
    body = {"model": MODEL, "input": answered, "tools": [WAITING], "previous_response_id": paused["id"], "stream": True}
    wires = frames_in((await at.http.post("/v1/responses", json=body)).content)
    for wire in wires:
        check_event(wire)
    await check_read_back(at, wires[-1]["response"])


async def test_compaction_counts_and_deletions_are_valid(at: Table) -> None:
    at.upstream.answers(chat_stream("We launch on Tuesday."))
    said = [{"role": "user", "content": "We agreed to launch on Tuesday. " * 20}]
    compacted = (await at.http.post("/v1/responses/compact", json={"model": MODEL, "input": said})).json()
    check("openai", "CompactResource", compacted)
    check("open_responses", "CompactResource", compacted)
    followed = await whole(
        at, Said([{"text": "yes"}]), input=[*compacted["output"], {"role": "user", "content": "so?"}]
    )
    check_response(followed)
    await check_read_back(at, followed)
    counted = (await at.http.post("/v1/responses/input_tokens", json={"model": MODEL, "input": "hi"})).json()
    check("openai", "TokenCountsResource", counted)
    deleted = (await at.http.delete(f"/v1/responses/{followed['id']}")).json()
    assert deleted == {"id": followed["id"], "object": "response", "deleted": True}


async def test_a_conversation_and_its_items_are_valid(at: Table) -> None:
    made = (await at.http.post("/v1/conversations", json={"metadata": {"a": "b"}})).json()
    check("openai", "ConversationResource", made)
    there = f"/v1/conversations/{made['id']}"
    for name in ("text", "thoughts", "a refusal", "a custom call", "a tool of ours", "a tool that waits for a yes"):
        said = REPERTOIRE[name]
        check_response(await whole(at, said, conversation=made["id"]))
        if name == "a custom call":
            (call,) = (await at.http.get(f"{there}/items", params={"limit": 1})).json()["data"]
            output = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "done"}
            added = (await at.http.post(f"{there}/items", json={"items": [output]})).json()
            check("openai", "ConversationItemList", added)
    parts = REPERTOIRE["every part of a message"].asked["input"]
    check("openai", "ConversationItemList", (await at.http.post(f"{there}/items", json={"items": parts})).json())
    listed = (await at.http.get(f"{there}/items", params={"limit": 100})).json()
    check("openai", "ConversationItemList", listed)
    for item in listed["data"]:
        assert (await at.http.get(f"{there}/items/{item['id']}")).json() == item
    changed = (await at.http.post(there, json={"metadata": {"a": "c"}})).json()
    check("openai", "ConversationResource", changed)
    without = (await at.http.delete(f"{there}/items/{listed['data'][0]['id']}")).json()
    check("openai", "ConversationResource", without)
    empty = (await at.http.get(f"{there}/items", params={"after": listed["data"][-1]["id"]})).json()
    check("openai", "ConversationItemList", empty)
    check("openai", "DeletedConversationResource", (await at.http.delete(there)).json())
    check_error((await at.http.get(there)).json())


CHATS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "text": ({"text": "one two"}, {}),
    "calls": (
        {"calls": [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"})]},
        {"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": OBJECT}}]},
    ),
    "a limit": ({"text": "one", "finish": "length"}, {"max_tokens": 1}),
    "a refusal": ({"refusal": "I will not"}, {}),
}


@pytest.mark.parametrize("name", CHATS)
async def test_a_chat_completion_of_a_recipe_is_valid(at: Table, name: str) -> None:
    how, asked = CHATS[name]
    body = {"model": "woollama/plain", "messages": [{"role": "user", "content": "go"}], **asked}
    at.upstream.answers(chat_stream(**how), chat_stream(**how))
    answer = await at.http.post("/v1/chat/completions", json=body)
    check("openai", "CreateChatCompletionResponse", answer.json())
    more = {"stream": True, "stream_options": {"include_usage": True}}
    lines = (await at.http.post("/v1/chat/completions", json={**body, **more})).text.split("\n")
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert len(chunks) > 2
    for chunk in chunks:
        check("openai", "CreateChatCompletionStreamResponse", chunk)


async def test_a_websocket_says_the_same(at: Table) -> None:
    url = str(at.http.base_url).replace("http://", "ws://") + "/v1/responses"
    async with connect(url) as socket:
        for name in ("thoughts", "parallel calls after words", "a tool of ours"):
            said = REPERTOIRE[name]
            at.upstream.answers(*said.answers)
            message = {"type": "response.create", "model": MODEL, "input": "go", "store": False, **said.asked}
            await socket.send(json.dumps(message))
            wires: list[dict[str, Any]] = []
            while not wires or wires[-1]["type"] != "response.completed":
                wires.append(json.loads(await asyncio.wait_for(socket.recv(), 60)))
                check_event(wires[-1])
        for missing in ({"input": "x"}, {"model": MODEL, "input": "x", "previous_response_id": "resp_none"}):
            await socket.send(json.dumps({"type": "response.create", "store": False, **missing}))
            refused = json.loads(await asyncio.wait_for(socket.recv(), 60))
            check("open_responses", "WebSocketErrorEvent", refused)


async def test_models_and_refusals_are_valid(at: Table) -> None:
    check("openai", "ListModelsResponse", (await at.http.get("/v1/models")).json())
    check("openai", "Model", (await at.http.get("/v1/models/mock/m")).json())
    for body in ({}, {"model": "none/such", "input": "x"}, {"model": MODEL, "input": "x", "prompt": {"id": "p"}}):
        answer = await at.http.post("/v1/responses", json=body)
        assert answer.status_code in (400, 404)
        check_error(answer.json())
