"""Tool servers that die, restart, forget us, or never come up; and what a call meets meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest

from tests.processes.watching import Deaths
from tests.toolservers.fleets import (
    PATIENCE_S,
    SERVERS,
    HttpServer,
    call,
    fleet_of,
    health,
    said,
    script,
    tiny,
    until,
    until_health,
)
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Offline, Returned, Tool
from woollama.domain.turns import INTERNAL
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.spec import ServerSpec

TINY = SERVERS / "tiny.py"


Era = Literal["handshake", "modern"]
IN_EACH_WAY = pytest.mark.parametrize(
    ("http", "era"), [("http", "handshake"), ("http", "modern"), ("sse", "handshake")], indirect=["http"]
)


@pytest.fixture
async def http(request: pytest.FixtureRequest) -> AsyncIterator[HttpServer]:
    server = HttpServer(getattr(request, "param", "http"))
    await server.start()
    yield server
    await server.close()


async def pid(fleet: Fleet) -> int:
    return int((await said(fleet, "all__pid")).split()[0])


async def restarted(fleet: Fleet, attempts: int = 2) -> None:
    async def again_ready() -> bool:
        return health(fleet).attempts >= attempts and health(fleet).health == "ready"

    await until(again_ready)


async def test_a_killed_server_is_noticed_while_idle_and_comes_back() -> None:
    async with fleet_of(tiny()) as fleet:
        first = await pid(fleet)
        os.kill(first, signal.SIGKILL)
        await restarted(fleet)
        assert await pid(fleet) != first
        assert len(fleet.tools()) == 6


async def test_a_call_right_after_a_kill_waits_for_the_restart() -> None:
    async with fleet_of(tiny()) as fleet:
        first = await pid(fleet)
        os.kill(first, signal.SIGKILL)
        assert await pid(fleet) != first


async def test_a_call_during_which_the_server_dies_is_not_repeated_blindly() -> None:
    async with fleet_of(tiny()) as fleet:
        outcome = await call(fleet, "all__die")
        assert isinstance(outcome, Returned)
        assert outcome.is_error
        assert "what it did is unknown" in outcome.for_model()
        await restarted(fleet)
        assert health(fleet).attempts == 2


async def test_a_read_only_call_during_which_the_server_dies_is_made_again(tmp_path: Path) -> None:
    async with fleet_of(tiny()) as fleet:
        assert await said(fleet, "all__die_once", marker=str(tmp_path / "died")) == "alive"


async def test_a_death_fails_every_call_in_flight_at_once() -> None:
    async with fleet_of(tiny()) as fleet:
        waiting = [asyncio.create_task(call(fleet, "all__wait", key=str(n))) for n in range(5)]

        async def all_wait() -> bool:
            return "5 waiting" in await said(fleet, "all__pid")

        await until(all_wait)
        os.kill(await pid(fleet), signal.SIGKILL)
        for outcome in await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S):
            assert "what it did is unknown" in outcome.for_model()


async def test_a_missing_command_is_down_with_its_reason_and_its_neighbours_are_ready() -> None:
    async with fleet_of(ServerSpec("ghost", command="no-such-command"), tiny()) as fleet:
        assert health(fleet).health == "ready"
        ghost = health(fleet, "ghost")
        assert (ghost.health, ghost.tools) == ("down", 0)
        assert ghost.last_error == "spawn failed: No such file or directory: no-such-command"
        known = fleet.why_not("ghost__walk")
        assert known is not None
        assert known == (Tool("ghost", "walk", {}), Offline(f"server 'ghost' is down: {ghost.last_error}"))
        assert fleet.why_not("ghostly") is None
        assert fleet.why_not(f"{health(fleet).name}__nothing") is None
        assert repr(fleet) == (
            "<Fleet 1 up, 1 down: 'ghost' (spawn failed: No such file or directory: no-such-command)>"
        )


async def test_the_same_reason_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with fleet_of(ServerSpec("ghost", command="no-such-command")) as fleet:
        async with asyncio.timeout(PATIENCE_S):
            while health(fleet, "ghost").attempts < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    told = [record for record in caplog.records if record.message.startswith("ghost: ")]
    assert [record.levelname for record in told if record.levelno >= logging.WARNING] == ["WARNING"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys; sys.exit('no configuration found')", "exited with code 1: no configuration found"),
        ("import sys; sys.stdin.close(); import signal; signal.pause()", "no answer within 0.5 s of its start"),
        ("print('I am no server'); import time; open(0).read()", "no answer within 0.5 s of its start"),
        ("import os; os.close(1); import signal; signal.pause()", "closed its output"),
    ],
)
async def test_a_server_that_never_comes_up_says_why_and_delays_nobody(source: str, reason: str) -> None:
    start_timeout_s = 0.5 if "within 0.5 s" in reason else PATIENCE_S
    async with fleet_of(script("broken", source, start_timeout_s=start_timeout_s), tiny()) as fleet:
        assert health(fleet).health == "ready"
        assert reason in str(health(fleet, "broken").last_error)


async def test_nothing_waits_for_a_server_that_starts() -> None:
    async with fleet_of(tiny(), warm=False) as fleet:
        assert fleet.functions() == ()
        assert repr(fleet) == "<Fleet 0 up, 1 starting>"
        assert not await fleet.wait_warm(0)
        assert await fleet.wait_warm(PATIENCE_S)
        assert await said(fleet, "all__echo", text="up") == "up"


async def test_a_server_that_is_down_keeps_its_tools_and_explains_itself(http: HttpServer) -> None:
    async with fleet_of(http.spec()) as fleet:
        await http.kill()
        await until_health(fleet, "down")
        assert len(fleet.tools()) == 15
        outcome = await call(fleet, "all__echo", text="?")
        assert isinstance(outcome, Offline)
        assert f"cannot connect to 127.0.0.1:{http.port}" in outcome.why


@IN_EACH_WAY
async def test_an_http_server_that_was_restarted_heals(http: HttpServer, era: Era) -> None:
    async with fleet_of(http.spec(era=era)) as fleet:
        first = await said(fleet, "all__pid")
        await http.kill()
        await http.start()
        assert await said(fleet, "all__pid") != first


@IN_EACH_WAY
async def test_a_dead_http_server_is_noticed_while_idle(http: HttpServer, era: Era) -> None:
    async with fleet_of(http.spec(era=era)) as fleet:
        await http.kill()
        await until_health(fleet, "down")
        await http.start()
        await until_health(fleet, "ready")
        assert await said(fleet, "all__echo", text="back") == "back"


@IN_EACH_WAY
async def test_an_http_server_that_dies_during_a_call_fails_that_call_only(http: HttpServer, era: Era) -> None:
    async with fleet_of(http.spec(era=era)) as fleet:
        waiting = asyncio.create_task(call(fleet, "all__wait", key="x"))

        async def waits() -> bool:
            return "waiting x" in await said(fleet, "all__trace")

        await until(waits)
        await http.kill()
        outcome = await asyncio.wait_for(waiting, PATIENCE_S)
        assert isinstance(outcome, Returned)
        assert "what it did is unknown" in outcome.for_model()
        await http.start()
        assert await said(fleet, "all__echo", text="again") == "again"


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_an_address_where_nobody_listens_is_down_and_comes_up_later(transport: Literal["http", "sse"]) -> None:
    server = HttpServer(transport)
    async with fleet_of(server.spec()) as fleet:
        assert "cannot connect" in str(health(fleet).last_error)
        await server.start()
        await until_health(fleet, "ready")
        await server.close()


async def test_a_server_that_ignores_everything_is_gone_after_close(caplog: pytest.LogCaptureFixture) -> None:
    source = (
        "import os, signal, sys\n"
        "for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE): signal.signal(s, signal.SIG_IGN)\n"
        "sys.stderr.write(f'pid {os.getpid()}\\n'), sys.stderr.flush()\n"
        "while True: signal.pause()\n"
    )
    caplog.set_level(logging.DEBUG)
    async with fleet_of(script("stubborn", source), warm=False):

        async def told() -> bool:
            return "stubborn: pid " in caplog.text

        await until(told)
        (line,) = (message for message in caplog.messages if message.startswith("stubborn: pid "))
        deaths = Deaths([int(line.split()[-1])])
    await deaths.all()


async def test_closing_answers_whoever_waits_for_a_server() -> None:
    async with fleet_of(tiny()) as fleet:
        os.kill(await pid(fleet), signal.SIGKILL)
        waiting = asyncio.create_task(call(fleet, "all__echo", text="?"))
        await asyncio.sleep(0)
        await fleet.close()
        assert isinstance(await asyncio.wait_for(waiting, PATIENCE_S), Offline)


async def test_nothing_leaks_over_twenty_lives() -> None:
    async with fleet_of(tiny(era="handshake")) as fleet:

        async def life() -> None:
            attempts = health(fleet).attempts
            os.kill(await pid(fleet), signal.SIGKILL)
            await restarted(fleet, attempts + 1)

        await life()
        before = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
        fleet._servers["all"]._pauses.failures = -20  # deaths in a row would be followed by ever longer pauses
        for _ in range(20):
            await life()

        async def none_more() -> bool:
            return (len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())) <= before

        await until(none_more)


async def test_a_call_on_a_server_that_does_not_come_back_in_time_says_so(tmp_path: Path) -> None:
    once = f"test -e {tmp_path}/began && exec sleep 60; touch {tmp_path}/began; exec '{sys.executable}' -IS '{TINY}'"
    async with fleet_of(ServerSpec("all", command="/bin/sh", args=("-c", once), era="handshake")) as fleet:
        os.kill(await pid(fleet), signal.SIGKILL)
        await until_health(fleet, "starting")
        outcome = await call(fleet, "all__echo", ToolContext(INTERNAL, timeout_s=0.05), text="?")
        assert outcome == Offline("its server is still starting")
        assert len(fleet.tools()) == 6
