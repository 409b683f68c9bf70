"""Calls that want a login which allows more than the one that there is, or one where all else needs none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.toolservers.authorization import Books
from tests.toolservers.fleets import call, health, said, until
from tests.toolservers.places import browse, fleet, place
from woollama.cli.tools import health_line
from woollama.domain.peers import Host
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Returned
from woollama.domain.turns import INTERNAL
from woollama.toolservers.browser import NotLoggedIn
from woollama.toolservers.fleet import Fleet

WISH = "it wants a login that also allows write: `woollama login far`"


async def refusal(servers: Fleet, name: str) -> str:
    outcome = await call(servers, name)
    assert isinstance(outcome, Returned), outcome
    assert outcome.is_error
    return outcome.for_model()


async def test_a_call_that_the_login_does_not_allow_fails_alone_and_the_next_login_asks_for_both(
    tmp_path: Path,
) -> None:
    async with place(tmp_path, wants={"pid": "write"}) as at:
        await at.log_in()
        async with fleet(at) as servers:
            told = await refusal(servers, "far.pid")
            assert f"not done: server 'far' needs its owner's login for that ({WISH})" in told
            assert await said(servers, "far.echo", text="hi") == "hi"
            assert health(servers, "far").login_wanted == WISH
            assert len(at.books.wished) == 1  # nobody was asked behind their back
        async with fleet(at) as servers:  # after a restart
            assert health(servers, "far").login_wanted == WISH
            line = health_line(asdict(health(servers, "far")))
            assert line == f"far (http): ready, but {WISH}"
            assert await at.log_in_by_program() == (0, "logged in at far\n")
            assert at.books.wished[1:] == ["tools write"]
            assert (await said(servers, "far.pid")).isdecimal()
            assert health(servers, "far").login_wanted is None
        registered = [client.metadata.get("scope") for client in at.books.clients.values()]
        assert registered == ["tools", "tools write"]  # who has registered for less is not given more
        assert len(list((tmp_path / "state" / "logins").iterdir())) == 1


async def test_a_login_asks_for_all_that_was_wanted_since_the_last_one(tmp_path: Path) -> None:
    async with place(tmp_path, wants={"pid": "write", "environment": "admin write"}) as at:
        await at.log_in()
        async with fleet(at) as servers:
            await refusal(servers, "far.environment")
            await refusal(servers, "far.pid")
            assert "also allows admin, write:" in (health(servers, "far").login_wanted or "")
            assert list(await at.log_in()) == []
            assert (await said(servers, "far.pid")).isdecimal()
            assert await said(servers, "far.environment")
        await at.log_in()
        assert at.books.wished == ["tools", "tools admin write", "tools admin write"]


async def test_what_is_not_given_is_told_and_nobody_is_sent_in_circles(tmp_path: Path) -> None:
    async with place(tmp_path, Books(grants=["tools"]), wants={"pid": "write"}) as at:
        await at.log_in()
        async with fleet(at) as servers:
            await refusal(servers, "far.pid")
            status, told = await at.log_in_by_program()
            assert (status, told) == (0, "logged in at far, but it was not given write, which the server has wanted\n")
            assert await said(servers, "far.echo", text="hi") == "hi"
            assert WISH in await refusal(servers, "far.pid")
            assert at.books.wished == ["tools", "tools write"]


async def test_a_server_that_never_is_content_is_given_up(tmp_path: Path) -> None:
    async with place(tmp_path, Books(grants=["less"]), wants={"": "more"}) as at:
        with pytest.raises(NotLoggedIn, match="it is not content with the new login: it wants more"):
            await at.log_in()
        assert at.books.wished == ["more"]
        at.books.grants = None
        await at.log_in()
        assert at.login().tokens["scope"] == "more"


async def test_a_server_that_is_open_but_for_some_calls_works_for_everybody_and_those_are_told(tmp_path: Path) -> None:
    async with place(tmp_path, wants={"pid": "write"}, is_open=True) as at, fleet(at) as servers:
        assert await said(servers, "far.echo", text="hi") == "hi"
        wish = "it wants a login: `woollama login far`"
        assert wish in await refusal(servers, "far.pid")
        assert (health(servers, "far").health, health(servers, "far").login_wanted) == ("ready", wish)
        assert await said(servers, "far.echo", text="ho") == "ho"
        assert await at.log_in_by_program() == (0, "logged in at far\n")
        assert set(at.books.wished[0].split()) == {"write", "tools"}
        assert (await said(servers, "far.pid")).isdecimal()


async def test_a_login_at_such_a_server_needs_no_call_before(tmp_path: Path) -> None:
    async with place(tmp_path, wants={"pid": "tools"}, is_open=True) as at:
        await at.log_in()
        async with fleet(at) as servers:
            assert (await said(servers, "far.pid")).isdecimal()


async def test_logging_out_forgets_what_was_wanted(tmp_path: Path) -> None:
    async with place(tmp_path, wants={"pid": "write"}) as at:
        await at.log_in()
        async with fleet(at) as servers:
            await refusal(servers, "far.pid")
        assert await at.ended("logout", "far") == (0, "logged out of far\n")
        await at.log_in()
        assert at.books.wished == ["tools", "tools"]


async def test_scopes_that_a_server_makes_up_are_bounded_and_in_oauths_own_spelling(tmp_path: Path) -> None:
    absurd = " ".join([*(f"scope{number}" for number in range(1000)), "x" * 500])
    async with place(tmp_path, wants={"pid": absurd}) as at:
        await at.log_in()
        async with fleet(at) as servers:
            told = await refusal(servers, "far.pid")
            assert "scope62" in told
            assert "scope64" not in told
            wanted = at.logins.of("far", at.far.url).wanted
            assert wanted is not None
            assert len(wanted.scope.split()) == 64
            assert wanted.scope.startswith("tools scope0")


async def test_a_denied_step_up_keeps_the_login_that_there_is(tmp_path: Path) -> None:
    async with place(tmp_path, wants={"pid": "write"}) as at:
        await at.log_in()
        async with fleet(at) as servers:
            await refusal(servers, "far.pid")
            with pytest.raises(NotLoggedIn, match="the login was denied"):
                await at.log_in(lambda url: browse(f"{url}&as=no"))
            assert await said(servers, "far.echo", text="hi") == "hi"
            assert health(servers, "far").login_wanted == WISH


class AtHost:
    """A person at an MCP host that opens links, and what they do with one."""

    def __init__(self, action: str = "accept", browses: bool = True) -> None:
        self.shown: list[Mapping[str, Any]] = []
        self._browsing: set[asyncio.Task[None]] = set()
        self._action = action
        self._browses = browses
        capabilities = {"elicitation": {"form": {}, "url": {}}}
        self.context = ToolContext(INTERNAL, host=Host(None, capabilities, ask=self.ask, log=self.log))

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        assert method == "elicitation/create"
        self.shown.append(params)
        if self._browses:
            task = asyncio.create_task(browse(params["url"]))
            self._browsing.add(task)
            task.add_done_callback(self._browsing.discard)
        return {"action": self._action}

    async def log(self, params: Mapping[str, Any]) -> None: ...


async def test_a_host_that_opens_links_shows_the_page_in_the_middle_of_the_call(tmp_path: Path) -> None:
    async with place(tmp_path, wants={"pid": "write"}) as at:
        await at.log_in()
        async with fleet(at) as servers:
            person = AtHost()
            both = (said(servers, "far.pid", person.context) for _ in range(2))
            assert all(each.isdecimal() for each in await asyncio.gather(*both))
            (asked,) = person.shown
            assert asked["message"] == "far: it wants a login that also allows write"
            assert asked["url"].startswith(at.far.url.removesuffix("/mcp"))
            assert at.books.wished == ["tools", "tools write"]
            assert health(servers, "far").login_wanted is None


@pytest.mark.parametrize("action", ["accept", "decline"])
async def test_a_page_that_is_declined_or_of_no_use_is_shown_once(tmp_path: Path, action: str) -> None:
    async with place(tmp_path, Books(grants=["tools"]), wants={"pid": "write"}) as at:
        await at.log_in()
        async with fleet(at) as servers:
            person = AtHost(action, browses=action == "accept")
            for _ in range(3):
                outcome = await call(servers, "far.pid", person.context)
                assert isinstance(outcome, Returned)
                assert WISH in outcome.for_model()
                assert outcome.refusal is None
            assert len(person.shown) == 1
            assert await said(servers, "far.echo", text="hi") == "hi"


async def test_who_leaves_while_the_page_is_shown_leaves_nothing_open(tmp_path: Path) -> None:
    async with place(tmp_path, wants={"pid": "write"}) as at:
        await at.log_in()
        async with fleet(at) as servers:
            person = AtHost(browses=False)
            leaving = asyncio.create_task(call(servers, "far.pid", person.context))

            async def shown() -> bool:
                return bool(person.shown)

            await until(shown)
            back = httpx2.URL(httpx2.URL(person.shown[0]["url"]).params["redirect_uri"])
            leaving.cancel()
            await asyncio.wait({leaving})

            async def is_closed() -> bool:
                async with httpx2.AsyncClient(trust_env=False) as browser:
                    try:
                        await browser.get(back)
                    except httpx2.ConnectError:
                        return True
                return False

            await until(is_closed)
