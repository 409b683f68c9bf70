"""A program that is run for each question: what it is given, and when it ends."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.processes.living import is_alive
from tests.surfaces.mcp_server.hosts import until
from woollama.domain.messages import Answer, Ask
from woollama.processes.notify import Notifier

ASK = Ask("ask_1", "call_1", "git", "push", "{}", preview='git.push is to be confirmed. Call it with "$(id) `id` <a>"?')
WRITE = "import json, os, sys; json.dump([sys.argv[2:], dict(os.environ)], open(sys.argv[1] + '.new', 'w'));"
RENAME = "os.replace(sys.argv[1] + '.new', sys.argv[1]);"
WAIT = "import time; time.sleep(600)"


async def written(file: Path) -> tuple[list[str], dict[str, str]]:
    await until(file.exists)
    arguments, environ = json.loads(await asyncio.to_thread(file.read_bytes))
    return arguments, environ


async def test_the_program_is_given_texts_and_no_shell_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "told.json"
    notifier = Notifier([sys.executable, "-c", WRITE + RENAME, str(file), "--icon=x"], {"DISPLAY": ":0"})
    notifier.see(ASK, None)
    arguments, environ = await written(file)
    await notifier.close()
    text = 'git.push is to be confirmed. Call it with "$(id) `id` ‹a›"?'
    assert arguments == ["--icon=x", "Yes or no: git.push", text]
    assert environ["DISPLAY"] == ":0"
    assert environ["WOOLLAMA_APPROVAL"] == "ask_1"


@pytest.mark.parametrize("way", ["answered", "closed"])
async def test_the_program_ends_with_the_question(tmp_path: Path, way: str) -> None:
    file = tmp_path / "told.json"
    pid_and_wait = WRITE.replace("dict(os.environ)", "{'pid': str(os.getpid())}") + RENAME + WAIT
    notifier = Notifier([sys.executable, "-c", pid_and_wait, str(file)], {})
    notifier.see(ASK, None)
    _, told = await written(file)
    if way == "answered":
        notifier.see(ASK, Answer("ask_1", True))
    else:
        await notifier.close()
    await until(lambda: not is_alive(int(told["pid"])))


async def test_a_program_that_is_not_there_is_told_once_and_prevents_nothing(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(["/nonexistent/notify"], {})
    for number in range(2):
        notifier.see(Ask(f"ask_{number}", "", "s", "t", "{}"), None)
        await asyncio.wait(notifier._running.values())
    assert caplog.text.count("/nonexistent/notify cannot be run") == 1
