"""Approvals as people and programs meet them: a daemon, a real tool server, and clients on both doors."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.daemon import daemon_in_thread
from tests.surfaces.mcp_server.hosts import (
    PATIENCE_S,
    SHIPPED,
    Host,
    over_http,
    said,
    server,
    tool_names,
    until,
    until_async,
)
from woollama.server import InProcess, ServeOptions

IMPOSTOR = Path(__file__).parents[1] / "toolservers" / "servers" / "impostor.py"
RECIPES = """
[recipes.careful]
inferencer = "scripted/echo"
tools = ["all.count"]
confirm = ["all.c*"]
tool_choice = "required"

[recipes.curious]
inferencer = "scripted/echo"
tools = ["all.ask"]
tool_choice = "required"

[recipes.denied]
inferencer = "scripted/echo"
tools = ["all.*", "locked.echo"]

[recipes.floor]
inferencer = "scripted/echo"
tools = ["strict.count"]
tool_choice = "required"

[recipes.plot]
inferencer = "scripted/echo"
tools = ["impostor.act"]
confirm = ["impostor.act"]
tool_choice = "required"
"""
DENIED = "all.big"


@contextmanager
def serving(
    servers: dict[str, Any] | None = None, *, rules: str = "", state: Path | None = None, token: str | None = None
) -> Iterator[InProcess]:
    """A daemon in a thread, its files in a short path, its tool servers up. `RUN` in an argument is where it runs."""
    with tempfile.TemporaryDirectory(prefix="approvals-") as home:
        config, run = Path(home) / "config", Path(home) / "run"
        for directory in (config, run):
            directory.mkdir(mode=0o700)
        written = json.dumps({"mcpServers": {**{name: {"disabled": True} for name in SHIPPED}, **(servers or {})}})
        (config / "mcp.json").write_text(written.replace("RUN", str(run)))
        (config / "recipes.toml").write_text(RECIPES)
        (config / "woollama.toml").write_text(f"[approvals]\n{rules}\n")
        environ = {"HOME": home, "PATH": os.environ["PATH"]}
        if state is not None:
            environ["WOOLLAMA_STATE_DIR"] = str(state)
        options = ServeOptions(runtime_dir=run, shutdown_timeout_s=1.0, token=token)
        with daemon_in_thread(config, environ, options) as running:
            deadline = time.monotonic() + PATIENCE_S
            key = {"x-api-key": token} if token else {}
            while httpx2.get(f"{running.url}/readyz", headers=key, timeout=PATIENCE_S).status_code != 200:
                assert time.monotonic() < deadline, "the tool servers do not come up"
                time.sleep(0.01)
            yield running


@pytest.fixture(scope="module")
def running() -> Iterator[InProcess]:
    servers = {"all": server(), "strict": server(confirm=["count"], autoApprove=["count"])}
    with serving(servers, rules=f'deny = ["{DENIED}"]') as daemon_of_this_file:
        yield daemon_of_this_file


@asynccontextmanager
async def over_unix(running: InProcess) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.AsyncHTTPTransport(uds=str(running.unix_path))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=PATIENCE_S) as client:
        yield client


@asynccontextmanager
async def over_tcp(running: InProcess, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=running.url, headers=headers, timeout=PATIENCE_S) as client:
        yield client


async def chat(client: httpx2.AsyncClient, recipe: str = "careful", asked: str = "count to 3") -> str:
    body = {"model": f"woollama/{recipe}", "messages": [{"role": "user", "content": asked}]}
    answer = await client.post("/v1/chat/completions", json=body)
    return str(answer.json()["choices"][0]["message"]["content"])


async def pending(client: httpx2.AsyncClient, count: int = 1) -> list[Any]:
    """What waits, once there are so many."""
    data: list[Any] = []

    async def are_there() -> bool:
        data[:] = (await client.get("/w1/approvals")).json()["data"]
        return len(data) == count

    await until_async(are_there)
    return data


async def answer(client: httpx2.AsyncClient, ask: Any, decision: str, **more: Any) -> httpx2.Response:
    return await client.post(f"/w1/approvals/{ask['id']}", json={"decision": decision, **more})


# --- the answers


async def test_a_call_that_was_approved_is_made(running: InProcess) -> None:
    async with over_tcp(running) as client, over_unix(running) as person:
        asking = asyncio.create_task(chat(client))
        (ask,) = await pending(person)
        assert ask["name"] == "all.count"
        assert ask["kind"] == "call"
        assert json.loads(ask["args"]) == {"n": 3}
        assert ask["command_preview"].startswith("all.count is to be confirmed. Call it with {")
        assert (ask["server"], ask["recipe"], ask["pin"]) == ("all", "careful", "known")
        assert ask["caller"].startswith("python-httpx")
        assert ask["expires_at"] - ask["asked_at"] == pytest.approx(60, abs=1)
        assert "nonce" not in ask
        done = await answer(person, ask, "approve")
        assert (done.status_code, done.json()) == (
            200,
            {"id": ask["id"], "decision": "approve", "remember": "once"},
        )
        assert "counted to 3" in await asking
        again = await answer(person, ask, "deny")
        assert (again.status_code, again.json()["error"]["code"]) == (409, "approval_over")


async def test_a_call_that_was_denied_is_not_made_and_the_model_goes_on(running: InProcess) -> None:
    async with over_tcp(running) as client, over_unix(running) as person:
        asking = asyncio.create_task(chat(client))
        (ask,) = await pending(person)
        await answer(person, ask, "deny")
        assert "The call was denied by the user." in await asking


async def test_silence_is_a_no_and_the_model_goes_on() -> None:
    with serving({"all": server()}, rules='timeout = "50ms"') as impatient:
        async with over_tcp(impatient) as client:
            assert "nobody answered within 0.05 s" in await chat(client)


async def test_a_client_that_leaves_takes_its_question_along(running: InProcess) -> None:
    async with over_unix(running) as person:
        async with over_tcp(running) as client:
            asking = asyncio.create_task(chat(client))
            (ask,) = await pending(person)
            asking.cancel()
            await asyncio.wait({asking})
        await pending(person, 0)
        late = await answer(person, ask, "approve")
        assert late.status_code == 409
        assert "withdrawn" in late.json()["error"]["message"]


async def test_two_at_once_are_answered_each_by_its_id(running: InProcess) -> None:
    async with over_tcp(running) as client, over_unix(running) as person:
        asking = [asyncio.create_task(chat(client, asked=f"count to {n}")) for n in (2, 5)]
        asks = {json.loads(ask["args"])["n"]: ask for ask in await pending(person, 2)}
        await answer(person, asks[5], "approve")
        await answer(person, asks[2], "deny")
        two, five = await asyncio.gather(*asking)
        assert ("denied by the user" in two, "counted to 5" in five) == (True, True)


async def test_a_stream_waits_and_the_feed_tells(running: InProcess) -> None:
    async with over_tcp(running) as client, over_unix(running) as person:
        async with person.stream("GET", "/w1/events") as feed:
            events = _events(feed)
            assert (await anext(events))["type"] == "listening"
            body = {
                "model": "woollama/careful",
                "stream": True,
                "messages": [{"role": "user", "content": "count to 3"}],
            }
            async with client.stream("POST", "/v1/chat/completions", json=body) as stream:
                asked = await _event_of(events, "approval.asked")
                assert (asked["name"], json.loads(asked["args"])) == ("all.count", {"n": 3})
                assert asked["command_preview"]
                await answer(person, asked, "approve")
                answered = await _event_of(events, "approval.answered")
                assert (answered["id"], answered["approved"]) == (asked["id"], True)
                assert answered["by"].startswith("unix (")
                text = (await stream.aread()).decode()
        assert text.endswith("data: [DONE]\n\n")


async def test_a_question_of_a_tool_reaches_a_person_the_same_way(running: InProcess) -> None:
    async with over_tcp(running) as client, over_unix(running) as person:
        asking = asyncio.create_task(chat(client, "curious", "which colour?"))
        (ask,) = await pending(person)
        assert (ask["kind"], ask["name"]) == ("question", "all.ask")
        assert ask["command_preview"] == f"all: {ask['question']['message']}"
        refused = await answer(person, ask, "approve", content={"answer": 3})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "content")
        await answer(person, ask, "approve", content={"answer": "blue"})
        assert "accept: blue" in await asking


async def test_an_answer_that_makes_no_sense_is_refused_and_the_question_stays(running: InProcess) -> None:
    async with over_tcp(running) as client, over_unix(running) as person:
        asking = asyncio.create_task(chat(client))
        (ask,) = await pending(person)
        for wrong in ({"decision": "perhaps"}, {"decision": "approve", "remember": "never"}, {}, {"dec": 1}):
            refused = await person.post(f"/w1/approvals/{ask['id']}", json=wrong)
            assert refused.status_code == 400, wrong
        assert (await person.post("/w1/approvals/ask_0", json={"decision": "deny"})).status_code == 404
        assert len(await pending(person)) == 1
        await answer(person, ask, "deny")
        await asking


# --- who may answer


async def test_over_tcp_only_who_was_shown_the_question_can_answer(running: InProcess) -> None:
    page = {"origin": running.url}
    async with over_tcp(running) as client, over_unix(running) as person, over_tcp(running, **page) as browser:
        asking = asyncio.create_task(chat(client))
        await pending(person)
        assert "nonce" not in (await pending(client))[0]
        (ask,) = await pending(browser)
        (same,) = (await client.get("/w1/approvals", headers={"sec-fetch-site": "same-origin"})).json()["data"]
        assert same["nonce"] == ask["nonce"]
        for nonce in ({}, {"nonce": "guessed"}, {"nonce": "\u00fc"}):
            assert (await answer(browser, ask, "approve", **nonce)).status_code == 403
        assert (await answer(browser, ask, "approve", nonce=ask["nonce"])).status_code == 200
        assert "counted" in await asking
        assert (await answer(browser, ask, "approve", nonce=ask["nonce"])).status_code == 409


async def test_who_has_the_token_is_given_the_nonce() -> None:
    with serving({"all": server()}, token="a-token-of-the-owner") as guarded:
        async with over_tcp(guarded, authorization="Bearer a-token-of-the-owner") as owner:
            asking = asyncio.create_task(chat(owner))
            (ask,) = await pending(owner)
            assert (await answer(owner, ask, "approve", nonce=ask["nonce"])).status_code == 200
            assert "counted" in await asking


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", ["itself", "daemonized"])
async def test_a_tool_server_cannot_approve_itself(how: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    impostor = {"command": sys.executable, "args": ["-I", str(IMPOSTOR), how, "RUN", str(report)]}
    with serving({"impostor": impostor}) as running:
        async with over_tcp(running) as client, over_unix(running) as person:
            asking = asyncio.create_task(chat(client, "plot", "act"))
            (ask,) = await pending(person)
            await until(report.exists)
            told = json.loads(report.read_bytes())
            assert told == {"unix": 403, "tcp": 403, "as a page": 403, "nonce": None, "reload": 403, "trust": 403}
            assert len(await pending(person)) == 1
            await answer(person, ask, "approve")
            assert "acted" in await asking


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
async def test_a_tool_server_that_is_a_host_is_not_asked_about_itself(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    impostor = {"command": sys.executable, "args": ["-I", str(IMPOSTOR), "host", "RUN", str(report)]}
    with serving({"impostor": impostor}, rules='timeout = "200ms"'):
        await until(report.exists)
        assert json.loads(report.read_bytes()) == {"failed": [True, True], "asked": []}


# --- what is remembered


async def test_always_survives_a_restart_and_a_changed_recipe_voids_it(tmp_path: Path) -> None:
    with serving({"all": server()}, state=tmp_path) as first:
        async with over_tcp(first) as client, over_unix(first) as person:
            asking = asyncio.create_task(chat(client))
            (ask,) = await pending(person)
            assert (await answer(person, ask, "approve", remember="always")).json()["remember"] == "always"
            assert "counted" in await asking
            assert "counted" in await chat(client)
    with serving({"all": server()}, state=tmp_path) as second:
        async with over_tcp(second) as client:
            assert "counted" in await chat(client)
    changed = RECIPES.replace('tools = ["all.count"]', 'tools = ["all.count"]\nsystem = "Now do all that it says."')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "RECIPES", changed)
        with serving({"all": server()}, state=tmp_path, rules='timeout = "50ms"') as third:
            async with over_tcp(third) as client:
                assert "nobody answered" in await chat(client)


# --- the owner's floor


async def test_a_denied_tool_is_on_no_path(running: InProcess) -> None:
    async with over_http(running, "auto") as host:
        names = await tool_names(host)
        assert "all__echo" in names
        assert "all__big" not in names
    async with over_tcp(running) as client:
        body = {
            "model": "woollama/denied",
            "tool_choice": {"type": "function", "function": {"name": "all__big"}},
            "messages": [{"role": "user", "content": "9"}],
        }
        refused = await client.post("/v1/chat/completions", json=body)
        assert "there is no tool 'all__big'" in refused.text


async def test_a_confirm_in_mcp_json_holds_under_a_recipe_whatever_another_program_was_told(
    running: InProcess,
) -> None:
    async with over_tcp(running) as client, over_unix(running) as person:
        asking = asyncio.create_task(chat(client, "floor"))
        (ask,) = await pending(person)
        assert (ask["name"], ask["recipe"]) == ("strict.count", "floor")
        await answer(person, ask, "deny")
        assert "denied by the user" in await asking


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_confirm_in_mcp_json_holds_for_hosts(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host, over_unix(running) as person:
        calling = asyncio.create_task(host.call_tool("strict__count", {"n": 1}))
        (ask,) = await pending(person)
        assert ask["recipe"] is None
        await answer(person, ask, "approve")
        assert said(await calling) == "counted to 1"


# --- hosts, and whoever is first


class Slow(Host):
    """A host whose person does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.dialog = asyncio.Event()

    async def elicit(self, _: Any, params: Any) -> Any:
        self.asked.append(params.message)
        self.dialog.set()
        return await asyncio.Future()

    def options(self) -> dict[str, Any]:
        return {**super().options(), "elicitation_callback": self.elicit}


async def test_a_host_is_asked_and_somebody_else_may_answer_first(running: InProcess) -> None:
    person_at_host = Slow()
    async with over_http(running, "legacy", person_at_host) as host, over_unix(running) as person:
        calling = asyncio.create_task(host.call_tool("all__count", {"n": 2}))
        async with asyncio.timeout(PATIENCE_S):
            await person_at_host.dialog.wait()
        (ask,) = await pending(person)
        assert person_at_host.asked == [ask["command_preview"]]
        await answer(person, ask, "approve")
        assert said(await calling) == "counted to 2"


async def test_a_host_of_the_stateless_era_finds_the_answer_that_was_given_elsewhere(running: InProcess) -> None:
    async with over_http(running, "auto", Slow()) as host, over_unix(running) as person:
        session: Any = host.session
        first = await session.call_tool("all__count", {"n": 2}, allow_input_required=True)
        (ask,) = await pending(person)
        await answer(person, ask, "approve")
        done = await session.call_tool("all__count", {"n": 2}, input_responses={}, request_state=first.request_state)
        assert said(done) == "counted to 2"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_host_is_asked_about_what_a_chat_of_its_own_needs(running: InProcess, mode: str) -> None:
    import mcp_types as types

    person = Host(types.ElicitResult(action="accept", content={}))
    async with over_http(running, mode, person) as host:
        arguments = {"recipe": "careful", "messages": [{"role": "user", "content": "count to 4"}]}
        assert "counted to 4" in said(await host.call_tool("chat", arguments))
        assert len(person.asked) == 1


async def _events(feed: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    buffer = b""
    async for chunk in feed.aiter_bytes():
        buffer += chunk
        *frames, buffer = buffer.split(b"\n\n")
        for frame in frames:
            for line in frame.splitlines():
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])


async def _event_of(events: AsyncIterator[dict[str, Any]], kind: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        async for event in events:
            if event["type"] == kind:
                return event
    raise AssertionError(f"there was no {kind}")
