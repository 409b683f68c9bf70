"""`woollama approvals`: in a terminal, and for scripts, against a real daemon."""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Home
from tests.surfaces.mcp_server.hosts import PATIENCE_S, SHIPPED, server, until
from tests.surfaces.test_approvals import answer, chat, over_tcp, over_unix, pending, serving
from woollama.server import InProcess


@pytest.fixture(scope="module")
def running() -> Iterator[InProcess]:
    with serving({"all": server()}) as daemon_of_this_file:
        yield daemon_of_this_file


def environ(running: InProcess) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(running.unix_path.parent), "TERM": "dumb"}


async def woollama(running: InProcess, *words: str) -> subprocess.CompletedProcess[str]:
    """A command, in a process of its own, while the test's other tasks go on."""
    command = [sys.executable, "-m", "woollama", "approvals", *words]
    return await asyncio.to_thread(
        subprocess.run, command, env=environ(running), capture_output=True, text=True, timeout=PATIENCE_S
    )


class Terminal:
    """The live list in a pseudo-terminal."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "woollama", "approvals"]
        self.process = subprocess.Popen(command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.text = ""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    async def shows(self, wanted: str) -> str:
        """Everything that is new, once that is in it."""
        return await asyncio.to_thread(self._shows, wanted)

    def _shows(self, wanted: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self.text:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{wanted!r} is not in {self.text!r}"
            self.text += self._decoder.decode(os.read(self._ours, 4096))
        seen, _, self.text = self.text.partition(wanted)
        return seen + wanted

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@asynccontextmanager
async def terminal(environ: Mapping[str, str]) -> AsyncIterator[Terminal]:
    opened = Terminal(environ)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("key", "line", "said"),
    [("y", "all.count: approved", "counted to 3"), ("n", "all.count: denied", "denied by the user")],
)
async def test_a_key_answers(running: InProcess, key: str, line: str, said: str) -> None:
    async with over_tcp(running) as client, terminal(environ(running)) as screen:
        await screen.shows("nothing waits for a yes; q quits")
        asking = asyncio.create_task(chat(client))
        shown = await screen.shows("q quit")
        assert "all.count   (recipe careful, asked by python-httpx" in shown
        assert '"n": 3' in shown
        screen.type(key)
        await screen.shows(line)
        assert said in await asking
        screen.type("q")
        assert await asyncio.to_thread(screen.process.wait, PATIENCE_S) == 0


async def test_always_asks_no_more() -> None:
    with serving({"all": server()}) as running:
        async with over_tcp(running) as client, terminal(environ(running)) as screen:
            asking = asyncio.create_task(chat(client))
            await screen.shows("q quit")
            screen.type("a")
            await screen.shows("all.count: approved for good")
            assert "counted" in await asking
            assert "counted" in await chat(client)


async def test_what_is_answered_elsewhere_leaves_the_screen(running: InProcess) -> None:
    async with over_tcp(running) as client, over_unix(running) as person, terminal(environ(running)) as screen:
        asking = asyncio.create_task(chat(client))
        await screen.shows("q quit")
        (ask,) = await pending(person)
        await answer(person, ask, "deny")
        await screen.shows("this is over")
        await asking


async def test_a_form_is_filled_in_line_by_line(running: InProcess) -> None:
    async with over_tcp(running) as client, terminal(environ(running)) as screen:
        asking = asyncio.create_task(chat(client, "curious", "which colour?\u202e\x1b[2J"))
        shown = await screen.shows("y fill it in")
        assert "\\u202e" in shown
        assert "\x1b" not in shown
        screen.type("y")
        await screen.shows("answer: ")
        screen.type("blue\n")
        await screen.shows("all.ask: approved")
        assert "accept: blue" in await asking


async def test_the_end_of_the_daemon_is_told(home: Home) -> None:
    home.write("mcp.json", json.dumps({"mcpServers": {name: {"disabled": True} for name in SHIPPED}}))
    command = [sys.executable, "-m", "woollama", "serve", "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, env=home.environ, stderr=subprocess.DEVNULL) as daemon:  # noqa: ASYNC220
        try:
            await until((home.runtime / "woollama.addr").exists)
            async with terminal(home.environ) as screen:
                await screen.shows("nothing waits")
                daemon.terminate()
                await screen.shows("the daemon has ended")
                assert await asyncio.to_thread(screen.process.wait, PATIENCE_S) == 1
        finally:
            daemon.kill()


async def test_for_scripts_there_are_a_list_and_answers(running: InProcess) -> None:
    assert (await woollama(running, "list")).stdout == "nothing waits for a yes\n"
    async with over_tcp(running) as client, over_unix(running) as person:
        asking = asyncio.create_task(chat(client))
        (ask,) = await pending(person)
        listed = await woollama(running, "list")
        assert listed.stdout.startswith(f"{ask['id']}  all.count")
        assert json.loads((await woollama(running, "--json")).stdout)["data"][0]["id"] == ask["id"]
        done = await woollama(running, "approve", ask["id"][:8], "--remember", "conversation")
        assert (done.returncode, done.stdout) == (0, f"{ask['id']}: approved (once only: there is no conversation)\n")
        assert "counted" in await asking
        late = await woollama(running, "deny", ask["id"])
        assert (late.returncode, late.stdout) == (1, "")
        assert late.stderr == f"woollama: {ask['id']} is over: it was approved over unix (unix)\n"
    assert (await woollama(running, "approve")).returncode == 2
    assert (await woollama(running, "aprove", "x")).returncode == 2


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "woollama", "approvals", "list"],
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert finished.returncode == 1
    assert "woollama is not running" in finished.stderr
