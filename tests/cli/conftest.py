"""The command line as a user meets it: a process of its own, with directories of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass
class Home:
    """Where a user's files and sockets are. `woollama` runs a command there."""

    directory: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def runtime(self) -> Path:
        return self.directory / "run"

    def write(self, name: str, text: str) -> None:
        (self.directory / "config" / name).write_text(text, encoding="utf-8")

    def woollama(self, *args: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "woollama", *args, text=text, **environ)

    def python(self, *args: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args],
            input=text,
            env={**self.environ, **environ},
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    for name in ("config", "run", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    places = {
        "HOME": tmp_path,
        "WOOLLAMA_CONFIG_DIR": tmp_path / "config",
        "WOOLLAMA_STATE_DIR": tmp_path / "state",
        "XDG_RUNTIME_DIR": tmp_path / "run",
    }
    return Home(tmp_path, {"PATH": os.environ["PATH"], **{name: str(place) for name, place in places.items()}})


@dataclass
class FakeDaemon:
    """Answers at the daemon's socket what a test puts into `answers`; `asked` is what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def daemon(home: Home) -> Iterator[FakeDaemon]:
    fake = FakeDaemon()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.asked.append(("GET", self.path, None))
            self._answer()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            fake.asked.append(("POST", self.path, body))
            self._answer()

        def _answer(self) -> None:
            status, answer = fake.answers.get(self.path, (404, {"error": {"message": "there is no such route"}}))
            self.send_response(status)
            self.end_headers()
            if isinstance(answer, list):
                for event in answer:
                    self.wfile.write(b"event: x\n: a comment\ndata: " + json.dumps(event).encode() + b"\n\n")
            else:
                self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(str(home.runtime / "woollama.sock"), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()
