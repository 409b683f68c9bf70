"""What a host of the handshake era gets over HTTP: plain JSON for what comes soon, and else events to come back to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp.server import Server
from mcp.shared.message import ServerMessageMetadata
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestParams

from tests.surfaces.mcp_server.hosts import PATIENCE_S, server, serving
from woollama.server import InProcess
from woollama.surfaces.mcp_server import sessions
from woollama.surfaces.mcp_server.replay import Replay
from woollama.surfaces.mcp_server.session import Session, stream_of
from woollama.surfaces.mcp_server.streams import MOST_WAITING, Stream

BOTH = "application/json, text/event-stream"
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bare", "version": "1"}}
NOTE = JSONRPCNotification(jsonrpc="2.0", method="notifications/progress")
RESULT = JSONRPCResponse(jsonrpc="2.0", id=1, result={})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with serving(tmp_path_factory.mktemp("daemon"), all=server(trusted=True)) as daemon_of_this_file:
        yield daemon_of_this_file


@asynccontextmanager
async def connected(running: InProcess) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, headers={"accept": BOTH}) as http:
        begun = await http.post("/mcp", json=request("initialize", HELLO))
        http.headers |= {"mcp-session-id": begun.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await http.post("/mcp", json=done)).status_code == 202
        yield http


def request(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return request("tools/call", {"name": f"all__{tool}", "arguments": arguments, "_meta": {"progressToken": "p"}})


def events(text: str) -> list[dict[str, str]]:
    blocks = [block for block in text.replace("\r\n", "\n").split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


def result_of(answer: httpx2.Response) -> Any:
    """However it was sent."""
    plain = answer.headers["content-type"] == "application/json"
    return answer.json() if plain else json.loads(events(answer.text)[-1]["data"])


async def test_the_result_of_a_tool_that_comes_soon_is_plain_json(
    running: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SOON_S", PATIENCE_S)
    async with connected(running) as http:
        answer = await http.post("/mcp", json=call("echo", text="hi"))
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["result"]["content"] == [{"type": "text", "text": "hi"}]


async def test_what_is_said_before_a_result_makes_events_of_both(running: InProcess) -> None:
    async with connected(running) as http:
        answer = await http.post("/mcp", json=call("count", n=2))
        first, *rest = events(answer.text)
        assert (first["data"], first["retry"]) == ("", "500")
        said = [json.loads(each["data"]) for each in rest]
        assert [each.get("method", "result") for each in said] == ["notifications/progress"] * 2 + ["result"]


async def test_an_error_is_an_event(running: InProcess) -> None:
    async with connected(running) as http:
        answer = await http.post("/mcp", json=call("no_such_tool"))
        assert answer.headers["content-type"] == "text/event-stream"
        assert json.loads(events(answer.text)[-1]["data"])["error"]["code"] == -32602


async def test_a_host_that_loses_a_long_call_comes_back_for_its_result(running: InProcess) -> None:
    async with connected(running) as http:
        async with http.stream("POST", "/mcp", json=call("wait", key="lost")) as lost:
            lines = lost.aiter_lines()
            number = (await anext(lines)).removeprefix("id: ")
        release = {**call("release", key="lost"), "id": 2}
        assert (await http.post("/mcp", json=release)).status_code == 200
        async with http.stream("GET", "/mcp", headers={"last-event-id": number}) as again:
            async for line in again.aiter_lines():
                if line.startswith("data: {"):
                    break
            assert json.loads(line.removeprefix("data: "))["id"] == 1


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (404, {"mcp-session-id": "of-nobody"}, b"{}"),
        (400, {}, b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'),
        (400, {}, b'{"jsonrpc": '),
        (400, {}, b"[]"),
        (406, {"accept": "application/json"}, b'{"jsonrpc": "2.0", "id": 1, "method": "initialize"}'),
    ],
)
async def test_what_is_no_request_of_a_session_is_refused(
    running: InProcess, status: int, headers: dict[str, str], body: bytes
) -> None:
    async with httpx2.AsyncClient(base_url=running.url, headers={"accept": BOTH}) as http:
        about = {"content-type": "application/json", **headers}
        answer = await http.post("/mcp", content=body, headers=about)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]


async def test_a_request_may_have_any_id(running: InProcess) -> None:
    async with connected(running) as http, http.stream("GET", "/mcp") as feed:
        assert feed.status_code == 200
        asked = [{**call("echo", text=str(number)), "id": number} for number in (1, "1", "feed")]
        answers = await asyncio.gather(*(http.post("/mcp", json=each) for each in asked))
        assert [result_of(answer)["id"] for answer in answers] == [1, "1", "feed"]
        assert (await http.get("/mcp")).status_code == 409  # the feed is open still


async def test_a_request_that_is_cancelled_before_it_has_begun_is_answered_all_the_same() -> None:
    session = Session(Server("bare"))
    with session.open(stream_of(1), "2025-11-25") as stream:
        session.answer(JSONRPCRequest(jsonrpc="2.0", id=1, method="ping"), ServerMessageMetadata())
        session.cancel(1)
        async with asyncio.timeout(PATIENCE_S):
            while (event := await stream.next()) is not None and event.message is None:
                pass
    assert event is not None
    assert isinstance(event.message, JSONRPCError)
    assert event.message.error.message == "Request cancelled"
    await session.end()


async def test_what_is_not_answered_when_a_session_ends_is_told_so() -> None:
    begun = asyncio.Event()

    async def endless(ctx: Any, params: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    sdk: Server[Any] = Server("endless")
    sdk.add_request_handler("custom/endless", RequestParams, endless)
    session = Session(sdk)
    await say(session, "initialize", HELLO)
    with session.open(stream_of(2), "2025-06-18") as stream:
        session.answer(JSONRPCRequest(jsonrpc="2.0", id=2, method="custom/endless"), ServerMessageMetadata())
        async with asyncio.timeout(PATIENCE_S):
            await begun.wait()
            await session.end()
            event = await stream.next()
    assert event is not None
    assert isinstance(event.message, JSONRPCError)
    assert event.message.error.message == "Connection closed"


async def say(session: Session, method: str, params: dict[str, Any]) -> None:
    with session.open(stream_of(1), "2025-06-18") as stream:
        session.answer(JSONRPCRequest(jsonrpc="2.0", id=1, method=method, params=params), ServerMessageMetadata())
        async with asyncio.timeout(PATIENCE_S):
            assert await stream.next() is not None


async def test_a_session_that_was_ended_is_known_no_more(running: InProcess) -> None:
    async with connected(running) as http:
        assert (await http.delete("/mcp")).status_code == 200
        assert (await http.post("/mcp", json=call("echo", text="hi"))).status_code == 404


async def test_who_speaks_faster_than_the_host_reads_is_held_back() -> None:
    stream = Stream("1", Replay(), resumable=False)
    for _ in range(MOST_WAITING):
        await stream.say(NOTE)
    speaking = asyncio.create_task(stream.say(NOTE))
    await asyncio.sleep(0)
    assert not speaking.done()
    assert await stream.next() is not None
    await asyncio.wait_for(speaking, PATIENCE_S)


async def test_who_speaks_to_a_host_that_is_gone_is_not_held_back() -> None:
    stream = Stream("1", Replay(), resumable=False)
    speaking = [asyncio.create_task(stream.say(NOTE)) for _ in range(MOST_WAITING + 2)]
    await asyncio.sleep(0)
    stream.close()
    await asyncio.wait_for(asyncio.gather(*speaking), PATIENCE_S)


async def test_only_a_result_leaves_a_stream_unbegun() -> None:
    stream = Stream("1", Replay(), resumable=True)
    await stream.say(RESULT)
    assert not stream.begun
    assert (await stream.next()) is not None
