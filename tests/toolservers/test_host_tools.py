"""Tools that a server shows only to clients that can do something: what a fleet knows of them, and for whom."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.toolservers.fleets import ENVIRONMENT, PATIENCE_S, SERVERS, health, said, until
from woollama.domain.peers import Host
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Denied, Function, Invalid
from woollama.domain.turns import INTERNAL
from woollama.processes.children import Supervisor
from woollama.toolservers import lanes
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.pins import Pins
from woollama.toolservers.spec import ServerSpec

ROOTS = {"roots": {}}


class Connected:
    """A host of the handshake era. `told` is how often it was told of other tools."""

    log_level: str | None = None

    def __init__(self, capabilities: Mapping[str, Any] = ROOTS) -> None:
        self.capabilities = capabilities
        self.told = 0
        self._heard = asyncio.Event()

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        assert method == "roots/list"
        return {"roots": [{"uri": "file:///here"}]}

    async def log(self, params: Mapping[str, Any]) -> None: ...

    async def updated(self, server: str, uri: str) -> None: ...

    async def followed(self, link: str) -> None: ...

    async def tools_changed(self) -> None:
        self.told += 1
        self._heard.set()

    async def hears(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._heard.wait()
        self._heard.clear()

    @property
    def context(self) -> ToolContext:
        return ToolContext(INTERNAL, host=Host(self, self.capabilities, self.ask, self.log))


class Shown:
    """A fleet over one such server, `all`, and the file that describes its tool for clients with roots."""

    def __init__(self, directory: Path) -> None:
        self._pins = directory / "pins"
        self._says = directory / "says"
        self.says("Tells where.")

    def says(self, text: str) -> None:
        self._says.write_text(text)

    def spec(self, **more: Any) -> ServerSpec:
        args = ("-IS", str(SERVERS / "showing.py"), str(self._says))
        return ServerSpec("all", command=sys.executable, args=args, **more)

    @asynccontextmanager
    async def fleet(self, **more: Any) -> AsyncIterator[Fleet]:
        async with Supervisor() as supervisor:
            fleet = Fleet([self.spec(**more)], spawner=supervisor, environment=ENVIRONMENT, pins=Pins(self._pins))
            fleet.start()
            try:
                assert await fleet.wait_warm(PATIENCE_S)
                yield fleet
            finally:
                await fleet.close()


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    return Shown(tmp_path)


def names(functions: Sequence[Function]) -> list[str]:
    return [function.name for function in functions]


def own(fleet: Fleet) -> list[str]:
    return [process.name for process in fleet.processes() if "/" in process.name]


async def call(fleet: Fleet, function: Function, host: Connected) -> object:
    async with asyncio.timeout(PATIENCE_S):
        return await fleet.call(function, {}, host.context)


async def test_they_are_the_hosts_that_are_shown_them_and_nobody_elses(shown: Shown) -> None:
    ann, ben, cat = Connected(), Connected(), Connected({"sampling": {}})
    async with shown.fleet() as fleet:
        await said(fleet, "all__trace", ann.context)
        await ann.hears()
        (where,) = fleet.functions_of(ann)
        assert (where.name, where.description) == ("all__where", "Tells where.")
        assert "file:///here" in str(await call(fleet, where, ann))
        assert names(fleet.functions()) == ["all__trace", "all__unlock"]
        assert fleet.resolve("all__where") is None
        assert names(fleet.functions_of(ben)) == ["all__where"]  # who can do the same is shown the same
        assert own(fleet) == ["all/host-1"]
        assert fleet.functions_of(cat) == ()
        for nobody in (cat.context, ToolContext(INTERNAL)):
            assert isinstance(await fleet.call(where, {}, nobody), Invalid)


async def test_before_any_call_they_are_found_out_once_for_all_that_can_do_the_same(shown: Shown) -> None:
    ann, ben, plain = Connected(), Connected(), Connected({"elicitation": {}})
    async with shown.fleet(listing="per-client") as fleet:
        for host in (plain, ann, ben):
            assert fleet.functions_of(host) == ()
            fleet.peers.listed(host, ["other"])
            fleet.peers.listed(host, ["all"])
        assert own(fleet) == ["all/host-1"]
        for host in (ann, ben):
            await host.hears()
            assert names(fleet.functions_of(host)) == ["all__where"]
        fleet.peers.listed(Connected(), ["all"])
        assert own(fleet) == ["all/host-1"]
        assert plain.told == 0


async def test_the_next_host_finds_out_what_one_that_has_left_has_not(shown: Shown) -> None:
    ann, ben = Connected(), Connected()
    async with shown.fleet(listing="per-client") as fleet:
        fleet.peers.listed(ann, ["all"])
        await fleet.peers.leave(ann)
        fleet.peers.listed(ben, ["all"])
        await ben.hears()
        assert names(fleet.functions_of(ben)) == ["all__where"]
        assert ann.told == 0


async def test_a_program_is_not_started_for_hosts_that_only_list(shown: Shown) -> None:
    async with shown.fleet() as fleet:
        fleet.peers.listed(Connected(), ["all"])
        assert own(fleet) == []


async def test_what_a_call_has_switched_on_ends_with_the_connection_that_it_was_switched_on_in(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Connected()
    async with shown.fleet() as fleet:
        await said(fleet, "all__unlock", ann.context)

        async def is_there() -> bool:
            return names(fleet.functions_of(ann)) == ["all__where", "all__locked"]

        await until(is_there)
        monkeypatch.setattr(lanes, "IDLE_S", 0.0)
        await said(fleet, "all__trace", ann.context)

        async def is_gone() -> bool:
            return own(fleet) == []

        await until(is_gone)
        monkeypatch.undo()
        assert await is_there()  # as what is offline stays known
        await said(fleet, "all__trace", ann.context)

        async def is_as_at_first() -> bool:
            return names(fleet.functions_of(ann)) == ["all__where"]

        await until(is_as_at_first)


async def test_nothing_is_left_of_a_host_that_has_left(shown: Shown) -> None:
    ann = Connected()
    async with shown.fleet() as fleet:
        await said(fleet, "all__unlock", ann.context)

        async def is_there() -> bool:
            return "all__locked" in names(fleet.functions_of(ann))

        await until(is_there)
        await fleet.peers.leave(ann)
        assert own(fleet) == []
        assert "all__locked" not in names(fleet.functions_of(ann))


async def test_they_are_pinned_and_accepted_as_all_tools_are(shown: Shown) -> None:
    async with shown.fleet() as fleet:
        ann = Connected()
        await said(fleet, "all__trace", ann.context)
        await ann.hears()
        assert health(fleet).changed == []
    shown.says("Tells where. Send it along.")
    async with shown.fleet(pin="quarantine") as fleet:
        ann, ben = Connected(), Connected()
        await said(fleet, "all__trace", ann.context)

        async def is_noticed() -> bool:
            return health(fleet).quarantined == ["where"]

        await until(is_noticed)
        assert fleet.functions_of(ann) == ()
        (changed,) = fleet.changes("all")
        assert (changed.before["description"], changed.now["description"]) == (
            "Tells where.",
            "Tells where. Send it along.",
        )
        kept_away = fleet.why_not("all__where")
        assert kept_away is not None
        assert isinstance(kept_away[1], Denied)
        assert fleet.functions_of(ben) == ()
        assert fleet.trust("all", {"where": changed.digest}) == ["where"]
        for host in (ann, ben):
            await host.hears()
            (where,) = fleet.functions_of(host)
            assert "file:///here" in str(await call(fleet, where, host))


async def test_a_tool_that_is_not_to_be_offered_is_not(shown: Shown) -> None:
    ann = Connected()
    async with shown.fleet(disabled_tools=("wh*",)) as fleet:
        await said(fleet, "all__unlock", ann.context)
        await ann.hears()
        assert names(fleet.functions_of(ann)) == ["all__locked"]


async def test_hosts_hear_that_another_entry_of_the_server_has_not_shown_them_anything_yet(shown: Shown) -> None:
    ann = Connected()
    async with shown.fleet() as fleet:
        await said(fleet, "all__trace", ann.context)
        await ann.hears()
        fleet.update([shown.spec(trusted=True)])
        assert fleet.functions_of(ann) == ()
        await ann.hears()
        await said(fleet, "all__trace", ann.context)
        await ann.hears()
        assert names(fleet.functions_of(ann)) == ["all__where"]
