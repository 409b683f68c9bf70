"""A pipe to the running daemon, which serves MCP at its other end; and a daemon of our own making where none runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from woollama.cli.daemon import Daemon, NotRunning, Refused, UnixConnection
from woollama.platform import Unsafe, private_dir, state_dir

POST_TIMEOUT_S = 30.0
START_S = 30.0
"""How long a daemon may take until it listens."""
WARM_S = 5.0
"""How long it then gets for its tool servers: many hosts list tools once, at their start."""
POLL_S = 0.05


class PipeGone(Exception):
    """The pipe, or the daemon behind it, has ended: what was sent has not arrived."""


class Pipe:
    """Raises `NotRunning` when nobody listens, `Refused` when the daemon does not want to."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._down = UnixConnection(socket_path, None)
        try:
            self._down.request("GET", "/mcp/pipe")
            self._socket = self._down.sock
            self._answer = self._down.getresponse()
            first = json.loads(self._answer.readline() if self._answer.status == 200 else self._answer.read())
        except OSError as error:
            raise NotRunning(f"woollama is not running: nobody answers at {socket_path}") from error
        except (HTTPException, ValueError) as error:
            raise Refused(f"the daemon gave no pipe: {error or type(error).__name__}") from error
        if self._answer.status != 200:
            raise Refused(_message_of(first))
        self._path = f"/mcp/pipe/{first['pipe']}"

    def lines(self) -> Iterator[bytes]:
        """The daemon's messages until the pipe ends, in whichever way."""
        try:
            while (line := self._answer.readline()).endswith(b"\n"):
                yield line
        except (OSError, HTTPException, ValueError):
            return

    def send(self, line: bytes) -> None:
        """Raises `PipeGone` or `Refused`."""
        with closing(UnixConnection(self._socket_path, POST_TIMEOUT_S)) as connection:
            try:
                connection.request("POST", self._path, line, {"content-type": "application/json"})
                answer = connection.getresponse()
                body = answer.read()
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise PipeGone("woollama is not running any more") from error
            except (OSError, HTTPException) as error:
                raise Refused("woollama ended while it was being asked") from error
        if answer.status == 410:
            raise PipeGone("this daemon is another one")
        if answer.status != 202:
            raise Refused(_message_of(json.loads(body)))

    def close(self) -> None:
        """Ends `lines` too, wherever it waits; to close what another thread reads from would wait for that thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class Attachment:
    """Makes pipes to the daemon of this user, starting it if it does not run."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._daemon = Daemon(environ)
        self._started: subprocess.Popen[bytes] | None = None

    def __call__(self) -> Pipe:
        try:
            return Pipe(self._daemon.socket_path)
        except NotRunning:
            self._start()
        return self._first_pipe()

    def _start(self) -> None:
        """A daemon in a session of its own: it outlives us, and whatever ends our terminal."""
        try:
            directory = private_dir(state_dir(self._environ))
            log = os.open(directory / "woollama.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._started = subprocess.Popen(
                    [sys.executable, "-P", "-m", "woollama", "serve"],
                    cwd="/",
                    env=dict(self._environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            finally:
                os.close(log)
        except (OSError, Unsafe) as error:
            raise NotRunning(f"woollama could not be started: {error}") from error

    def _first_pipe(self) -> Pipe:
        """Another host may have started one at the same time; ours has then given way to it, and that one answers."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            ended = self._started.poll() if self._started else None
            try:
                pipe = Pipe(self._daemon.socket_path)
            except NotRunning:
                if ended not in (None, 3):
                    break
                time.sleep(POLL_S)
            else:
                self._wait_warm()
                return pipe
        log = state_dir(self._environ) / "woollama.log"
        raise NotRunning(f"woollama could not be started; {log} says why")

    def _wait_warm(self) -> None:
        deadline = time.monotonic() + WARM_S
        while time.monotonic() < deadline and not self._is_warm():
            time.sleep(POLL_S)

    def _is_warm(self) -> bool:
        try:
            return bool(self._daemon.get("/readyz")["ready"])
        except (NotRunning, Refused):
            return True


def _message_of(body: Any) -> str:
    match body:
        case {"error": {"message": str(message)}}:
            return message
        case _:
            return "the daemon refused it"
