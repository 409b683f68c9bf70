"""`woollama compress` as a shell uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (
    "\n".join(
        f"10:{i // 60 % 60:02d}:{i % 60:02d} INFO stored object {i * 7919 % 9973} in {i % 41} ms" for i in range(3000)
    )
    + "\n"
)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


class Shell:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        own = {"WOOLLAMA_STATE_DIR": str(directory / "state"), "WOOLLAMA_CONFIG_DIR": str(directory)}
        self.environ = {**os.environ, **own}

    def settings(self, text: str) -> None:
        (self.directory / "woollama.toml").write_text(f"[compression]\n{text}\n")

    def __call__(self, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "woollama", "compress", *words]
        return subprocess.run(
            command, input=given, capture_output=True, env=self.environ, cwd=self.directory, check=False
        )


def test_a_file_becomes_smaller_and_is_had_back(shell: Shell) -> None:
    (shell.directory / "log").write_text(TEXT)
    made = shell("--stats", "--query", "object 17", "log")
    assert made.returncode == 0
    assert len(made.stdout) < len(TEXT) / 4
    said, had_back = made.stderr.decode().splitlines()
    assert "% saved, estimate), auto by log_compressor: selective, " in said
    assert shell(*had_back.split()[2:]).stdout == TEXT.encode()
    assert shell(*had_back.split()[2:], "--lines", "2-3").stdout.decode() == "\n".join(TEXT.split("\n")[1:3])


def test_lossless_passes_through_a_pipe_and_back(shell: Shell) -> None:
    given = TEXT.encode() + b"\xff\xfe name that is no UTF-8\r\n"
    made = shell("--level", "lossless", given=given)
    assert len(made.stdout) < len(given)
    assert shell("--restore", given=made.stdout).stdout == given


def test_a_ref_that_was_never_given_out_is_told(shell: Shell) -> None:
    found = shell("--retrieve", "0" * 32)
    assert (found.returncode, found.stdout) == (1, b"")
    assert b"nothing is stored under" in found.stderr


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("enabled = false", "off: disabled"),
        ("inject_retrieval_marker = false", "lossless, nothing may be left out"),
        ("originals = 1", "lossless, the original could not be stored"),
        ('exclude_tools = ["ci.*"]', "off: excluded tool"),
        ('tools = { "ci.log" = "lossless" }', "lossless by log_compressor: lossless, "),
        ("auto_above_tokens = 1000000", "lossless by log_compressor: lossless, "),
    ],
)
def test_it_is_done_as_the_configuration_says(shell: Shell, setting: str, reason: str) -> None:
    shell.settings(setting)
    made = shell("--stats", "--tool", "ci.log", given=TEXT.encode())
    assert reason in made.stderr.decode()
    assert shell("--restore", given=made.stdout).stdout == TEXT.encode()


def test_a_setting_that_cannot_be_read_is_told(shell: Shell) -> None:
    shell.settings('enabled = "perhaps"')
    made = shell(given=TEXT.encode())
    assert made.returncode == 0
    assert "compression.enabled" in made.stderr.decode()
    shell.settings("enabled = ")
    unread = shell(given=TEXT.encode())
    assert (unread.returncode, unread.stdout) == (1, b"")
    assert "woollama.toml:2" in unread.stderr.decode()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--level", "most"], 2, "invalid choice: 'most'"),
        (["--lines", "1-2"], 2, "--lines asks for a part of what --retrieve gives"),
        (["nowhere.txt"], 1, "nowhere.txt: No such file or directory"),
        (["--retrieve", "x", "--restore"], 2, "not allowed with argument"),
    ],
)
def test_wrong_arguments_are_told(shell: Shell, words: list[str], code: int, said: str) -> None:
    found = shell(*words)
    assert (found.returncode, found.stdout) == (code, b"")
    assert said in found.stderr.decode()


def test_a_scorer_that_is_not_there_is_told_at_the_start(shell: Shell) -> None:
    shell.settings('scorer = "nowhere:Scorer"')
    environ = {**shell.environ, "XDG_RUNTIME_DIR": str(shell.directory)}
    command = [sys.executable, "-m", "woollama", "serve"]
    found = subprocess.run(command, capture_output=True, env=environ, text=True, check=False)
    assert found.returncode == 1
    assert "compression.scorer: 'nowhere:Scorer' is none of bm25, embedding, hybrid, and not found" in found.stderr
    assert "Traceback" not in found.stderr
