"""Arguments are read before anything is touched: help, versions and mistakes start nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Home
from woollama import __version__
from woollama.cli import COMMANDS

HEAVY = {"fastapi", "starlette", "uvicorn", "httpx", "httpx2", "mcp", "anthropic", "pydantic", "jsonschema", "asyncio"}


def test_help_tells_of_every_command_and_starts_nothing(home: Home) -> None:
    finished = home.woollama("--help")
    assert finished.returncode == 0
    for command in COMMANDS:
        assert f"\n    {command} " in finished.stdout
    assert list(home.runtime.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(home: Home, command: str) -> None:
    finished = home.woollama(command, "--help")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith(f"usage: woollama {command}")
    assert list(home.runtime.iterdir()) == []


def test_the_version_is_told(home: Home) -> None:
    assert home.woollama("--version").stdout == f"woollama {__version__}\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["serv"], "there is no command 'serv'; did you mean 'serve'?"),
        (["xyzzy"], "there is no command 'xyzzy'\n"),
        (["serve", "--hartbeat", "3s"], "there is no argument '--hartbeat'; did you mean '--heartbeat'?"),
        (["serve", "--heart=3s"], "there is no argument '--heart=3s'; did you mean '--heartbeat'?"),
        (["--hepl"], "there is no argument '--hepl'; did you mean '--help'?"),
        (["serve", "now"], "there is no argument 'now'"),
        (["serve", "--heartbeat", "often"], "argument --heartbeat: must be a duration such as 500ms"),
        (["serve", "--max-body-bytes", "-1"], "argument --max-body-bytes"),
        (["serve", "--address", "http://x"], "argument --address: must be HOST:PORT"),
        (["run"], "the following arguments are required: RECIPE"),
        (["run", "demo", "hi", "--var", "x"], "argument --var: must be NAME=VALUE"),
        (["status", "--jsn"], "did you mean '--json'?"),
        (["alias", "ad"], "woollama alias: there is no command 'ad'; did you mean 'add'?"),
        (["alias"], "woollama alias: the following arguments are required: ACTION"),
        (["alias", "list", "--jsn"], "woollama alias list: there is no argument '--jsn'; did you mean '--json'?"),
        (["chat", "--recip", "x"], "did you mean '--recipe'?"),
        (["chat", "a", "--recipe", "b"], "not allowed with"),
        (["recipe", "add", "x"], "required: --inferencer"),
        (["env", "--shell", "ksh93"], "argument --shell: invalid choice"),
    ],
)
def test_a_mistake_exits_with_2_and_a_hint_and_starts_nothing(home: Home, words: list[str], hint: str) -> None:
    finished = home.woollama(*words)
    assert finished.returncode == 2
    assert hint in finished.stderr
    assert finished.stdout == ""
    assert list(home.runtime.iterdir()) == []


@pytest.mark.parametrize("command", [["check"], ["completion", "bash"]])
def test_output_that_cannot_be_written_is_told_and_no_defect(home: Home, command: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "woollama", *command]
        done = subprocess.run(words, env=home.environ, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "woollama: the output cannot be written: No space left on device\n")


def test_a_parent_may_have_closed_the_standard_streams(home: Home) -> None:
    """What is opened then would get their numbers, and what is meant for them."""
    for closed in ("<&-", ">&-", "<&- >&- 2>&-"):
        words = ["sh", "-c", f'"{sys.executable}" -m woollama check {closed}']
        done = subprocess.run(words, env=home.environ, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_woollamad_is_woollama_serve(home: Home) -> None:
    program = "from woollama.cli import serve_main; raise SystemExit(serve_main())"
    finished = home.python("-c", program, "--hartbeat")
    assert finished.returncode == 2
    assert finished.stderr.startswith("woollama serve: there is no argument '--hartbeat'; did you mean '--heartbeat'?")


LIGHT = [
    *(["--help"], ["serv"], ["models"], ["tools"], ["status"], ["reload"], ["run", "demo", "hi"], ["chat", "demo"]),
    *(["chat", "--help"], ["alias", "list"], ["recipe", "list"], ["config"], ["init"], ["env"]),
    *(["completion", "bash"], ["completion", "words"]),
]
WITH_ASYNCIO = [["check"], ["alias", "add", "a", "ollama/b"]]
"""These look up names as the core does."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_the_modules_of_no_other(home: Home, command: str) -> None:
    program = "import sys; from woollama.cli import main; main(sys.argv[1:]); print('loaded:', *sys.modules)"
    loaded = home.python("-c", program, command, "--help").stdout.splitlines()[-1].split()
    assert {name for name in COMMANDS if f"woollama.cli.{name.replace('-', '_')}" in loaded} == {command}


@pytest.mark.parametrize("words", [*LIGHT, *WITH_ASYNCIO], ids=" ".join)
def test_what_does_not_serve_loads_nothing_heavy(home: Home, words: list[str]) -> None:
    heavy = HEAVY - {"asyncio"} if words in WITH_ASYNCIO else HEAVY
    program = (
        "import sys; from woollama.cli import main; main(sys.argv[1:]);"
        f" print('loaded:', *set(sys.modules) & {heavy!r})"
    )
    assert home.python("-c", program, *words).stdout.splitlines()[-1] == "loaded:"
