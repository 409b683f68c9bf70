"""What a child is given, and what is heard of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.processes.watching import ENVIRONMENT, PATIENCE_S, Deaths, Lines
from woollama.processes.children import Supervisor
from woollama.processes.environment import private_environment


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with Supervisor() as running:
        yield running


def python(source: str) -> list[str]:
    return [sys.executable, "-IS", "-c", source]


async def test_a_child_reads_and_writes(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(["cat"], env=ENVIRONMENT, pipes=True)
    assert child.writer
    assert child.reader
    sent = b"x" * 3_000_000 + b"\n"
    child.writer.write(sent)
    assert await asyncio.wait_for(child.reader.readexactly(len(sent)), PATIENCE_S) == sent
    child.writer.close()
    await asyncio.wait_for(child.closed.wait(), PATIENCE_S)
    assert child.exit_code == 0
    assert await child.reader.read() == b""


async def test_a_child_has_exactly_the_environment_and_three_descriptors(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-children")
    source = (
        "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir('/proc/self/fd')]), flush=True)"
    )
    neighbour = await supervisor.spawn(["cat"], env=ENVIRONMENT, pipes=True)
    child = await supervisor.spawn(python(source), env={"A": "ä", "LC_ALL": "C.UTF-8"}, cwd=str(tmp_path), pipes=True)
    assert child.reader
    env, cwd, fds = json.loads(await asyncio.wait_for(child.reader.readline(), PATIENCE_S))
    assert env == {"A": "ä", "LC_ALL": "C.UTF-8"}
    assert cwd == str(tmp_path)
    assert sorted(fds) == ["0", "1", "2", "3"]  # 3 is the listing of the directory itself
    assert not neighbour.closed.is_set()


def test_the_private_environment_knows_no_key() -> None:
    ours = {"PATH": "/bin", "HOME": "/h", "LC_TIME": "C", "ANTHROPIC_API_KEY": "k", "AWS_PROFILE": "p"}
    assert private_environment(ours) == {"PATH": "/bin", "HOME": "/h", "LC_TIME": "C"}


async def test_lines_of_stderr_are_logged_and_long_ones_come_in_pieces(supervisor: Supervisor) -> None:
    source = "import sys; sys.stderr.write('one\\r\\n' + 'x' * 100_000 + '\\nlast'); sys.stderr.flush()"
    lines = Lines()
    await supervisor.spawn(python(source), env=ENVIRONMENT, log_line=lines)
    seen = await lines.until(lambda seen: seen[-1:] == ["last"])
    assert seen[0] == "one"
    assert "".join(seen[1:-1]) == "x" * 100_000
    assert max(map(len, seen)) <= 2 * 8192


async def test_without_pipes_stdin_is_empty_and_stdout_is_logged(supervisor: Supervisor) -> None:
    lines = Lines()
    child = await supervisor.spawn(python("print([open(0).read()])"), env=ENVIRONMENT, log_line=lines)
    assert (child.reader, child.writer) == (None, None)
    assert await lines.until(bool) == ["['']"]


@pytest.mark.parametrize(
    ("argv", "cwd", "error"),
    [
        (["there-is-no-such-command"], None, FileNotFoundError),
        (["/"], None, PermissionError),
        (["cat"], "/there/is/no/such/directory", FileNotFoundError),
    ],
)
async def test_what_cannot_be_run_says_why(
    supervisor: Supervisor, argv: list[str], cwd: str | None, error: type[OSError]
) -> None:
    with pytest.raises(error) as caught:
        await supervisor.spawn(argv, env=ENVIRONMENT, cwd=cwd)
    assert argv[0] in str(caught.value) or "no/such/directory" in str(caught.value)
    assert supervisor.children == ()


async def test_an_exit_code_is_told(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(python("raise SystemExit(3)"), env=ENVIRONMENT)
    await asyncio.wait_for(child.closed.wait(), PATIENCE_S)
    assert (child.exit_code, child.ending) == (3, "exited with code 3")


async def test_the_output_of_a_dead_leader_ends_though_a_leftover_holds_it_open(supervisor: Supervisor) -> None:
    source = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    sys.stderr.write(f'pid {os.getpid()}\\n'), sys.stderr.flush()\n"
        "    signal.pause()\n"
        "print('last words', flush=True)\n"
        "sys.stdin.read(1)\n"
    )
    lines = Lines()
    child = await supervisor.spawn(python(source), env=ENVIRONMENT, pipes=True, grace_s=60, log_line=lines)
    (leftover,) = await lines.pids(1)
    assert child.reader
    assert child.writer
    child.writer.close()
    assert await asyncio.wait_for(child.reader.read(), PATIENCE_S) == b"last words\n"
    os.kill(leftover, signal.SIGKILL)


async def test_the_program_meets_default_signals(supervisor: Supervisor) -> None:
    child = await supervisor.spawn(["sleep", "60"], env=ENVIRONMENT)
    os.kill(child.pid, signal.SIGPIPE)
    await asyncio.wait_for(child.closed.wait(), PATIENCE_S)
    assert child.ending == f"was killed by signal {int(signal.SIGPIPE)}"


async def test_a_cancelled_spawn_leaves_nothing(supervisor: Supervisor) -> None:
    before = set(os.listdir("/proc/self/fd"))
    for turns in range(12):
        task = asyncio.create_task(supervisor.spawn(["sleep", "60"], env=ENVIRONMENT, grace_s=0))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():  # so late that it had begun
            await task.result().stop()
    assert supervisor.children == ()
    assert supervisor.pid
    deaths = Deaths([supervisor.pid])
    await supervisor.close()
    await deaths.all()
    assert set(os.listdir("/proc/self/fd")) < before


async def test_nothing_leaks_over_twenty_cycles(supervisor: Supervisor) -> None:
    async def cycle() -> None:
        child = await supervisor.spawn(["cat"], env=ENVIRONMENT, pipes=True)
        await child.stop()

    await cycle()

    def open_files() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{supervisor.pid}/fd"))

    ours, theirs = open_files()
    for _ in range(20):
        await cycle()
    async with asyncio.timeout(PATIENCE_S):
        # The supervisor may be reading /proc at the moment, which is an open file more.
        while any(now > before for now, before in zip(open_files(), (ours, theirs), strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_closed_supervisor_spawns_nothing_and_can_be_started_again(supervisor: Supervisor) -> None:
    await supervisor.close()
    with pytest.raises(ChildProcessError):
        await supervisor.spawn(["cat"], env=ENVIRONMENT)
    await supervisor.start()
    child = await supervisor.spawn(["cat"], env=ENVIRONMENT, pipes=True, name="cat")
    assert repr(child) == f"<Child 'cat' pid {child.pid}>"
    assert repr(supervisor) == f"<Supervisor pid {supervisor.pid}, 1 children>"
