"""Completion in real shells: commands, options, and the names that the running daemon has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import FakeDaemon, Home
from tests.cli.terminal import Terminal
from woollama.cli import COMMANDS

MODELS = ["woollama/demo", "woollama/dozer", "fast", "ollama/qwen3:14b", "ollama/qwen3:8b"]


@pytest.fixture
def shells(home: Home, daemon: FakeDaemon) -> Home:
    """A home in which `woollama` can be called by its name."""
    data = [{"id": name, "owned_by": name.split("/")[0] if "/" in name else "woollama"} for name in MODELS]
    daemon.answers["/v1/models"] = (200, {"data": data})
    tools = [{"name": "clock.now", "server": "clock", "tool": "now", "description": "Tell\tthe time"}]
    daemon.answers["/v1/tools"] = (200, {"data": tools, "servers": [{"name": "clock", "health": "ready"}]})
    home.environ["PATH"] = f"{Path(sys.executable).parent}:{home.environ['PATH']}"
    return home


CASES = [
    ("woollama ", [*COMMANDS]),
    ("woollama st", ["stats", "status"]),
    ("woollama status --", ["--help", "--json"]),
    ("woollama chat ", MODELS),
    ("woollama chat wool", ["woollama/demo", "woollama/dozer"]),
    ("woollama run ollama/qwen3:", ["ollama/qwen3:14b", "ollama/qwen3:8b"]),
    ("woollama run ollama/qwen3:1", ["ollama/qwen3:14b"]),
    ("woollama chat --recipe d", ["demo", "dozer"]),
    ("woollama chat --recipe=de", ["--recipe=demo"]),
    ("woollama chat --var x=1 --recipe de", ["demo"]),
    ("woollama recipe ", ["add", "list", "remove", "show"]),
    ("woollama recipe remove ", ["demo", "dozer"]),
    ("woollama recipe add x --inf", ["--inferencer"]),
    ("woollama alias remove ", ["fast"]),
    ("woollama tools --server ", ["clock"]),
    ("woollama recipe add x --tool cl", ["clock.now"]),
    ("woollama completion ", ["bash", "fish", "zsh"]),
]


def in_bash(home: Home, *lines: str) -> list[list[str]]:
    """What bash would put in the place of each line's last word, which ends at a colon or an equals sign."""
    script = """
eval "$(woollama completion bash)"
for COMP_LINE in "$@"; do
    COMP_POINT=${#COMP_LINE}
    _woollama 2>/dev/null
    printf '%s\n' "${COMPREPLY[@]}" ==
done
"""
    return by_line(home, ["bash", "--norc", "-c", script, "bash", *lines])


def in_fish(home: Home, *lines: str) -> list[list[str]]:
    script = "woollama completion fish | source; for line in $argv; complete -C $line; echo ==; end"
    return by_line(home, ["fish", "--no-config", "-c", script, *lines])


def by_line(home: Home, command: list[str]) -> list[list[str]]:
    finished = subprocess.run(
        command,
        env=home.environ,
        cwd=home.runtime,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    offered: list[list[str]] = [[]]
    for line in filter(None, finished.stdout.splitlines()):
        if line == "==":
            offered.append([])
        else:
            offered[-1].append(line.split("\t")[0])
    return [sorted(each) for each in offered[:-1]]


def test_bash_is_offered_what_fits(shells: Home) -> None:
    wanted = []
    for line, offered in CASES:
        word = line.split(" ")[-1]
        cut = max(word.rfind(":"), word.rfind("=")) + 1
        wanted.append((line, sorted(each[cut:] for each in offered)))
    lines = [line for line, _ in CASES]
    assert list(zip(lines, in_bash(shells, *lines), strict=True)) == wanted


def test_without_a_daemon_there_are_no_names_and_no_noise(home: Home) -> None:
    home.environ["PATH"] = f"{Path(sys.executable).parent}:{home.environ['PATH']}"
    assert in_bash(home, "woollama chat ") == [[]]
    asked = home.woollama("completion", "words", text="chat\n\n")
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "", "")


def test_fish_is_offered_what_fits(shells: Home) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    lines = [line for line, _ in CASES]
    wanted = [(line, sorted(offered)) for line, offered in CASES]
    assert list(zip(lines, in_fish(shells, *lines), strict=True)) == wanted


def test_zsh_completes_at_its_prompt(shells: Home) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    (shells.directory / ".zshrc").write_text(
        'autoload -Uz compinit && compinit -u\neval "$(woollama completion zsh)"\nPS1=READY\n'
    )
    with Terminal(shells, program=("zsh", "-i"), TERM="dumb") as terminal:
        terminal.until("READY")
        terminal.type("woollama chat --recipe de\t\x01echo \n")
        assert terminal.until("\nwoollama chat --recipe demo")
        terminal.type("woollama run ollama/qwen3:1\t\x01echo \n")
        assert terminal.until("\nwoollama run ollama/qwen3:14b")
