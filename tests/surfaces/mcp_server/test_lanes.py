"""Hosts with sessions of their own: whose call a server's words belong to, and what one lost session does to others."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client

from tests.surfaces.mcp_server.asking import Asking
from tests.surfaces.mcp_server.hosts import serving, until, until_async
from tests.surfaces.mcp_server.raw_hosts import RawHost, raw_host, said
from woollama.server import InProcess

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

PROGRAM = Path(__file__).with_name("asking.py")
QUESTIONS = {
    "form": "elicitation/create",
    "url": "elicitation/create",
    "sampling": "sampling/createMessage",
    "roots": "roots/list",
}
HERE, THERE = Asking(), Asking()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """`a` and `b` are reached by HTTP, `pipe` is a program."""
    with HERE.serving() as a, THERE.serving() as b:
        entry = {"trusted": True, "era": "handshake"}
        pipe = {"command": sys.executable, "args": [str(PROGRAM)], **entry}
        with serving(
            tmp_path_factory.mktemp("daemon"), a={"url": a, **entry}, b={"url": b, **entry}, pipe=pipe
        ) as each:
            yield each


# --- on which stream it comes


@pytest.mark.parametrize("what", QUESTIONS)
async def test_what_a_server_asks_and_tells_in_a_call_comes_on_the_stream_of_that_call(
    running: InProcess, what: str
) -> None:
    async with raw_host(running, "ann") as host:
        calls = {
            key: host.begin_call("a__ask", token=f"of {key}", key=key, what=what, together=True) for key in ("x", "y")
        }
        results = [await task for _, task in calls.values()]
        for key, (number, _) in calls.items():
            (asked,) = host.of(number, QUESTIONS[what])
            if what != "roots":
                assert key in json.dumps(asked)
            progress = host.of(number, "notifications/progress")
            assert [(each["progressToken"], each["message"]) for each in progress] == [(f"of {key}", key)]
            assert [each["data"] for each in host.of(number, "notifications/message")] == [key]
        assert not any(host.of("feed", QUESTIONS[what]) for what in QUESTIONS)
        assert not host.of("feed", "notifications/message")
        wanted = {"form": "ann", "url": "accept", "sampling": "ann", "roots": "file:///ann"}[what]
        assert all(wanted in said(result) for result in results)


@pytest.mark.parametrize("what", ["form", "roots"])
async def test_over_a_pipe_too_nothing_of_a_call_comes_on_the_feed(running: InProcess, what: str) -> None:
    """Which of a host's own calls a question over a pipe belongs to is not said there; progress is."""
    async with raw_host(running, "ann") as host:
        calls = {key: host.begin_call("pipe__ask", token=key, key=key, what=what, together=True) for key in ("x", "y")}
        assert ["ann" in said(await task) for _, task in calls.values()] == [True, True]
        for key, (number, _) in calls.items():
            assert [each["message"] for each in host.of(number, "notifications/progress")] == [key]
        asked = [each for number, _ in calls.values() for each in host.of(number, QUESTIONS[what])]
        assert len(asked) == 2
        assert not host.of("feed", QUESTIONS[what])


@pytest.mark.parametrize("server", ["a", "pipe"])
async def test_that_a_link_was_followed_reaches_the_host_that_was_asked_to_and_no_other(
    running: InProcess, server: str
) -> None:
    async with raw_host(running, "ann") as ann, raw_host(running, "ben") as ben:
        for apart, key in ((False, "one"), (True, "two")):
            number, call = ann.begin_call(f"{server}__ask", key=key, what="url", apart=apart)
            assert "accept" in said(await call)
            (asked,) = ann.of(number, "elicitation/create")
            assert (asked["mode"], asked["url"]) == ("url", "https://example.com/login")
            assert asked["elicitationId"] == f"id {key}"
        completed = await ann.heard("feed", "notifications/elicitation/complete", 2)
        assert [each["elicitationId"] for each in completed] == ["id one", "id two"]
        assert not any(ben.of(stream, "notifications/elicitation/complete") for stream in tuple(ben.streams))


@pytest.mark.parametrize("server", ["a", "pipe"])
async def test_a_link_of_a_server_that_asks_in_the_old_way_reaches_a_modern_host(
    running: InProcess, server: str
) -> None:
    """In that era nothing says that a link was followed."""
    shown = []

    async def elicit(_: object, params: types.ElicitRequestURLParams | types.ElicitRequestFormParams) -> Any:
        shown.append(params)
        return types.ElicitResult(action="accept")

    async with Client(f"{running.url}/mcp", mode="auto", elicitation_callback=elicit) as host:
        arguments = {"key": "three", "what": "url"}
        result = await host.call_tool(f"{server}__ask", arguments)
    assert '"accept"' in str(result.content)
    (link,) = shown
    assert isinstance(link, types.ElicitRequestURLParams)
    assert (link.url, link.message) == ("https://example.com/login", f"{server}: three")


async def test_progress_of_two_hosts_with_the_same_token_is_not_mixed_up(running: InProcess) -> None:
    async with raw_host(running, "ann") as ann, raw_host(running, "ben") as ben:
        calls = [(host, *host.begin_call("a__wait", token="same", key=f"p {host.name}")) for host in (ann, ben)]
        for host, number, _ in calls:
            await host.heard(number, "notifications/progress")
        for host, number, call in calls:
            await host.call("a__release", key=f"p {host.name}")
            assert said(await call) == f"released p {host.name}"
            told = [(each["progressToken"], each["message"]) for each in host.of(number, "notifications/progress")]
            assert told == [("same", f"p {host.name}")] * 2


async def test_a_host_that_cancels_a_call_cancels_that_one_alone(running: InProcess) -> None:
    """Two hosts whose requests have the same ids, and two calls of the one."""
    async with raw_host(running, "ann") as ann, raw_host(running, "ben") as ben:
        calls = {
            f"c {host.name} {n}": (host, *host.begin_call("a__wait", key=f"c {host.name} {n}"))
            for host in (ann, ben)
            for n in (1, 2)
        }
        for host, number, _ in calls.values():
            await host.heard(number, "notifications/progress")
        _, cancelled, call = calls.pop("c ann 1")
        assert cancelled in [number for host, number, _ in calls.values() if host is ben]
        await ann.notify("notifications/cancelled", {"requestId": cancelled})
        await until(lambda: "cancelled c ann 1" in HERE.trace)
        for key, (host, _, waiting) in calls.items():
            await host.call("a__release", key=key)
            assert said(await waiting) == f"released {key}"
        assert [line for line in HERE.trace if line.startswith("cancelled")] == ["cancelled c ann 1"]
        call.cancel()


# --- roots


async def test_roots_are_those_of_the_host_that_calls_and_are_asked_for_anew_when_they_change(
    running: InProcess,
) -> None:
    async with raw_host(running, "ann") as ann, raw_host(running, "ben") as ben:
        for host in (ann, ben):
            assert f"file:///{host.name}" in await host.call("a__ask", key="r", what="roots")
        for host in (ben, ann):
            host.roots = [f"file:///{host.name}/new"]
            await host.notify("notifications/roots/list_changed")
            await host.heard("feed", "roots/list")
        for host in (ann, ben):

            async def are_known(host: RawHost = host) -> bool:
                return json.loads(await host.call("a__roots")) == [f"file:///{host.name}/new"]

            await until_async(are_known)


# --- sessions that are lost


async def test_a_server_that_forgets_a_session_breaks_no_other_server_and_no_other_host(running: InProcess) -> None:
    async with raw_host(running, "ann") as ann, raw_host(running, "ben") as ben:
        before = set(HERE.sessions)
        await ann.call("a__trace")
        anns = HERE.sessions - before
        waiting = [
            (host, server, *host.begin_call(f"{server}__wait", key=f"f {host.name} {server}"))
            for host, server in ((ann, "b"), (ben, "a"), (ben, "b"))
        ]
        for host, _, number, _ in waiting:
            await host.heard(number, "notifications/progress")
        HERE.run(HERE.forget, anns)
        assert "waiting" in await ann.call("a__trace")  # on a new session, and unseen
        assert not anns & HERE.sessions
        for host, server, _, call in waiting:
            await host.call(f"{server}__release", key=f"f {host.name} {server}")
            assert said(await call) == f"released f {host.name} {server}"
        assert [line for line in HERE.trace + THERE.trace if line.startswith("cancelled f")] == []


async def test_a_server_that_forgets_everybody_is_there_for_everybodys_next_call(running: InProcess) -> None:
    async with raw_host(running, "ann") as ann, raw_host(running, "ben") as ben:
        for host in (ann, ben):
            await host.call("a__trace")
        number, elsewhere = ben.begin_call("b__wait", key="everybody")
        await ben.heard(number, "notifications/progress")
        HERE.run(HERE.forget)
        for host in (ann, ben):
            await host.call("a__trace")
        await ann.call("b__release", key="everybody")
        assert said(await elsewhere) == "released everybody"


async def test_a_host_whose_session_with_us_has_expired_begins_anew_and_others_go_on(running: InProcess) -> None:
    async with raw_host(running, "ann") as ann, raw_host(running, "ben") as ben:
        number, waiting = ben.begin_call("a__wait", key="expired")
        await ben.heard(number, "notifications/progress")
        await ann.call("a__trace")
        await ann.leave()
        assert await ann.request("tools/list") == {"error": 404}
        await ann.connect()
        await ann.call("a__release", key="expired")
        assert said(await waiting) == "released expired"


async def test_what_a_host_has_subscribed_to_outlives_the_session_behind_it(running: InProcess) -> None:
    """Without a call of the host in between: one that waits for updates does not call."""
    async with raw_host(running, "ann") as ann:
        for uri in ("one", "two"):
            await ann.request("resources/subscribe", {"uri": f"woollama://a/test://{uri}"})
        asked = HERE.subscribed
        HERE.run(HERE.forget)
        await until(lambda: HERE.subscribed >= asked + 2)
        for uri in ("one", "two"):
            await ann.call("a__change", uri=f"test://{uri}")
        updates = await ann.heard("feed", "notifications/resources/updated", 2)
        assert [each["uri"] for each in updates] == [f"woollama://a/test://{uri}" for uri in ("one", "two")]
        assert HERE.subscribed == asked + 2
