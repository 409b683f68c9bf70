"""The sessions that hosts have of their own: when they end, and who makes room."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.toolservers.fleets import fleet_of, said, tiny, until
from woollama.domain.peers import Host
from woollama.domain.ports import ToolContext
from woollama.domain.turns import INTERNAL
from woollama.toolservers import lanes
from woollama.toolservers.fleet import Fleet


class Connected:
    """A host of the handshake era that can be asked for a model's answer."""

    capabilities: Mapping[str, Any] = {"sampling": {}}
    log_level: str | None = None

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError(method)

    async def log(self, params: Mapping[str, Any]) -> None: ...

    async def updated(self, server: str, uri: str) -> None: ...

    async def tools_changed(self) -> None: ...

    async def followed(self, link: str) -> None: ...

    @property
    def context(self) -> ToolContext:
        return ToolContext(INTERNAL, host=Host(self, self.capabilities, self.ask, self.log))


async def pid_for(fleet: Fleet, host: Connected) -> str:
    return (await said(fleet, "all__pid", host.context)).partition(" ")[0]


def own(fleet: Fleet) -> list[str]:
    return [process.name for process in fleet.processes() if "/" in process.name]


async def test_one_that_is_idle_ends_and_opens_anew_at_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Connected()
    async with fleet_of(tiny()) as fleet:
        first = await pid_for(fleet, host)
        assert await pid_for(fleet, host) == first
        monkeypatch.setattr(lanes, "IDLE_S", 0.0)
        second = await pid_for(fleet, host)  # it is still there, and from its end on it is idle
        assert second == first

        async def is_gone() -> bool:
            return own(fleet) == []

        await until(is_gone)
        monkeypatch.undo()
        assert await pid_for(fleet, host) != first
        assert own(fleet) == ["all/host-2"]


async def test_the_one_that_was_not_used_the_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lanes.MOST_OWN == 16
    monkeypatch.setattr(lanes, "MOST_OWN", 2)
    first, second, third = Connected(), Connected(), Connected()
    async with fleet_of(tiny()) as fleet:
        pids = [await pid_for(fleet, host) for host in (first, second, first, third)]
        assert pids[0] == pids[2]
        assert own(fleet) == ["all/host-1", "all/host-3"]
        assert await pid_for(fleet, first) == pids[0]
        assert await pid_for(fleet, second) != pids[1]
        assert own(fleet) == ["all/host-1", "all/host-4"]


async def test_one_in_use_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_OWN", 1)
    busy, other = Connected(), Connected()
    async with fleet_of(tiny()) as fleet:
        waiting = asyncio.create_task(said(fleet, "all__wait", busy.context))

        async def waits() -> bool:
            return own(fleet) == ["all/host-1"] and "1 waiting" in await said(fleet, "all__pid", busy.context)

        await until(waits)
        await pid_for(fleet, other)
        assert not waiting.done()
        assert own(fleet) == ["all/host-1", "all/host-2"]
        waiting.cancel()
