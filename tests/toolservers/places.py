"""A tool server that wants logins, the authorization server (on Authlib) that gives them, and woollama's own place."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from tests.toolservers.authorization import SCOPE, Books, application
from tests.toolservers.fleets import ENVIRONMENT, PATIENCE_S
from tests.toolservers.guarded import Guarded, guarded
from woollama.observe import Scrubber
from woollama.processes.children import Supervisor
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.logging_in import log_in
from woollama.toolservers.logins import Login, Logins, OwnClient
from woollama.toolservers.spec import ServerSpec

ANYBODY = OwnClient()
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # its word for loopback without TLS


@dataclass
class Place:
    far: Guarded
    books: Books
    directory: Path

    @property
    def environ(self) -> dict[str, str]:
        own = {"WOOLLAMA_STATE_DIR": str(self.directory / "state"), "WOOLLAMA_CONFIG_DIR": str(self.directory)}
        return {**os.environ, "HOME": str(self.directory), **own}

    @property
    def logins(self) -> Logins:
        return Logins(self.directory / "state" / "logins")

    def login(self) -> Login:
        login = self.logins.of("far", self.far.url).read()
        assert login is not None
        return login

    def configure(self, **more: Any) -> None:
        servers = {"far": {"url": self.far.url, **more}, "here": {"command": "true"}}
        (self.directory / "mcp.json").write_text(json.dumps({"mcpServers": servers}))

    async def run(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "woollama", *words),
            env=self.environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def ended(self, *words: str) -> tuple[int | None, str]:
        return await over(await self.run(*words))

    async def log_in(self, answer: Any = None, client: OwnClient = ANYBODY) -> Sequence[str]:
        """`answer` is the browser: given the address, it goes where it is sent."""
        browsers: list[asyncio.Task[None]] = []
        try:
            file = self.logins.of("far", self.far.url)
            show = lambda url: browsers.append(asyncio.create_task((answer or browse)(url)))  # noqa: E731
            return await log_in(file, client, show, PATIENCE_S)
        finally:
            await asyncio.gather(*browsers)

    async def log_in_by_program(self) -> tuple[int | None, str]:
        process = await self.run("login", "far", "--no-browser", "--timeout", "60s")
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while line := (await process.stderr.readline()).decode():
                if line.startswith("http"):
                    await browse(line.strip())
        return await over(process)


async def over(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    return process.returncode, (out + err).decode()


async def browse(url: str) -> None:
    async with httpx2.AsyncClient(follow_redirects=True, trust_env=False, timeout=60) as browser:
        assert "This page can be closed" in (await browser.get(url)).text


@asynccontextmanager
async def place(
    directory: Path,
    books: Books | None = None,
    let_in: int = 0,
    wants: Mapping[str, str] | None = None,
    is_open: bool = False,
    **more: Any,
) -> AsyncIterator[Place]:
    """`let_in`: so many requests are let in without a login. `wants`: the scopes that calls of some tools want. Where
    it `is_open`, only those want a login."""
    books, without, wants = books or Books(), iter(range(let_in)), wants or {}

    def door(headers: Mapping[str, str]) -> tuple[int, dict[str, str], str] | None:
        bearer, tool = headers.get("authorization", ""), headers.get("mcp-name", "")
        wanted = wants.get(tool, "" if is_open else SCOPE)
        if next(without, None) is not None or not wanted:
            return None
        if not books.accepts(bearer):
            return 401, {"www-authenticate": f'Bearer scope="{wanted}"' if tool in wants else "Bearer"}, ""
        if tool in wants and not set(wanted.split()) <= books.allows(bearer):
            return 403, {"www-authenticate": f'Bearer error="insufficient_scope", scope="{wanted}"'}, ""
        return None

    async with guarded(door, application(books, **more)) as far:
        at = Place(far, books, directory)
        at.configure()
        yield at


@asynccontextmanager
async def fleet(at: Place, scrubber: Scrubber | None = None) -> AsyncIterator[Fleet]:
    logins = Logins(at.directory / "state" / "logins", (scrubber or Scrubber()).add)
    spec = ServerSpec("far", transport="http", url=at.far.url)
    async with Supervisor() as supervisor:
        fleet = Fleet([spec], spawner=supervisor, environment=ENVIRONMENT, logins=logins)
        fleet.start()
        try:
            assert await fleet.wait_warm(PATIENCE_S)
            yield fleet
        finally:
            await fleet.close()


def expire(at: Place) -> None:
    """As time would."""
    file = at.logins.of("far", at.far.url)
    file.write(replace(at.login(), expires_at=time.time() - 1))
