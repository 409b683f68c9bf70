"""woollama over its unix socket, with nothing but the standard library: a fresh HTTP/1.1 connection for each call."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

ALIVE_WITHIN_S = 2.0
STARTED_WITHIN_S = 25.0


class Refused(Exception):
    """The daemon said no. `status` is the HTTP status; `str(refused)` is the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(Exception):
    """Nobody answers at the socket, or what was said broke off."""


class Connection(http.client.HTTPConnection):
    """One call. `ask` waits for the answer's head; `abort` ends it from another thread."""

    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self.is_aborted = False

    def connect(self) -> None:
        self.sock = self._socket
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: object
    ) -> http.client.HTTPResponse:
        """Raises `Refused` and `Unreachable`."""
        asked = f"{quote(path)}?{urlencode(query)}" if query else quote(path)
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            self.request(method, asked, None if body is None else json.dumps(body), headers)
            answer = self.getresponse()
            if answer.status >= 400:
                raise Refused(answer.status, json.loads(answer.read())["error"]["message"])
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"nobody answers at {self._path}: {error}") from error
        return answer

    def abort(self) -> None:
        """The daemon sees that we have left, and whoever reads the answer gets its end."""
        self.is_aborted = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class Woollama:
    """That the socket's file is there means that a daemon was started; that `/v1/models` answers, that it lives."""

    def __init__(self, path: Path | None = None) -> None:
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        self.path = path or Path(runtime, "woollama.sock")

    def is_alive(self) -> bool:
        try:
            self.call("GET", "/v1/models", timeout_s=ALIVE_WITHIN_S)
        except (Refused, Unreachable):
            return False
        return True

    def start(self) -> None:
        """Start a daemon of our own accord, to stay when we leave. Raises `Unreachable` where that fails."""
        program = shutil.which("woollamad")
        if program is None:
            raise Unreachable("woollama is not running, and there is no woollamad to start")
        quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = subprocess.Popen([program], start_new_session=True, **quiet)
        deadline = time.monotonic() + STARTED_WITHIN_S
        while not self.is_alive():
            if started.poll() or time.monotonic() > deadline:
                raise Unreachable(f"{program} did not come up; run it in a terminal to see why")
            time.sleep(0.1)

    def connection(self, timeout_s: float | None = None) -> Connection:
        return Connection(self.path, timeout_s)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = 30.0,
        **query: object,
    ) -> Any:
        """The JSON that a call is answered with. Raises `Refused` and `Unreachable`."""
        with closing(self.connection(timeout_s)) as connection:
            answer = connection.ask(method, path, body, **query)
            try:
                return json.loads(answer.read())
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"the answer broke off: {error}") from error


def events(answer: http.client.HTTPResponse) -> Iterator[Any]:
    """The data of a stream's events. Comments, which keep an idle connection alive, are no events."""
    for line in answer:
        if line.startswith(b"data:") and (data := line[5:].strip()) != b"[DONE]":
            yield json.loads(data)
