"""Nothing is left behind, whoever dies in whatever way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.processes.nasty import FORMS
from tests.processes.watching import ENVIRONMENT, PATIENCE_S, Deaths, Lines, settled, spawn_nasty
from woollama.processes.children import Supervisor

ROOT = Path(__file__).parents[2]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with Supervisor() as running:
        yield running


@pytest.mark.parametrize("form", FORMS)
async def test_stopping_a_child_ends_all_that_it_started(supervisor: Supervisor, form: str) -> None:
    lines = Lines()
    child = await spawn_nasty(supervisor, form, lines)
    deaths = Deaths(await lines.pids(FORMS[form]))
    await child.stop()
    await deaths.all()
    assert supervisor.children == ()


@pytest.mark.parametrize("form", FORMS)
async def test_what_a_dead_leader_leaves_is_ended(supervisor: Supervisor, form: str) -> None:
    lines = Lines()
    child = await spawn_nasty(supervisor, form, lines)
    deaths = Deaths(await lines.pids(FORMS[form]))
    os.kill(child.pid, signal.SIGKILL)
    await asyncio.wait_for(child.closed.wait(), PATIENCE_S)
    assert child.exit_code == -signal.SIGKILL
    await deaths.all()


async def test_closing_the_supervisor_ends_every_child_at_once(supervisor: Supervisor) -> None:
    lines = Lines()
    for form in FORMS:
        await spawn_nasty(supervisor, form, lines)
    assert supervisor.pid
    deaths = Deaths([*await lines.pids(sum(FORMS.values())), supervisor.pid])
    await supervisor.close()
    await deaths.all()


async def test_a_killed_supervisor_takes_every_child_along_and_is_replaced(supervisor: Supervisor) -> None:
    lines = Lines()
    children = [await spawn_nasty(supervisor, form, lines) for form in FORMS]
    deaths = Deaths(await lines.pids(sum(FORMS.values())))
    killed = supervisor.pid
    assert killed
    os.kill(killed, signal.SIGKILL)
    for child in children:
        await asyncio.wait_for(child.closed.wait(), PATIENCE_S)
    await deaths.all()

    child = await spawn_nasty(supervisor, "stubborn", Lines())
    assert supervisor.pid != killed
    assert supervisor.children == (child,)


@pytest.mark.parametrize("form", FORMS)
async def test_a_killed_keeper_leaves_nothing(supervisor: Supervisor, form: str) -> None:
    lines = Lines()
    child = await spawn_nasty(supervisor, form, lines)
    neighbour = await spawn_nasty(supervisor, "stubborn", Lines())
    deaths = Deaths(await lines.pids(FORMS[form]))
    keeper = parent_of(child.pid)
    assert keeper not in (os.getpid(), supervisor.pid)
    os.kill(keeper, signal.SIGKILL)
    await asyncio.wait_for(child.closed.wait(), PATIENCE_S)
    await deaths.all()
    assert supervisor.children == (neighbour,)


@asynccontextmanager
async def daemon_to_kill(*argv: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """The daemon and the lines that it told."""
    daemon = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.processes.daemon", *argv),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert daemon.stdout
    lines: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while "ready" not in lines:
            lines.append((await daemon.stdout.readline()).decode().strip())
            assert lines[-1], "the daemon ended at its start"
    assert len(settled(lines)) == sum(FORMS.values())
    try:
        yield daemon, lines
    finally:
        with suppress(ProcessLookupError):
            daemon.kill()
        await daemon.communicate()


def told(lines: list[str], what: str) -> int:
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("also_the_supervisor", [False, True])
async def test_a_killed_daemon_leaves_nothing(how: signal.Signals, also_the_supervisor: bool) -> None:
    async with daemon_to_kill() as (daemon, lines):
        supervisor = told(lines, "supervisor ")
        deaths = Deaths([*settled(lines), supervisor])
        daemon.send_signal(how)
        if also_the_supervisor:
            os.kill(supervisor, signal.SIGKILL)
        await deaths.all()


async def test_a_killed_daemon_leaves_nothing_though_a_fork_of_it_holds_its_sockets() -> None:
    async with daemon_to_kill("copied") as (daemon, lines):
        deaths = Deaths([*settled(lines), told(lines, "supervisor ")])
        daemon.send_signal(signal.SIGKILL)
        try:
            await deaths.all()
        finally:
            os.kill(told(lines, "copy "), signal.SIGKILL)


async def test_a_leader_dies_even_if_its_keeper_and_the_supervisor_die_together(supervisor: Supervisor) -> None:
    lines = Lines()
    child = await spawn_nasty(supervisor, "stubborn", lines)
    deaths = Deaths(await lines.pids(1))
    keeper = parent_of(child.pid)
    assert supervisor.pid
    os.kill(supervisor.pid, signal.SIGSTOP)  # it cannot clean up after the keeper
    os.kill(keeper, signal.SIGKILL)
    os.kill(supervisor.pid, signal.SIGKILL)
    await deaths.all()


async def test_without_the_help_of_linux_the_leaders_group_is_ended() -> None:
    lines = Lines()
    async with Supervisor(reduced=True) as supervisor:
        child = await spawn_nasty(supervisor, "shell", lines)
        deaths = Deaths([child.pid, *await lines.pids(FORMS["shell"])])
        await child.stop()
        await deaths.all()

        child = await spawn_nasty(supervisor, "orphan", lines := Lines())
        deaths = Deaths([child.pid, *await lines.pids(FORMS["orphan"])])
        os.kill(child.pid, signal.SIGKILL)
        await deaths.all()


async def test_a_group_wide_signal_does_not_end_the_supervisor(supervisor: Supervisor) -> None:
    child = await spawn_nasty(supervisor, "stubborn", lines := Lines())
    await lines.pids(1)
    assert supervisor.pid
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(supervisor.pid, signum)
    second = await spawn_nasty(supervisor, "stubborn", Lines())
    assert set(supervisor.children) == {child, second}
