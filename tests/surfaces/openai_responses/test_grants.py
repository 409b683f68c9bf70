"""`{"type": "mcp"}`: our tool servers for any model, with a yes where one is wanted, across turns and restarts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.chat_wire import USAGE
from tests.convstores import EXAMPLES
from tests.dialects.responses_wire import check_stream
from tests.stateful import MODEL, kinds, table, with_tools
from tests.upstream import chat, chat_stream, chat_tool_call


def servers(directory: Path, **of_notes: Any) -> dict[str, Any]:
    """One whose tools only read, and one whose tools do more."""
    return {
        "textops": {"command": sys.executable, "args": [str(EXAMPLES / "mcp-textops" / "server.py")]},
        "notes": {
            "command": sys.executable,
            "args": [str(EXAMPLES / "mcp-convstore" / "server.py"), str(directory / "threads")],
            **of_notes,
        },
    }


def grant(label: str, approval: Any = "never", **more: Any) -> Any:
    return {"type": "mcp", "server_label": label, "require_approval": approval, **more}


async def test_a_read_only_tool_is_listed_called_and_answered_with(tmp_path: Path) -> None:
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        at.upstream.answers(chat_tool_call("textops__uppercase", {"text": "abc"}), chat("ABC it is"))
        answered = await with_tools(at, grant("textops"))
        assert kinds(answered) == ["mcp_list_tools", "mcp_call", "message"]
        listed, call, _ = answered.output
        assert {tool.name for tool in listed.tools} >= {"uppercase", "word_count"}
        assert (call.server_label, call.name, call.output, call.status) == ("textops", "uppercase", "ABC", "completed")
        offered = [each["function"]["name"] for each in at.upstream.requests[0].json["tools"]]
        assert "textops__uppercase" in offered
        assert not any(name.startswith("notes") for name in offered)


async def test_its_stream_is_one_valid_lifecycle(tmp_path: Path) -> None:
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        at.upstream.answers(
            chat_stream(calls=[("textops__uppercase", {"text": "abc"})]), chat_stream("ABC it is", reasoning="hm")
        )
        body = {"model": MODEL, "input": "x", "stream": True, "tools": [grant("textops")]}
        streamed = await at.http.post("/v1/responses", json=body)
        frames = [frame + b"\n\n" for frame in streamed.content.split(b"\n\n")[:-1] if not frame.startswith(b":")]
        seen = [wire["type"] for wire in check_stream(frames)]
        for kind in ("mcp_list_tools.in_progress", "mcp_list_tools.completed", "mcp_call.in_progress"):
            assert f"response.{kind}" in seen
        assert seen.count("response.mcp_call_arguments.done") == seen.count("response.mcp_call.completed") == 1


@pytest.mark.parametrize("by_recipe", [False, True], ids=["grant", "recipe"])
async def test_going_on_after_tools_of_ours_finds_every_call_with_its_result(tmp_path: Path, by_recipe: bool) -> None:
    """One lifecycle, no tool turn that leaks, usage of all rounds, the ids that are read later: and then it goes on."""
    recipes = '[recipes.clerk]\ninferencer = "mock/m"\ntools = ["textops.*"]\n'
    async with table(tmp_path, mcpServers=servers(tmp_path), recipes=recipes) as at:
        two = [("textops__uppercase", {"text": "abc"}), ("textops__word_count", {"text": "a b"})]
        at.upstream.answers(chat_stream(calls=two), chat_stream(calls=two[:1]), chat_stream("ABC, 2"), chat("yes"))
        how: dict[str, Any] = (
            {"model": "woollama/clerk"} if by_recipe else {"model": MODEL, "tools": [grant("textops")]}
        )
        stream = await at.client.responses.create(input="do it", stream=True, **how)
        events: list[Any] = [event async for event in stream]
        kinds_seen = [event.type for event in events]
        assert (kinds_seen.count("response.created"), kinds_seen.count("response.completed")) == (1, 1)
        assert kinds_seen[-1] == "response.completed"
        final = events[-1].response
        done = [event.item.id for event in events if event.type == "response.output_item.done"]
        read = await at.client.responses.retrieve(final.id)
        assert done == [item.id for item in final.output] == [item.id for item in read.output]
        assert kinds(final).count("mcp_call") == 3
        assert final.usage.input_tokens == 3 * USAGE["prompt_tokens"]
        assert final.usage.output_tokens == 3 * USAGE["completion_tokens"]
        assert read.usage == final.usage

        on = await at.client.responses.create(input="sure?", previous_response_id=final.id, **how)
        assert on.output_text == "yes"
        messages = at.upstream.requests[-1].json["messages"]
        called = [call["id"] for message in messages for call in message.get("tool_calls", ())]
        answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
        assert len(called) == 3
        assert sorted(called) == sorted(answered)


async def test_only_what_was_allowed_is_there(tmp_path: Path) -> None:
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        at.upstream.answers(chat_tool_call("textops__reverse_text", {"text": "abc"}), chat("no"))
        answered = await with_tools(at, grant("textops", allowed_tools=["uppercase"]))
        assert [tool.name for tool in answered.output[0].tools] == ["uppercase"]
        assert answered.output[1].status == "failed"
        assert [each["function"]["name"] for each in at.upstream.requests[0].json["tools"]] == ["textops__uppercase"]


async def test_what_the_owner_denies_is_neither_listed_nor_offered_nor_called(tmp_path: Path) -> None:
    rules = '[approvals]\ndeny = ["notes.append_*"]\n'
    tools = servers(tmp_path, deny=["delete_thread"], trusted=True)
    async with table(tmp_path, mcpServers=tools, daemon_toml=rules) as at:
        at.upstream.answers(chat_tool_call("notes__delete_thread", {"thread_id": "x"}), chat("no"))
        answered = await with_tools(at, grant("notes"))
        assert sorted(tool.name for tool in answered.output[0].tools) == ["create_thread", "get_thread"]
        offered = [each["function"]["name"] for each in at.upstream.requests[0].json["tools"]]
        assert sorted(offered) == ["notes__create_thread", "notes__get_thread"]
        assert answered.output[1].status == "failed"


@pytest.mark.parametrize("approve", [True, False])
async def test_a_call_waits_for_a_yes_over_a_restart(tmp_path: Path, approve: bool) -> None:
    wanted = grant("textops", "always")
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        at.upstream.answers(chat_tool_call("textops__uppercase", {"text": "abc"}))
        paused = await with_tools(at, wanted)
        assert kinds(paused)[-1] == "mcp_approval_request"
        assert paused.status == "completed"
        request = paused.output[-1]
        assert (request.server_label, request.name, request.arguments) == ("textops", "uppercase", '{"text": "abc"}')
        (pending,) = (await at.http.get("/w1/approvals")).json()["data"]
        assert pending["name"] == "textops.uppercase"
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        at.upstream.answers(chat("and so"), chat("later"))
        said = [{"type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve}]
        answered = await with_tools(at, wanted, input=said, previous_response_id=paused.id)
        (call,) = [item for item in answered.output if item.type == "mcp_call"]
        assert call.approval_request_id == request.id
        assert (call.status, call.output) == (("completed", "ABC") if approve else ("failed", None))
        assert answered.output_text == "and so"
        told = [message for message in at.upstream.requests[0].json["messages"] if message["role"] == "tool"]
        assert len(told) == 1
        assert ("ABC" in told[0]["content"]) is approve
        later = await with_tools(at, wanted, input="go on", previous_response_id=answered.id)
        assert later.output_text == "later"
        assert [role for role, _ in at.asked()] == ["user", "assistant", "tool", "assistant", "user"]


async def test_a_client_that_keeps_its_own_history_can_approve_too(tmp_path: Path) -> None:
    wanted = grant("textops", "always")
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        at.upstream.answers(chat_tool_call("textops__uppercase", {"text": "abc"}), chat("done"))
        paused = await with_tools(at, wanted, store=False)
        history = [{"role": "user", "content": "do it"}, *(item.model_dump() for item in paused.output)]
        yes = {"type": "mcp_approval_response", "approval_request_id": paused.output[-1].id, "approve": True}
        answered = await with_tools(at, wanted, input=[*history, yes], store=False)
        assert answered.output_text == "done"
        assert [item.output for item in answered.output if item.type == "mcp_call"] == ["ABC"]


async def test_going_on_without_an_answer_is_a_no(tmp_path: Path) -> None:
    wanted = grant("textops", "always")
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        at.upstream.answers(chat_tool_call("textops__uppercase", {"text": "abc"}), chat("never mind"))
        paused = await with_tools(at, wanted)
        answered = await with_tools(at, wanted, input="forget it", previous_response_id=paused.id)
        assert [item.status for item in answered.output if item.type == "mcp_call"] == ["failed"]
        assert (await at.http.get("/w1/approvals")).json()["data"] == []


async def test_what_may_change_things_needs_a_yes_whatever_the_request_says(tmp_path: Path) -> None:
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        at.upstream.answers(chat_tool_call("notes__create_thread", {}), chat("made"))
        paused = await with_tools(at, grant("notes", "never"))
        assert kinds(paused)[-1] == "mcp_approval_request"
        assert not (tmp_path / "threads").exists()
        yes = [{"type": "mcp_approval_response", "approval_request_id": paused.output[-1].id, "approve": True}]
        answered = await with_tools(at, grant("notes", "never"), input=yes, previous_response_id=paused.id)
        assert answered.output_text == "made"
        assert len(list((tmp_path / "threads").iterdir())) == 1


async def test_a_clients_own_yes_is_none_where_the_owner_wants_to_be_asked(tmp_path: Path) -> None:
    async with table(tmp_path, mcpServers=servers(tmp_path, confirm=["create_thread"])) as at:
        at.upstream.answers(chat_tool_call("notes__create_thread", {}))
        paused = await with_tools(at, grant("notes"))
        yes = [{"type": "mcp_approval_response", "approval_request_id": paused.output[-1].id, "approve": True}]
        again = await with_tools(at, grant("notes"), input=yes, previous_response_id=paused.id)
        assert kinds(again)[-1] == "mcp_approval_request"
        assert not (tmp_path / "threads").exists()


async def test_an_answer_fits_what_it_goes_on_from_and_counting_leaves_the_question_open(tmp_path: Path) -> None:
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        at.upstream.answers(chat_tool_call("notes__create_thread", {}), chat("made"))
        tools, create = [grant("notes", "always")], at.client.responses.create
        asked = await with_tools(at, *tools, extra_body={"key": "k"})
        yes: Any = [{"type": "mcp_approval_response", "approval_request_id": asked.output[-1].id, "approve": True}]
        stray: Any = [{**yes[0], "approval_request_id": "ask_never"}]
        for wrong in ({"previous_response_id": asked.id, "input": stray}, {"input": yes}):
            with pytest.raises(openai.BadRequestError, match="waits for an answer"):
                await create(model=MODEL, tools=tools, **wrong)
        await at.client.responses.input_tokens.count(model=MODEL, input="x", previous_response_id=asked.id)
        open_asks = (await at.http.get("/w1/approvals")).json()["data"]
        assert [each["id"] for each in open_asks] == [asked.output[-1].id]
        made = await create(model=MODEL, input=yes, conversation=asked.conversation.id, tools=tools)
        assert made.output_text == "made"
        with pytest.raises(openai.ConflictError, match="was answered already"):
            await create(model=MODEL, input=yes, conversation=asked.conversation.id, tools=tools)
        assert len(list((tmp_path / "threads").iterdir())) == 1


async def test_nothing_is_not_asked_about(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        talk = await at.client.conversations.create()
        with pytest.raises(openai.BadRequestError, match="nothing was said before"):
            await at.client.responses.create(model=MODEL, input=[], conversation=talk.id)
        assert not at.upstream.requests


async def test_the_clients_own_tools_and_ours_in_one_turn(tmp_path: Path) -> None:
    own: Any = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}, "strict": False}
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        both = [("textops__uppercase", {"text": "abc"}), ("mine", {})]
        at.upstream.answers(chat(calls=both), chat("both"))
        called = await with_tools(at, grant("textops"), own)
        assert sorted(kinds(called)) == ["function_call", "mcp_call", "mcp_list_tools"]
        (mine,) = [item for item in called.output if item.type == "function_call"]
        output = [{"type": "function_call_output", "call_id": mine.call_id, "output": "done"}]
        answered = await with_tools(at, grant("textops"), own, input=output, previous_response_id=called.id)
        assert answered.output_text == "both"
        tools = [m["content"] for m in at.upstream.requests[-1].json["messages"] if m["role"] == "tool"]
        assert sorted(tools) == ["ABC", "done"]


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        (grant("gone"), "no tool server 'gone'"),
        (grant("textops", server_url="https://elsewhere.example/mcp"), "not allowed here"),
        ({"type": "mcp", "server_label": "x", "connector_id": "connector_gmail"}, "connector_id|label"),
        ({"type": "web_search"}, "web_search"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "code_interpreter"),
    ],
)
async def test_what_is_not_there_is_refused_by_name(tmp_path: Path, tool: Any, told: str) -> None:
    async with table(tmp_path, mcpServers=servers(tmp_path)) as at:
        with pytest.raises(openai.BadRequestError, match=told):
            await with_tools(at, tool)
