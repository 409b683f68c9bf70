"""Every setting of the door at work: from the file, from a variable and from a flag, seen from a client's side."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest

from tests.cli.conftest import Home
from woollama.cli.serve import FLAGS
from woollama.config.environment import ENVIRONMENT

PATIENCE_S = 60.0


@dataclass
class Door:
    """A daemon's TCP address. `says` is the beginning of its answer to a raw request, `all_of` all of it."""

    address: tuple[str, int]

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, PATIENCE_S)

    def says(self, request: str) -> str:
        with closing(self.connect()) as connection:
            connection.sendall(request.encode())
            return connection.recv(65536).decode()

    def status(self, request: str) -> int:
        return int(self.says(request).split()[1])


def get(path: str = "/healthz", **headers: str) -> str:
    lines = {"Host": "localhost", **headers}
    return f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"


def post(kind: str, length: int, sent: int) -> str:
    head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n{'x' * sent}"


def _feed_beats(door: Door) -> bool:
    with closing(door.connect()) as connection:
        connection.sendall(get("/w1/events").encode())
        seen = b""
        while b": heartbeat" not in seen:
            seen += (piece := connection.recv(65536))
            assert piece, seen
    return True


def _room_is_made(door: Door) -> bool:
    with closing(door.connect()) as first, closing(door.connect()), closing(door.connect()):
        assert door.status(get()) == 200
        return first.recv(1) == b""


FORM = "multipart/form-data; boundary=x"
SETTINGS: dict[str, tuple[str, Callable[[Door], bool] | None]] = {
    "server.address": ("127.0.0.1:0", None),  # every other one is asked there
    "server.allow_hosts": ("box.lan", lambda door: door.status(get(Host="box.lan")) == 200),
    "server.allow_origins": ("http://x.example", lambda door: door.status(get(Origin="http://x.example")) == 200),
    "server.heartbeat": ("50ms", _feed_beats),
    "server.shutdown_timeout": ("7s", None),  # the log tells it at the end
    "limits.body": ("1KiB", lambda door: door.status(post("application/json", 1025, 0)) == 413),
    "limits.media": ("2KiB", lambda door: [door.status(post(FORM, size, 2048)) for size in (2048, 2049)] == [400, 413]),
    "limits.output": ("3MiB", None),
    "limits.frame": ("3MiB", None),
    "limits.tool_result": ("3MiB", None),
    "limits.runs": ("7", None),
    "limits.connections": ("3", _room_is_made),
    "limits.header_bytes": ("2KiB", lambda door: door.status(get(X="y" * 2048)) == 431),
    "limits.headers": ("9", lambda door: door.status(get(**{f"h{number}": "x" for number in range(9)})) == 431),
    "limits.header_timeout": ("2s", lambda door: door.status("GET /half") == 408),
    "limits.body_timeout": ("200ms", lambda door: door.status(post("application/json", 20, 3)) == 408),
    "limits.write_timeout": ("60s", None),
}
"""Key -> a value, and what shows that it is in force. Those without are seen at work in tests of their own."""


def as_file(home: Home) -> tuple[list[str], dict[str, str]]:
    lines: dict[str, list[str]] = {"server": [], "limits": []}
    for key, (value, _) in SETTINGS.items():
        section, _, name = key.partition(".")
        written = f'["{value}"]' if name.startswith("allow_") else value if value.isdecimal() else f'"{value}"'
        lines[section].append(f"{name} = {written}")
    text = "".join(f"[{section}]\n" + "\n".join(keys) + "\n" for section, keys in lines.items())
    home.write("woollama.toml", text)
    return [], {}


def as_variables(home: Home) -> tuple[list[str], dict[str, str]]:
    return [], {variable: SETTINGS[f"{section}.{key}"][0] for variable, (section, key) in own().items()}


def as_flags(home: Home) -> tuple[list[str], dict[str, str]]:
    flag_of = {variable: "--" + flag.replace("_", "-") for flag, variable in FLAGS.items()}
    keys = own()
    return [
        word
        for variable, (section, key) in keys.items()
        for word in (flag_of[variable], SETTINGS[f"{section}.{key}"][0])
    ], {}


def own() -> dict[str, tuple[str, str]]:
    return {variable: where for variable, where in ENVIRONMENT.items() if where[0] in ("server", "limits")}


def test_every_setting_is_seen_here() -> None:
    assert {f"{section}.{key}" for section, key in own().values()} == set(SETTINGS)


@contextmanager
def serving(home: Home, flags: list[str], environ: dict[str, str]) -> Iterator[tuple[Door, subprocess.Popen[str]]]:
    daemon = subprocess.Popen(
        [sys.executable, "-m", "woollama", "serve", *flags],
        env={**home.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stderr is not None
        lines = iter(daemon.stderr)
        said = next(line for line in lines if "listening at" in line or "woollama:" in line)
        assert "listening at" in said, said
        host, _, port = (home.runtime / "woollama.addr").read_text().strip().rpartition(":")
        yield Door((host, int(port))), daemon
    finally:
        daemon.kill()
        daemon.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize("way", [as_file, as_variables, as_flags])
def test_each_setting_is_in_force_whichever_way_it_was_given(
    home: Home, way: Callable[[Home], tuple[list[str], dict[str, str]]]
) -> None:
    home.write("mcp.json", '{"mcpServers": {"hello": {"disabled": true}, "clock": {"disabled": true}}}')
    with serving(home, *way(home)) as (door, daemon):
        shown = {key: check(door) for key, (_, check) in SETTINGS.items() if check is not None}
        assert shown == dict.fromkeys(shown, True)
        with closing(door.connect()) as connection:  # a request that is under way makes the end say how long it waits
            connection.sendall(get("/w1/events").encode())
            connection.recv(100)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.stderr is not None
            assert next(line for line in daemon.stderr if "ending after" in line).endswith("within 7 s\n")
