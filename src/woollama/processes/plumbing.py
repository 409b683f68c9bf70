"""The descriptors around a new child: our ends of its pipes, and the ends that go to the supervisor."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack


def closes_by_number(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop closes descriptors itself, as uvloop does, and not only by the object that it was given."""
    return not isinstance(loop, asyncio.BaseEventLoop)


class PipeEnd:
    """Our end of a pipe, to be given to a loop, and closed once.

    A file would be closed by uvloop and then once more, at the latest when it is collected; by then its number may
    be that of another descriptor: a client's connection.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._taken = False
        self._closed = False

    def fileno(self) -> int:
        return self._fd

    def taken_by(self, loop: asyncio.AbstractEventLoop) -> PipeEnd:
        """From here on the loop closes it, also when connecting it fails."""
        self._taken = True
        self._closed = closes_by_number(loop)
        return self

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._fd)

    def close_unless_taken(self) -> None:
        if not self._taken:
            self.close()


class Plumbing:
    """stdin, stdout, stderr and the control socket. Without `pipes` stdin is empty and stdout goes to stderr's pipe.

    Our ends belong to us until they are taken, theirs until they are sent; `close` and `close_theirs` end the rest.
    """

    def __init__(self, *, pipes: bool) -> None:
        self._control: socket.socket | None
        self._ours = ExitStack()
        self._theirs = ExitStack()
        try:
            self._control, their_control = socket.socketpair()
            self._ours.callback(self._close_control)
            self._theirs.callback(their_control.close)
            self.stderr, their_stderr = self._pipe_from_child()
            self.stdin: PipeEnd | None = None
            self.stdout: PipeEnd | None = None
            if pipes:
                their_stdin, ours = os.pipe()
                self.stdin = self._end(ours)
                self.stdout, their_stdout = self._pipe_from_child()
            else:
                their_stdin, their_stdout = os.open(os.devnull, os.O_RDONLY), os.dup(their_stderr)
                self._theirs.callback(os.close, their_stdout)
            self._theirs.callback(os.close, their_stdin)
        except BaseException:
            self.close()
            raise
        self.theirs = (their_stdin, their_stdout, their_stderr, their_control.fileno())

    async def connect_control(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Streams of the control socket. From here on it is the loop's to close, also when this fails."""
        control, self._control = self._control, None
        assert control is not None
        try:
            return await asyncio.open_unix_connection(sock=control)
        except BaseException:
            # uvloop has closed the descriptor without telling the socket.
            if closes_by_number(asyncio.get_running_loop()):
                control.detach()
            else:
                control.close()
            raise

    def close_theirs(self) -> None:
        self._theirs.close()

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()

    def _close_control(self) -> None:
        if self._control is not None:
            self._control.close()

    def _pipe_from_child(self) -> tuple[PipeEnd, int]:
        ours, theirs = os.pipe()
        self._theirs.callback(os.close, theirs)
        return self._end(ours), theirs

    def _end(self, fd: int) -> PipeEnd:
        end = PipeEnd(fd)
        self._ours.callback(end.close_unless_taken)
        return end
