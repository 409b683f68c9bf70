"""The descriptors around a new child: our ends of its pipes, and the ends that go to the supervisor."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from io import FileIO


class Plumbing:
    """stdin, stdout, stderr and the control socket. Without `pipes` stdin is empty and stdout goes to stderr's pipe.

    Our ends belong to us until they are taken, theirs until they are sent; `close` and `close_theirs` end the rest.
    """

    def __init__(self, *, pipes: bool) -> None:
        self._ours = ExitStack()
        self._theirs = ExitStack()
        try:
            self.control, their_control = socket.socketpair()
            self._ours.callback(self.control.close)
            self._theirs.callback(their_control.close)
            self.stderr, their_stderr = self._pipe_from_child()
            self.stdin: int | None = None
            self.stdout: int | None = None
            if pipes:
                their_stdin, self.stdin = os.pipe()
                self._ours.callback(os.close, self.stdin)
                self.stdout, their_stdout = self._pipe_from_child()
            else:
                their_stdin, their_stdout = os.open(os.devnull, os.O_RDONLY), os.dup(their_stderr)
                self._theirs.callback(os.close, their_stdout)
            self._theirs.callback(os.close, their_stdin)
        except BaseException:
            self.close()
            raise
        self.theirs = (their_stdin, their_stdout, their_stderr, their_control.fileno())

    def files(self) -> tuple[FileIO | None, FileIO | None, FileIO]:
        """Our ends of stdin, stdout and stderr. From here on they, and the control socket, are the taker's to close."""
        self._ours.pop_all()
        stdin = FileIO(self.stdin, "wb") if self.stdin is not None else None
        stdout = FileIO(self.stdout, "rb") if self.stdout is not None else None
        return stdin, stdout, FileIO(self.stderr, "rb")

    def close_theirs(self) -> None:
        self._theirs.close()

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()

    def _pipe_from_child(self) -> tuple[int, int]:
        ours, theirs = os.pipe()
        self._ours.callback(os.close, ours)
        self._theirs.callback(os.close, theirs)
        return ours, theirs
