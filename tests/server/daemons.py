"""Starting `tests.server.program` as a process, waiting until it serves, and talking to it in raw bytes."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0
"""How long anything is waited for; only a failing test ever waits this long."""
ROOT = Path(__file__).parents[2]


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")


class Daemon:
    def __init__(self, directory: Path, process: subprocess.Popen[bytes]) -> None:
        self.runtime_dir = directory
        self.process = process
        self._unread = b""
        self.url = self.says()
        assert self.url, f"the daemon ended with {process.wait(PATIENCE_S)}"

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def unix_path(self) -> Path:
        return self.runtime_dir / "woollama.sock"

    def files(self) -> list[str]:
        return sorted(path.name for path in self.runtime_dir.iterdir() if path.name.startswith("woollama"))

    def says(self) -> str:
        """The next line that the program prints; empty when it has ended."""
        assert self.process.stdout is not None
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
            assert ready, "it says nothing"
            chunk = os.read(self.process.stdout.fileno(), 4096)
            if not chunk:
                return ""
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def story(self) -> list[str]:
        """Everything else that it printed until its end."""
        return list(iter(self.says, ""))

    def ends(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def get(self, path: str = "/whoami") -> dict[str, Any]:
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_S)
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=PATIENCE_S)

    def connect_unix(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE_S)
        sock.connect(str(self.unix_path))
        return sock


def command(options: Mapping[str, Any] | None = None) -> list[str]:
    given = {"address": "127.0.0.1:0", **(options or {})}
    return [sys.executable, "-m", "tests.server.program", json.dumps(given)]


def environment(directory: Path) -> dict[str, str]:
    return {**os.environ, "XDG_RUNTIME_DIR": str(directory)}


@contextmanager
def daemon(directory: Path, options: Mapping[str, Any] | None = None) -> Iterator[Daemon]:
    """A daemon that serves by now. One that still runs at the end is killed."""
    with subprocess.Popen(
        command(options), cwd=ROOT, env=environment(directory), stdout=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            yield Daemon(directory, process)
        finally:
            process.kill()


def second_start(directory: Path, options: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Start one that is expected to refuse, and wait for its end."""
    return subprocess.run(
        command(options), cwd=ROOT, env=environment(directory), capture_output=True, text=True, timeout=PATIENCE_S
    )


def open_stream(connection: socket.socket, way: str) -> bytes:
    """Ask for a stream and read up to its first frame."""
    connection.sendall(f"GET /stream?{way} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    seen = b""
    while b"data: first\n\n" not in seen:
        chunk = connection.recv(65536)
        assert chunk, seen
        seen += chunk
    return seen


def read_all(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection, also when that is rude."""
    seen = b""
    try:
        while chunk := connection.recv(65536):
            seen += chunk
    except ConnectionResetError:
        pass
    return seen
