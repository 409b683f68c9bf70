"""What passes through us whole, and what the public conformance suite does not look at: both eras, both transports."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.client import ClientRequestContext
from mcp.client.subscriptions import ResourceUpdated
from pydantic import BaseModel, ConfigDict

from tests.surfaces.mcp_server.hosts import PATIENCE_S, Host, over_http, said, serving, until, until_async
from woollama.server import InProcess

FIXTURE = Path(__file__).parents[3] / "conformance" / "mcp" / "fixture.py"
VENDOR = """
import json, sys
def answer(id, result): print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    match asked.get("method"):
        case "initialize":
            answer(asked["id"], {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                                 "serverInfo": {"name": "vendor", "version": "1"}})
        case "tools/list":
            answer(asked["id"], {"tools": [{"name": "t", "inputSchema": {"type": "object"}, "x-vendor": {"deep": [1]},
                                            "annotations": {"readOnlyHint": True, "x-hint": "kept"}}]})
        case "tools/call":
            answer(asked["id"], {"content": [{"type": "text", "text": "hi", "x-block": 7}], "x-result": [None, 1],
                                 "_meta": {"of": "the server"}})
        case method if "id" in asked:
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"],
                              "error": {"code": -32601, "message": method}}), flush=True)
"""
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


class Raw(BaseModel):
    model_config = ConfigDict(extra="allow")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    fixture = {"command": sys.executable, "args": [str(FIXTURE), "stdio"], "trusted": True}
    vendor = {"command": sys.executable, "args": ["-c", VENDOR], "trusted": True}
    old, new = {**fixture, "era": "handshake"}, {**fixture, "era": "modern"}
    with serving(tmp_path_factory.mktemp("daemon"), fix=fixture, old=old, new=new, v=vendor) as each:
        yield each


class Answering(Host):
    """A host that can be asked everything."""

    def __init__(self) -> None:
        super().__init__(types.ElicitResult(action="accept", content={"username": "ann", "email": "a@b.c"}))
        self.logged: list[Any] = []

    async def sample(self, _: ClientRequestContext, params: Any) -> types.CreateMessageResult:
        return types.CreateMessageResult(role="assistant", content=types.TextContent(text="sampled"), model="m")

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logged.append(params.data)

    def options(self) -> dict[str, Any]:
        return {**super().options(), "sampling_callback": self.sample, "logging_callback": self.log}


@ERAS
async def test_what_a_server_has_beside_tools_is_found_under_addresses_that_lead_back(
    running: InProcess, mode: str
) -> None:
    async with over_http(running, mode) as host:
        assert "woollama://fix/test://static-text" in [each.uri for each in (await host.list_resources()).resources]
        templates = (await host.list_resource_templates()).resource_templates
        assert "woollama://fix/test://template/{id}/data" in [each.uri_template for each in templates]
        (text,) = (await host.read_resource("woollama://fix/test://template/7/data")).contents
        assert text.uri == "woollama://fix/test://template/7/data"
        assert isinstance(text, types.TextResourceContents)
        assert json.loads(text.text)["id"] == "7"
        prompt = await host.get_prompt("fix__test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
        assert "arg1='a'" in str(prompt.messages[0].content)
        (block,) = (await host.call_tool("fix__test_embedded_resource", {})).content
        assert isinstance(block, types.EmbeddedResource)
        assert block.resource.uri == "woollama://fix/test://embedded-resource"
        with pytest.raises(MCPError):
            await host.read_resource("woollama://nobody/test://static-text")


@ERAS
async def test_completions_are_the_servers_and_a_recipes_choices_are_ours(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host:
        reference = types.PromptReference(name="fix__test_prompt_with_arguments")
        assert (await host.complete(reference, {"name": "arg1", "value": "par"})).completion.values == [
            *("paris", "park", "party")
        ]
        ours = await host.complete(types.PromptReference(name="greeter"), {"name": "language", "value": "F"})
        assert ours.completion.values == ["French"]


@ERAS
async def test_a_foreign_meta_reaches_the_server_and_ours_does_not(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host:
        result = await host.call_tool("fix__test_meta", {}, meta={"com.example/trace": "abc"})
        assert json.loads(said(result))["com.example/trace"] == "abc"
        assert "test" not in json.loads(said(result))


@ERAS
async def test_members_that_no_revision_knows_are_kept(running: InProcess, mode: str) -> None:
    request = types.Request[dict[str, Any], str]
    async with over_http(running, mode) as host:
        listed = await host.session.send_request(request(method="tools/list", params={}), Raw)
        tool = next(each for each in (listed.model_extra or {})["tools"] if each["name"] == "v__t")
        assert tool["x-vendor"] == {"deep": [1]}
        assert tool["annotations"] == {"readOnlyHint": True, "x-hint": "kept"}
        called = await host.session.send_request(request(method="tools/call", params={"name": "v__t"}), Raw)
        result = called.model_extra or {}
        assert result["x-result"] == [None, 1]
        assert result["content"] == [{"type": "text", "text": "hi", "x-block": 7}]
        assert result["_meta"]["of"] == "the server"


@pytest.mark.parametrize(("server", "mode"), [("fix", "legacy"), ("old", "legacy"), ("old", "auto")])
async def test_a_server_that_asks_in_the_middle_of_a_call_is_answered_in_every_pair_of_eras(
    running: InProcess, server: str, mode: str
) -> None:
    host = Answering()
    async with over_http(running, mode, host) as client:
        sampled = await client.call_tool(f"{server}__test_sampling", {"prompt": "what?"})
        assert said(sampled) == "LLM response: sampled"
        asked = await client.call_tool(f"{server}__test_elicitation", {"message": "who?"})
        assert "action=accept" in said(asked)
        assert host.asked == [f"{server}: who?"]


async def test_calls_of_a_modern_host_that_are_parked_at_once_are_not_confused(running: InProcess) -> None:
    host = Answering()
    async with over_http(running, "auto", host) as client:
        calls = (client.call_tool("old__test_elicitation", {"message": f"who {n}?"}) for n in range(5))
        results = await asyncio.gather(*calls)
    assert all("action=accept" in said(result) for result in results)
    assert sorted(host.asked) == [f"old: who {n}?" for n in range(5)]


@ERAS
async def test_a_server_that_returns_what_it_wants_to_know_is_answered_in_either_era(
    running: InProcess, mode: str
) -> None:
    host = Answering()
    async with over_http(running, mode, host) as client:
        assert said(await client.call_tool("new__test_input_required_result_multi_round", {})) == "that is all"
        assert host.asked == ["new: Step 1: What is your name?", "new: Step 2: What is your favorite color?"]
        sampled = await client.call_tool("new__test_input_required_result_sampling", {})
        assert said(sampled).startswith("The answer")


@pytest.mark.parametrize("server", ["fix", "old"])
async def test_an_update_reaches_a_host_that_has_subscribed_exactly_once(running: InProcess, server: str) -> None:
    host, uri = Answering(), f"woollama://{server}/test://watched-resource"
    async with over_http(running, "legacy", host) as client:
        await client.session.subscribe_resource(uri)
        await client.call_tool(f"{server}__test_trigger_resource_change", {})
        await until(lambda: bool(updates(host)))
        await client.call_tool(f"{server}__test_meta", {})
        assert updates(host) == [uri]
        await client.session.unsubscribe_resource(uri)
        await client.call_tool(f"{server}__test_trigger_resource_change", {})
        await client.call_tool(f"{server}__test_meta", {})
        assert updates(host) == [uri]


@pytest.mark.parametrize("server", ["fix", "old"])
async def test_an_update_reaches_a_modern_host_that_listens_exactly_once(running: InProcess, server: str) -> None:
    uri = f"woollama://{server}/test://watched-resource"
    async with over_http(running, "auto") as client, client.listen(resource_subscriptions=[uri]) as changes:
        await client.call_tool(f"{server}__test_trigger_resource_change", {})
        async with asyncio.timeout(PATIENCE_S):
            assert await anext(aiter(changes)) == ResourceUpdated(uri=uri)


def updates(host: Host) -> list[str]:
    return [str(each.params.uri) for each in host.heard if isinstance(each, types.ResourceUpdatedNotification)]


async def test_a_host_without_a_session_is_never_told_of_a_log_that_it_did_not_want(running: InProcess) -> None:
    host = Answering()
    async with over_http(running, "auto", host) as client:
        await client.call_tool("fix__test_tool_with_logging", {})
        await client.call_tool("old__test_tool_with_logging", {})
    assert host.logged == []


async def test_a_host_of_the_handshake_era_hears_only_the_levels_that_it_asked_for(running: InProcess) -> None:
    host = Answering()
    async with over_http(running, "legacy", host) as client:
        await client.set_logging_level("error")
        await client.call_tool("fix__test_tool_with_logging", {})
        assert host.logged == []
        await client.set_logging_level("info")
        await client.call_tool("fix__test_tool_with_logging", {})
        await until(lambda: len(host.logged) == 3)


async def test_a_session_of_a_hosts_own_is_a_process_with_a_name_of_its_own(running: InProcess) -> None:
    async def rows(start: str) -> dict[str, str]:
        async with httpx2.AsyncClient(timeout=60) as http:
            listed = (await http.get(f"{running.url}/w1/processes")).json()["data"]
        return {row["name"]: row["state"] for row in listed if row["name"].startswith(start) and row["pid"]}

    async with over_http(running, "legacy", Answering()) as client:
        await client.call_tool("old__test_simple_text", {})
        mine = [name for name in await rows("old") if name.startswith("old/host-")]
        assert mine
        assert (await rows("old"))["old"] == "ready"
        assert {state for name, state in (await rows("old/host-")).items() if name in mine} == {"ready"}

    async def gone() -> bool:
        return not set(mine) & set(await rows("old"))

    await until_async(gone)
