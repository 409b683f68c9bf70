"""Talking to the running daemon over its unix socket, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from woollama.platform import runtime_dir

GET_TIMEOUT_S = 5.0
POST_TIMEOUT_S = 30.0


class NotRunning(Exception):
    """Nobody listens at the socket."""


class Refused(Exception):
    """The daemon answered with an error; `str(refused)` is its message."""


class Daemon:
    """The daemon of this user: its socket lies in the runtime directory that `environ` gives."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        directory = runtime_dir(environ)
        self.socket_path = directory / "woollama.sock"
        self._address_path = directory / "woollama.addr"

    def __repr__(self) -> str:
        return f"<Daemon at {self.socket_path}>"

    @property
    def url(self) -> str | None:
        """Where it listens for TCP, if it has said so."""
        try:
            return f"http://{self._address_path.read_text(encoding='ascii').strip()}"
        except OSError:
            return None

    def get(self, path: str, *, timeout_s: float = GET_TIMEOUT_S) -> Any:
        """The JSON of a `GET`, whatever its status below 500. Raises `NotRunning` and `Refused`."""
        return self._json("GET", path, None, timeout_s)

    def send(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that a `POST` is answered with. Raises `NotRunning` and `Refused`."""
        return self._json("POST", path, json.dumps(body).encode(), POST_TIMEOUT_S)

    def post(self, path: str, body: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The events of a streamed answer as they come; closing the generator closes the request.

        Raises `NotRunning` and `Refused`.
        """
        with (
            closing(UnixConnection(self.socket_path, None)) as connection,
            closing(self._asked(connection, "POST", path, json.dumps(body).encode())) as answer,
            self._reading(),
        ):
            if answer.status != 200:
                raise Refused(json.loads(answer.read())["error"]["message"])
            for line in answer:
                if line.startswith(b"data:") and (data := line[5:].strip()) != b"[DONE]":
                    yield json.loads(data)

    def events(self, path: str) -> Iterator[dict[str, Any]]:
        """The events of a stream that a `GET` opens. Raises `NotRunning` and `Refused`, also when it breaks off."""
        with closing(UnixConnection(self.socket_path, None)) as connection:
            answer = self._asked(connection, "GET", path)
            try:
                for line in answer:
                    if line.startswith(b"data:"):
                        yield json.loads(line[5:])
            except (OSError, http.client.HTTPException) as error:
                raise Refused(f"the daemon at {self.socket_path} broke off: {error or type(error).__name__}") from error

    def _json(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Any:
        with closing(UnixConnection(self.socket_path, timeout_s)) as connection, self._reading():
            answer = self._asked(connection, method, path, body)
            told = json.loads(answer.read() or b"null")
            if answer.status >= 400 and "error" in (told or {}):
                raise Refused(told["error"]["message"])
            return told

    def _asked(
        self, connection: UnixConnection, method: str, path: str, body: bytes | None = None
    ) -> http.client.HTTPResponse:
        with self._reading():
            connection.request(method, path, body, {"content-type": "application/json"})
            return connection.getresponse()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What goes wrong with the connection, as the errors that commands know."""
        try:
            yield
        except (FileNotFoundError, ConnectionRefusedError) as error:
            where = f"nobody listens at {self.socket_path}; `woollama serve` starts it"
            raise NotRunning(f"woollama is not running: {where}") from error
        except (OSError, http.client.HTTPException) as error:
            why = error or type(error).__name__
            raise Refused(f"the daemon at {self.socket_path} gave no whole answer: {why}") from error


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
