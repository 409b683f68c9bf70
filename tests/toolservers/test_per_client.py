"""A server that keeps things for its client: everybody has one of their own."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.toolservers.fleets import PATIENCE_S, call, fleet_of, health, said, tiny, until
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Offline
from woollama.domain.turns import Caller, Scope
from woollama.toolservers import per_client
from woollama.toolservers.fleet import Fleet


def of(name: str = "aider", *, pid: int | None = None, token: str | None = None) -> ToolContext:
    return ToolContext(Caller(name, "unix", pid=pid, scope=Scope(token=token)))


async def pid_for(fleet: Fleet, context: ToolContext) -> str:
    return (await said(fleet, "all__pid", context)).partition(" ")[0]


def names(fleet: Fleet) -> list[str]:
    return [process.name for process in fleet.processes()]


async def test_each_client_has_a_process_of_its_own_and_keeps_it() -> None:
    async with fleet_of(tiny(sharing="per-client")) as fleet:
        assert names(fleet) == ["all"]  # nobody has called yet
        clients = [of("a"), of("b"), of("b", pid=1), of("c", pid=1), of("a", token="t"), of("d", token="t")]
        pids = [await pid_for(fleet, context) for context in clients]
        assert pids == [await pid_for(fleet, context) for context in clients]
        assert len(set(pids)) == 4
        assert (pids[2], pids[4]) == (pids[3], pids[5])  # one process, one token
        assert names(fleet) == ["all", "all/1", "all/2", "all/3", "all/4"]
        assert health(fleet).tools == len(fleet.functions())


async def test_a_shared_one_is_the_same_for_all() -> None:
    async with fleet_of(tiny()) as fleet:
        assert await pid_for(fleet, of("a")) == await pid_for(fleet, of("b"))


async def test_it_ends_when_its_client_has_ended_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_client, "LOOK_EVERY_S", 0.01)
    client = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    async with fleet_of(tiny(sharing="per-client")) as fleet:
        await pid_for(fleet, of(pid=client.pid))
        await pid_for(fleet, of("other"))
        await asyncio.wait_for(client.communicate(b"\n"), PATIENCE_S)

        async def is_gone() -> bool:
            return names(fleet) == ["all", "all/2"]

        await until(is_gone)


async def test_it_ends_when_it_is_idle_and_is_there_again_for_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fleet_of(tiny(sharing="per-client")) as fleet:
        monkeypatch.setattr(per_client, "LOOK_EVERY_S", 0.01)
        first = await pid_for(fleet, of())
        monkeypatch.setattr(per_client, "IDLE_S", 0.0)

        async def is_gone() -> bool:
            return names(fleet) == ["all"]

        await until(is_gone)
        monkeypatch.setattr(per_client, "IDLE_S", 600.0)
        assert await pid_for(fleet, of()) != first


async def test_the_one_that_was_idle_the_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_client, "MOST_CLIENTS", 2)
    async with fleet_of(tiny(sharing="per-client")) as fleet:
        for name in ("a", "b", "a", "c"):
            await pid_for(fleet, of(name))
        assert names(fleet) == ["all", "all/1", "all/3"]
        waiting = [asyncio.create_task(call(fleet, "all__wait", of(name))) for name in ("a", "c")]

        async def are_busy() -> bool:
            return all(own.server.is_busy for own in fleet._servers["all"]._of_clients.values())  # type: ignore[attr-defined]

        await until(are_busy)
        assert isinstance(await call(fleet, "all__pid", of("d")), Offline)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        await pid_for(fleet, of("d"))


async def test_one_that_dies_takes_nobody_elses_along() -> None:
    async with fleet_of(tiny(sharing="per-client")) as fleet:
        other = await pid_for(fleet, of("b"))
        await call(fleet, "all__die", of("a"))
        assert await pid_for(fleet, of("b")) == other
        assert await pid_for(fleet, of("a"))
