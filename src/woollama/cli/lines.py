"""Lines that somebody types, with editing and a history, or that come through a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TextIO

from woollama.cli.screen import complain

KEPT_LINES = 1000


def piped_lines(stream: TextIO) -> Iterator[str]:
    """Every line that says something; one that ends with a backslash goes on in the next."""
    held = ""
    for line in stream:
        held += line.rstrip("\n")
        if held.endswith("\\"):
            held = held[:-1] + "\n"
            continue
        if held.strip():
            yield held
        held = ""
    if held.strip():
        yield held


def typed_lines(prompt: str, history: Path) -> Iterator[str]:
    """What is typed at `prompt`, until Ctrl-D or two Ctrl-C without a line between them."""
    readline = _with_history(history)
    held, interrupted = "", False
    while True:
        try:
            line = _typed("… " if held else prompt)
        except EOFError:
            print(file=sys.stderr)
            return
        except KeyboardInterrupt:
            print(file=sys.stderr)
            if interrupted:
                return
            held, interrupted = "", True
            print("Ctrl-C again, or Ctrl-D, leaves", file=sys.stderr)
            continue
        interrupted = False
        held += line
        if held.endswith("\\"):
            held = held[:-1] + "\n"
            continue
        if held.strip():
            if readline is not None:
                _keep(held, history)
            yield held
        held = ""


def _typed(prompt: str) -> str:
    """The prompt belongs to the person, not into what the output is sent to."""
    if sys.stdout.isatty():
        return input(prompt)
    print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def _with_history(file: Path) -> ModuleType | None:
    """Line editing with the lines of earlier times; none where this Python was built without it."""
    try:
        import readline
    except ImportError:
        return None
    with suppress(OSError, UnicodeDecodeError):
        kept = file.read_text(encoding="utf-8").splitlines()
        for line in kept[-KEPT_LINES:]:
            readline.add_history(line)
        if len(kept) > 2 * KEPT_LINES:
            _rewrite(file, kept[-KEPT_LINES:])
    return readline


def _keep(line: str, file: Path) -> None:
    """At the end of the history, at once: a terminal that is closed takes nothing with it."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8") as opened:
            opened.write(" ".join(line.splitlines()) + "\n")
    except OSError as error:
        complain(f"the history is not kept: {file}: {error.strerror}")


def _rewrite(file: Path, lines: list[str]) -> None:
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.writelines(f"{line}\n" for line in lines)
    fresh.replace(file)
