"""A refresh token is good for one use, and there are many who have it: calls that leave, other processes, logins."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from tests.toolservers.fleets import PATIENCE_S, call, health, said, until
from tests.toolservers.places import Place, expire, fleet, place
from woollama.domain.tools import ToolOutcome
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.logging_in import log_out

ASKING = """
import asyncio, sys
from pathlib import Path

from woollama.toolservers.authorised import AuthorisedWire
from woollama.toolservers.logins import Logins
from woollama.toolservers.spec import ServerSpec
from woollama.toolservers.wire import Failed

async def main(url, directory):
    file = Logins(Path(directory)).of("far", url)
    wire = AuthorisedWire(ServerSpec("far", transport="http", url=url), file)
    print("here", flush=True)
    while sys.stdin.readline():
        try:
            async with wire.exchange(wire.request("POST", {"content-type": "application/json"}, b"{}")) as answer:
                print(answer.status, flush=True)
        except Failed as error:
            print(f"{type(error).__name__}: {error}", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""
"""Another woollama, as far as the login goes: makes a request for each line, and says what came of it."""


class Other:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def hear(self) -> str:
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE_S):
            return (await self._process.stdout.readline()).decode().strip()

    def ask(self) -> None:
        assert self._process.stdin
        self._process.stdin.write(b"\n")


@asynccontextmanager
async def other(at: Place) -> AsyncIterator[Other]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ASKING, at.far.url, str(at.directory / "state" / "logins")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        asking = Other(process)
        assert await asking.hear() == "here"
        yield asking
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def until_renewing(at: Place, count: int = 1) -> None:
    async def reached() -> bool:
        return len(at.books.of_grant("refresh_token")) == count

    await until(reached)


async def test_of_processes_that_renew_at_once_one_does_and_all_go_on(tmp_path: Path) -> None:
    async with place(tmp_path) as at, AsyncExitStack() as running:
        await at.log_in()
        others = [await running.enter_async_context(other(at)) for _ in range(3)]
        for renewed in (1, 2, 3):
            expire(at)
            at.books.renews.clear()
            for each in others:
                each.ask()
            await until_renewing(at, renewed)
            at.books.renews.set()
            answers = [await each.hear() for each in others]
            # The server has no use for these requests, but lets them in.
            assert all(answer.isdecimal() and answer != "401" for answer in answers), answers
            assert len(at.books.of_grant("refresh_token")) == renewed
        assert [token.revoked for token in at.books.tokens] == [True, True, True, False]


async def test_who_renews_and_dies_in_its_middle_keeps_nobody_out(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        expire(at)
        at.books.renews.clear()
        async with other(at) as dying:
            dying.ask()
            await until_renewing(at)
        async with other(at) as next_one:
            next_one.ask()
            await until_renewing(at, 2)
            at.books.renews.set()
            await next_one.hear()


@asynccontextmanager
async def renewing(at: Place) -> AsyncIterator[tuple[Fleet, asyncio.Task[ToolOutcome]]]:
    """A call that waits for its login to be renewed, which goes on with `at.books.renews`."""
    async with fleet(at) as servers:
        expire(at)
        at.books.renews.clear()
        asking = asyncio.create_task(call(servers, "far.echo", text="hi"))
        await until_renewing(at)
        yield servers, asking


async def test_a_call_that_leaves_while_its_login_is_renewed_does_not_lose_it(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        before = at.login()
        async with renewing(at) as (servers, leaving):
            leaving.cancel()
            await asyncio.wait({leaving})
            at.books.renews.set()
            assert await said(servers, "far.echo", text="ho") == "ho"
            assert at.login().tokens["refresh_token"] != before.tokens["refresh_token"]
            assert len(at.books.of_grant("refresh_token")) == 1


async def test_a_daemon_that_ends_while_it_renews_keeps_what_it_is_given(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        async with renewing(at) as (servers, asking):
            closing = asyncio.create_task(servers.close())
            await asyncio.sleep(0)
            at.books.renews.set()
            await closing
            await asyncio.wait({asking})
        assert at.login().tokens["access_token"] == at.books.tokens[-1].access_token
        assert not at.books.tokens[-1].revoked


async def test_what_is_renewed_is_not_written_over_a_new_login_or_after_a_logout(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        async with renewing(at) as (servers, asking):
            logging_in = asyncio.create_task(at.log_in())

            async def exchanged() -> bool:
                return len(at.books.of_grant("authorization_code")) == 2

            await until(exchanged)
            at.books.renews.set()
            await asyncio.wait({asking, logging_in})
            _, new, _ = at.books.tokens  # the third was given to whoever renewed the first
            assert at.login().tokens["access_token"] == new.access_token
            expire(at)
            at.books.renews.clear()
            asking = asyncio.create_task(call(servers, "far.echo", text="hi"))
            await until_renewing(at, 2)
            file = at.logins.of("far", at.far.url)
            logging_out = asyncio.create_task(log_out(file))
            await asyncio.sleep(0)
            at.books.renews.set()
            assert await logging_out
            await asyncio.wait({asking})
            assert file.stamp() is None
            assert at.books.tokens[-1].revoked


async def test_a_login_that_is_no_login_is_none(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        await at.log_in()
        (kept,) = (tmp_path / "state" / "logins").iterdir()
        whole = json.loads(kept.read_text())
        for broken in ({"tokens": ["x"]}, {"tokens": {}}, {"expires_at": "soon"}, {"client": None}, {"more": 1}):
            kept.write_text(json.dumps({**whole, **broken}))
            assert at.logins.of("far", at.far.url).read() is None
        unusable = {"expires_at": 1.0, "client": {"client_id": 7}}
        kept.write_text(json.dumps({**whole, **unusable}))
        async with fleet(at) as servers:
            assert health(servers, "far").last_error == "its login cannot be renewed: `woollama login far`"
        await at.log_in()
        assert at.login().tokens["access_token"] in {token.access_token for token in at.books.tokens}
