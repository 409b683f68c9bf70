"""Our MCP server as hosts meet it: the SDK's client in both eras, over TCP and over the unix socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.subscriptions import ToolsListChanged
from mcp.server.connection import Connection

from tests.daemon import daemon
from tests.surfaces.mcp_server.hosts import (
    ACCEPT,
    CANCEL,
    DECLINE,
    PATIENCE_S,
    Host,
    configure,
    over_http,
    over_unix,
    said,
    server,
    serving,
    told_of,
    tool_names,
    until_async,
)
from woollama.server import InProcess, ServeOptions

LONG = "a-server-with-a-name-that-goes-on-and-on"
LONG_END = ServeOptions(shutdown_timeout_s=PATIENCE_S * 10)

Connect = Callable[..., AbstractAsyncContextManager[Client]]
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
WAYS = pytest.mark.parametrize("connect", [over_http, over_unix])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    servers = {
        "all": server(),
        "sure": server(trusted=True),
        "old": server(trusted=True, era="handshake", expose=["ask"]),
        "new": server(trusted=True, era="modern", expose=["ask"]),
        "tight": server(expose=["echo", "tight.c*"]),
        LONG: server(expose=["echo", "trace"]),
    }
    with serving(tmp_path_factory.mktemp("daemon"), **servers) as daemon_of_this_file:
        yield daemon_of_this_file


@ERAS
@WAYS
async def test_a_host_finds_chat_the_tools_and_the_prompts(running: InProcess, connect: Connect, mode: str) -> None:
    async with connect(running, mode) as host:
        assert host.server_info is not None
        assert host.server_info.name == "woollama"
        assert (host.protocol_version == "2026-07-28") == (mode == "auto")
        names = await tool_names(host)
        assert names[0] == "chat"
        assert {"all__echo", "all__count"} < set(names)
        assert "greeter" in [prompt.name for prompt in (await host.list_prompts()).prompts]
        assert said(await host.call_tool("all__echo", {"text": "hello"})) == "hello"


@ERAS
async def test_a_tool_is_described_and_answers_as_its_server_does(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host:
        echo = next(tool for tool in (await host.list_tools()).tools if tool.name == "all__echo")
        assert echo.description == "The tool echo"
        assert echo.input_schema["examples"][0] == {"text": "hi"}
        assert echo.annotations is not None
        assert echo.annotations.read_only_hint
        assert echo.meta == {"from": "test"}
        result = await host.call_tool("all__echo", {"text": "hello"})
        assert result.structured_content == {"echo": "hello"}
        assert not result.is_error


async def test_an_argument_that_must_be_repeated_as_a_header_is(running: InProcess) -> None:
    async with over_http(running, "auto") as host:
        await host.list_tools()
        assert said(await host.call_tool("all__regional", {"region": "north"})) == "in north"


async def test_a_path_with_a_slash_at_its_end_is_the_same(running: InProcess) -> None:
    async with Client(f"{running.url}/mcp/") as host:
        assert "chat" in await tool_names(host)


@ERAS
async def test_a_tool_that_nobody_has_is_an_error(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host:
        with pytest.raises(MCPError, match="there is no tool 'nobody__has'"):
            await host.call_tool("nobody__has", {})


@ERAS
async def test_large_results_and_errors_of_tools_come_through(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host:
        assert len(said(await host.call_tool("sure__big", {"size": 900_000}))) == 900_000
        failed = await host.call_tool("sure__fail", {})
        assert failed.is_error
        assert said(failed) == "it did not work"


# --- the floor of the policy


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[InProcess]:
    rules = "[approvals]\ntimeout = '50ms'\n"
    with serving(tmp_path, rules, all=server()) as daemon_of_one_test:
        yield daemon_of_one_test


@ERAS
async def test_what_may_change_things_is_denied_where_nobody_answers(impatient: InProcess, mode: str) -> None:
    async with over_http(impatient, mode) as host:
        denied = await host.call_tool("all__count", {"n": 1})
        assert denied.is_error
        assert "\"trusted\": true in the entry 'all' of mcp.json" in said(denied)


@ERAS
@WAYS
async def test_a_person_who_says_yes_lets_it_happen(running: InProcess, connect: Connect, mode: str) -> None:
    person = Host(ACCEPT)
    async with connect(running, mode, person) as host:
        assert said(await host.call_tool("all__count", {"n": 2})) == "counted to 2"
        assert person.asked == ['all.count is not marked as read-only. Call it with {"n": 2}?']


@ERAS
async def test_a_person_who_says_no_prevents_it(running: InProcess, mode: str) -> None:
    async with over_http(running, mode, Host(DECLINE)) as host:
        denied = await host.call_tool("all__count", {"n": 2})
        assert denied.is_error
        assert said(denied) == "The call was denied by the user."


@ERAS
async def test_a_trusted_server_needs_no_yes(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host:
        assert said(await host.call_tool("sure__count", {"n": 2})) == "counted to 2"


@ERAS
async def test_a_tool_that_asks_reaches_the_person(running: InProcess, mode: str) -> None:
    person = Host(ACCEPT)
    async with over_http(running, mode, person) as host:
        assert said(await host.call_tool("sure__ask", {"question": "which colour?"})) == "accept: blue"
        assert person.asked == ["sure: which colour?"]


@ERAS
@pytest.mark.parametrize("name", ["old", "new"])
async def test_who_closes_a_question_has_neither_said_yes_nor_no(running: InProcess, mode: str, name: str) -> None:
    """In all four pairs of eras."""
    for answer, told in ((CANCEL, "cancel: None"), (DECLINE, "decline: None")):
        async with over_http(running, mode, Host(answer)) as host:
            assert said(await host.call_tool(f"{name}__ask", {"question": "which colour?"})) == told


@ERAS
async def test_who_closes_the_question_for_a_yes_has_not_denied_the_call(running: InProcess, mode: str) -> None:
    """And the call does not hang until others have had their time to answer."""
    person = Host(CANCEL)
    async with over_http(running, mode, person) as host:
        closed = await host.call_tool("all__count", {"n": 2})
        assert closed.is_error
        assert "needs a person's yes, and whoever was asked closed the question" in said(closed)
        person.answer = ACCEPT
        assert said(await host.call_tool("all__count", {"n": 2})) == "counted to 2"


async def test_what_could_disguise_a_question_is_shown(running: InProcess) -> None:
    person = Host(ACCEPT)
    async with over_http(running, "auto", person) as host:
        await host.call_tool("sure__ask", {"question": "safe?\u202e\x1b[2J"})
        assert person.asked == ["sure: safe?\\u202e\\u001b[2J"]


async def test_a_state_that_was_not_given_out_is_refused(running: InProcess) -> None:
    async with over_http(running, "auto", Host(ACCEPT)) as host:
        session = host.session
        first = await session.call_tool("all__count", {"n": 1}, allow_input_required=True)
        assert isinstance(first, types.InputRequiredResult)
        assert first.input_requests
        yes: Any = dict.fromkeys(first.input_requests, ACCEPT)
        for arguments, state in (({"n": 2}, first.request_state), ({"n": 1}, "v1.made-up")):
            with pytest.raises(MCPError, match="Invalid or expired requestState"):
                await session.call_tool("all__count", arguments, input_responses=yes, request_state=state)
        done = await session.call_tool("all__count", {"n": 1}, input_responses=yes, request_state=first.request_state)
        assert said(done) == "counted to 1"
        with pytest.raises(MCPError, match="does not wait any more"):
            await session.call_tool("all__count", {"n": 1}, input_responses=yes, request_state=first.request_state)


async def test_a_question_without_an_answer_is_asked_again(running: InProcess) -> None:
    async with over_http(running, "auto", Host(ACCEPT)) as host:
        session = host.session
        first = await session.call_tool("all__count", {"n": 1}, allow_input_required=True)
        again = await session.call_tool(
            "all__count", {"n": 1}, input_responses={}, request_state=first.request_state, allow_input_required=True
        )
        assert again.input_requests == first.input_requests


# --- progress and cancellation


@ERAS
async def test_progress_of_a_tool_is_passed_on(running: InProcess, mode: str) -> None:
    person = Host(ACCEPT)
    async with over_http(running, mode, person) as host:
        await host.call_tool("all__count", {"n": 3}, progress_callback=person.tell)
        assert person.progress == [(1, "at 1"), (2, "at 2"), (3, "at 3")]


@ERAS
@WAYS
async def test_a_call_that_is_cancelled_is_cancelled_at_its_server(
    running: InProcess, connect: Connect, mode: str
) -> None:
    async with connect(running, mode) as host:

        async def traced(line: str) -> bool:
            return line in said(await host.call_tool("sure__trace", {})).splitlines()

        key = f"{mode} {connect.__name__}"
        call = asyncio.create_task(host.call_tool("sure__wait", {"key": key}))
        await until_async(lambda: traced(f"waiting {key}"))
        call.cancel()
        await until_async(lambda: traced(f"cancelled {key}"))


@ERAS
async def test_other_calls_go_on_while_one_waits(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host:
        waiting = asyncio.create_task(host.call_tool("sure__wait", {"key": mode}))
        results = await asyncio.gather(*(host.call_tool("sure__echo", {"text": str(n)}) for n in range(20)))
        assert [said(result) for result in results] == [str(n) for n in range(20)]
        await host.call_tool("sure__release", {"key": mode})
        assert said(await waiting) == "released"


# --- changes


async def test_a_host_of_the_stateless_era_hears_that_the_tools_have_changed(running: InProcess) -> None:
    async with over_http(running, "auto", Host(ACCEPT)) as host:
        assert host.server_capabilities.tools == types.ToolsCapability(list_changed=True)
        async with asyncio.timeout(PATIENCE_S), host.listen(tools_list_changed=True) as changes:
            await host.call_tool("all__grow", {})
            async for change in changes:
                assert isinstance(change, ToolsListChanged)
                if "all__grown" in await tool_names(host):
                    break


async def test_a_host_of_the_handshake_era_hears_that_the_tools_have_changed(running: InProcess) -> None:
    person = Host()
    async with over_http(running, "legacy", person) as host:
        assert host.server_capabilities.tools == types.ToolsCapability(list_changed=True)
        await host.call_tool("sure__grow", {})
        await until_async(lambda: told_of(host, person, "sure__grown"))


async def test_what_changes_while_a_slow_host_is_told_is_told_as_well(
    running: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling = threading.Event()
    at_once = Connection.send_tool_list_changed

    async def slowly(connection: Connection, **more: Any) -> None:
        telling.set()
        await asyncio.sleep(1)
        await at_once(connection, **more)

    monkeypatch.setattr(Connection, "send_tool_list_changed", slowly)
    async with (
        asyncio.timeout(PATIENCE_S),
        over_http(running, "legacy"),
        over_http(running, "auto", Host(ACCEPT)) as host,
        host.listen(tools_list_changed=True) as changes,
    ):
        await host.call_tool("all__grow", {})
        await anext(changes)
        assert await asyncio.to_thread(telling.wait, PATIENCE_S)
        await host.call_tool("all__grow", {})
        await anext(changes)


# --- which tools, and under which names


async def test_only_what_is_exposed_is_there(running: InProcess) -> None:
    async with over_http(running, "auto") as host:
        assert [name for name in await tool_names(host) if name.startswith("tight")] == ["tight__echo", "tight__count"]
        with pytest.raises(MCPError, match="there is no tool"):
            await host.call_tool("tight__pid", {})


async def test_names_are_short_enough_for_hosts(running: InProcess) -> None:
    async with over_http(running, "auto") as host:
        names = await tool_names(host)
        assert max(map(len, names)) <= 46
        assert len(names) == len(set(names))
        shortened = [name for name in names if name.startswith(LONG[:30])]
        assert len(shortened) == 2
        assert said(await host.call_tool(shortened[0], {"text": "through"})) == "through"


# --- prompts


@ERAS
async def test_a_recipe_is_a_prompt_with_its_variables(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host:
        prompts = {prompt.name: prompt for prompt in (await host.list_prompts()).prompts}
        arguments = prompts["greeter"].arguments or []
        assert [(each.name, each.required) for each in arguments] == [("name", True), ("language", False)]
        assert arguments[1].description == "which tongue; one of English, French"
        assert "plain" not in prompts  # it has no words

        got = await host.get_prompt("greeter", {"name": "Ada"})
        content = got.messages[0].content
        assert isinstance(content, types.TextContent)
        assert content.text == "Greet Ada in English."
        with pytest.raises(MCPError, match="'name' has no default"):
            await host.get_prompt("greeter", {})
        with pytest.raises(MCPError, match="must be one of"):
            await host.get_prompt("greeter", {"name": "Ada", "language": "Latin"})
        with pytest.raises(MCPError, match="there is no prompt 'none'"):
            await host.get_prompt("none", {})


# --- the gate and the end


async def test_a_page_of_another_site_is_kept_out(running: InProcess) -> None:
    async with httpx2.AsyncClient(timeout=60) as web:
        headers = {"origin": "http://evil.example", "accept": "application/json, text/event-stream"}
        answer = await web.post(f"{running.url}/mcp", json={}, headers=headers)
        assert answer.status_code == 403


@ERAS
async def test_open_feeds_do_not_hold_up_the_end(tmp_path: Path, mode: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        async with daemon(configure(tmp_path, {}), {"HOME": str(tmp_path)}, LONG_END) as running:
            host = over_http(running, mode)
            client = await host.__aenter__()
            if mode == "auto":
                listening = client.listen(tools_list_changed=True)
                await listening.__aenter__()
        if mode == "auto":
            await listening.__aexit__(None, None, None)
        await host.__aexit__(None, None, None)
