"""What tests of tool servers share: a fleet over real servers, HTTP servers to start and kill, bounded waits."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from tests.ports import OwnPort
from woollama.domain.messages import Answer, Ask
from woollama.domain.ports import ServerHealth, ToolContext
from woollama.domain.tools import Returned, ToolOutcome
from woollama.domain.turns import INTERNAL
from woollama.processes.children import Supervisor
from woollama.processes.environment import private_environment
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.spec import ServerSpec

SERVERS = Path(__file__).with_name("servers")
EVERYTHING = SERVERS / "everything.py"
ENVIRONMENT = private_environment(os.environ)
PATIENCE_S = 60.0
QUIET = ToolContext(INTERNAL)


def over_stdio(name: str = "all", **more: Any) -> ServerSpec:
    return ServerSpec(name, command=sys.executable, args=("-I", str(EVERYTHING), "stdio"), **more)


def tiny(name: str = "all", **more: Any) -> ServerSpec:
    return ServerSpec(name, command=sys.executable, **{"args": ("-IS", str(SERVERS / "tiny.py")), **more})


def script(name: str, source: str, **more: Any) -> ServerSpec:
    return ServerSpec(name, command=sys.executable, args=("-IS", "-c", source), **more)


@asynccontextmanager
async def fleet_of(*specs: ServerSpec, warm: bool = True) -> AsyncIterator[Fleet]:
    async with Supervisor() as supervisor:
        fleet = Fleet(specs, spawner=supervisor, environment=ENVIRONMENT)
        fleet.start()
        try:
            if warm:
                assert await fleet.wait_warm(PATIENCE_S)
            yield fleet
        finally:
            await fleet.close()


async def call(fleet: Fleet, name: str, context: ToolContext = QUIET, /, **arguments: Any) -> ToolOutcome:
    function = fleet.resolve(name)
    assert function, f"no {name} in {[f.name for f in fleet.functions()]}"
    async with asyncio.timeout(PATIENCE_S):
        return await fleet.call(function, arguments, context)


async def said(fleet: Fleet, name: str, context: ToolContext = QUIET, /, **arguments: Any) -> str:
    outcome = await call(fleet, name, context, **arguments)
    assert isinstance(outcome, Returned), outcome
    assert not outcome.is_error, outcome
    return outcome.for_model()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Asks again and again, giving way in between; every question costs at least a turn of the event loop."""
    async with asyncio.timeout(PATIENCE_S):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def health(fleet: Fleet, name: str = "all") -> ServerHealth:
    return next(each for each in fleet.health() if each.name == name)


async def until_health(fleet: Fleet, wanted: str, name: str = "all") -> ServerHealth:
    async def reached() -> bool:
        return health(fleet, name).health == wanted

    await until(reached)
    return health(fleet, name)


class Lost:
    """Hears why a connection is lost."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self._why = ""

    def __call__(self, why: str) -> None:
        self._why = why
        self._told.set()

    async def why(self, patience_s: float) -> str:
        async with asyncio.timeout(patience_s):
            await self._told.wait()
        return self._why


class Person:
    """Answers what is asked, and remembers it."""

    def __init__(self, answer: str | None = "blue") -> None:
        self.asked: list[Ask] = []
        self._answer = answer

    async def ask(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        return Answer(ask.id, self._answer is not None, {"answer": self._answer} if self._answer else None)


class HttpServer:
    """The test server over HTTP on a port that stays its own, to be killed and started again, and to be closed."""

    def __init__(self, transport: Literal["http", "sse"] = "http") -> None:
        self.transport = transport
        self._own = OwnPort()
        self.port = self._own.number
        self._process: asyncio.subprocess.Process | None = None

    def spec(self, name: str = "all", **more: Any) -> ServerSpec:
        path = "mcp" if self.transport == "http" else "sse/"
        return ServerSpec(name, transport=self.transport, url=f"http://127.0.0.1:{self.port}/{path}", **more)

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(EVERYTHING), self.transport, str(self.port)),
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE_S):
            assert await self._process.stdout.readline() == b"serving\n"

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()
            self._process = None

    async def close(self) -> None:
        await self.kill()
        self._own.close()
