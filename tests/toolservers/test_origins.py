"""A yes is for a tool at one address: whoever sits at another one later has to be said yes to anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.toolservers.fleets import ENVIRONMENT, PATIENCE_S, Person, until
from tests.toolservers.guarded import guarded
from woollama.core.approvals import Approvals
from woollama.core.approved import Approved
from woollama.core.policy import Policy
from woollama.core.remembered import Remembered, subject_of
from woollama.domain.messages import Answer, Ask
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Denied, Returned, ToolOutcome
from woollama.domain.turns import INTERNAL
from woollama.processes.children import Supervisor
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.spec import ServerSpec


def at(url: str) -> ServerSpec:
    return ServerSpec("far", transport="http", url=url)


class Owner:
    """Says yes to everything, for good."""

    def __init__(self, file: Path) -> None:
        self.asked: list[Ask] = []
        self._remembered = Remembered(file)
        self._approvals = Approvals(self._remembered)

    async def ask(self, ask: Ask) -> Answer:
        if (known := self._approvals.known(ask)) is not None:
            return known
        self.asked.append(ask)
        self._remembered.remember(subject_of(ask), True)
        return Answer(ask.id, True)


async def release(fleet: Fleet, owner: Owner | Person) -> ToolOutcome:
    function = fleet.resolve("far.release")
    assert function is not None
    box = Approved(fleet, Policy())
    async with asyncio.timeout(PATIENCE_S):
        return await box.call(function, {"key": "any"}, ToolContext(INTERNAL, asker=owner))


async def test_an_entry_whose_address_changes_is_asked_about_anew_from_the_start(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "approvals.json")
    async with guarded() as first, guarded() as second, Supervisor() as supervisor:
        fleet = Fleet([at(first.url)], spawner=supervisor, environment=ENVIRONMENT)
        fleet.start()
        try:
            assert await fleet.wait_warm(PATIENCE_S)
            for _ in range(2):
                assert isinstance(await release(fleet, owner), Returned)
            assert len(owner.asked) == 1
            offered = fleet.resolve("far.release")
            assert offered is not None
            fleet.update([at(second.url)])
            # At once: what there is to be at the new address is as yet only expected.
            moved = await fleet.call(offered, {"key": "any"}, ToolContext(INTERNAL))
            assert isinstance(moved, Denied), moved
            assert isinstance(await release(fleet, owner), Returned)
            assert len(owner.asked) == 2
            assert len({ask.tool_digest for ask in owner.asked}) == 2
            assert first.url not in repr(fleet.tools())
            fleet.update([at(first.url)])
            assert isinstance(await release(fleet, owner), Returned)
            assert len(owner.asked) == 3  # the last answer is the one that is remembered
        finally:
            await fleet.close()


async def test_a_yes_that_comes_when_the_address_is_another_one_by_now_is_for_nobody(tmp_path: Path) -> None:
    async with guarded() as first, guarded() as second, Supervisor() as supervisor:
        fleet = Fleet([at(first.url)], spawner=supervisor, environment=ENVIRONMENT)
        fleet.start()

        class Slow(Person):
            async def ask(self, ask: Ask) -> Answer:
                fleet.update([at(second.url)])
                return await super().ask(ask)

        try:
            assert await fleet.wait_warm(PATIENCE_S)
            outcome = await release(fleet, Slow())
            assert isinstance(outcome, Denied), outcome
            assert "what was allowed there does not count" in outcome.for_model()

            async def moved() -> bool:
                return bool(second.requests)

            await until(moved)
        finally:
            await fleet.close()
