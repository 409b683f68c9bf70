"""A command on a terminal of its own, typed at and read as a person would."""

from __future__ import annotations

import codecs
import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.cli.conftest import Home

PATIENCE_S = 60.0
"""Only a failing test ever waits this long."""


class Terminal:
    """`until` waits for what appears, `type` presses keys, `rest` reads to the end. `seen` is everything so far."""

    def __init__(self, home: Home, *args: str, program: Sequence[str] = (), **environ: str) -> None:
        self._master, slave = pty.openpty()
        os.set_inheritable(slave, True)
        # A shell's child: in a session of its own, with this terminal as the one that Ctrl-C comes from.
        adopt = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        run = program or (sys.executable, "-m", "woollama")
        adopted = f"{adopt} os.execvp(sys.argv[1], sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", adopted, *run, *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**home.environ, "TERM": "dumb", **environ},
            cwd=home.directory,
        )
        os.close(slave)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.seen = ""
        self._read_up_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=PATIENCE_S)
        os.close(self._master)

    def type(self, keys: str) -> None:
        """As a person types: when nothing moves any more.

        A Ctrl-C after a prompt has been written and before Python's readline waits for keys is noticed only at the
        next key.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not self._is_waiting() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.write(self._master, keys.encode())

    def _is_waiting(self) -> bool:
        """Whether the command sleeps; true where a system does not tell."""
        try:
            status = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return True
        return status.rpartition(")")[2].split()[0] in "SZ"

    def until(self, text: str) -> str:
        """All that appeared since the last time, up to and with `text`."""
        while (found := self.seen.find(text, self._read_up_to)) < 0:
            if not self._read():
                raise AssertionError(f"{text!r} never appeared in {self.seen!r}")
        end = found + len(text)
        piece, self._read_up_to = self.seen[self._read_up_to : end], end
        return piece

    def rest(self) -> str:
        """All that appears until the command has ended."""
        while self._read():
            pass
        self.process.wait(timeout=PATIENCE_S)
        piece, self._read_up_to = self.seen[self._read_up_to :], len(self.seen)
        return piece

    def _read(self) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        ready, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
        if not ready:
            raise AssertionError(f"nothing more came after {self.seen!r}")
        piece = b""
        with contextlib.suppress(OSError):  # Linux tells the end of a terminal as an error
            piece = os.read(self._master, 65536)
        self.seen += self._decoder.decode(piece).replace("\r", "")
        return bool(piece)
