"""`woollama service`: the units, held against systemd's own judgement, and a start the way systemd starts it."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import FakeDaemon, Home
from tests.ports import OwnPort

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="systemd is not of macOS")
PATIENCE_S = 60.0
UNITS = ("woollama.service", "woollama.socket")
needs_systemd = pytest.mark.skipif(
    not (shutil.which("systemd-analyze") and shutil.which("systemd-socket-activate")), reason="systemd is not installed"
)
# Says what it is asked; `is-active` answers as the file `active` says.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$FAKE/calls"
case "$2" in
  is-active) [ -e "$FAKE/active" ] && { [ "$3" = --quiet ] || echo active; exit 0; }; echo inactive; exit 3 ;;
  is-enabled) echo enabled ;;
  enable) [ -e "$FAKE/taken" ] && { echo "Address already in use" >&2; exit 1; }; exit 0 ;;
esac
"""


@pytest.fixture
def systemd(home: Home) -> Path:
    """A systemctl that only takes notes; gives the directory with its `calls`."""
    fake = home.directory / "fake"
    fake.mkdir()
    (fake / "systemctl").write_text(SYSTEMCTL)
    (fake / "systemctl").chmod(0o755)
    home.environ["PATH"] = f"{fake}:{home.environ['PATH']}"
    home.environ["FAKE"] = str(fake)
    return fake


def without_systemd(home: Home) -> None:
    home.environ["PATH"] = "/nonexistent"


def calls(fake: Path) -> list[str]:
    asked = (fake / "calls").read_text().splitlines() if (fake / "calls").exists() else []
    return [line.removeprefix("--user ") for line in asked if not line.startswith("--user show-environment")]


def units_in(home: Home) -> dict[str, str]:
    directory = home.directory / ".config/systemd/user"
    return {path.name: path.read_text() for path in sorted(directory.glob("*"))} if directory.exists() else {}


def test_print_prints_and_touches_nothing(home: Home, systemd: Path) -> None:
    done = home.woollama("service", "install", "--print")
    assert done.returncode == 0
    for line in ("ListenStream=%t/woollama.sock", "ListenStream=127.0.0.1:11435", "Restart=on-failure", "kill -HUP"):
        assert line in done.stdout
    assert units_in(home) == {}
    assert calls(systemd) == []


def test_without_systemd_nothing_is_written_unless_it_need_not_start(home: Home) -> None:
    without_systemd(home)
    done = home.woollama("service", "install")
    assert (done.returncode, "nothing was written" in done.stderr) == (1, True)
    assert units_in(home) == {}
    done = home.woollama("service", "install", "--no-start")
    assert (done.returncode, "enable --now" in done.stdout) == (0, True)
    assert tuple(units_in(home)) == UNITS
    assert "no systemd answers" in home.woollama("service", "status").stdout
    assert home.woollama("service", "remove").returncode == 0
    assert units_in(home) == {}


def test_it_is_installed_once_changed_when_it_must_and_removed(home: Home, systemd: Path) -> None:
    done = home.woollama("service", "install")
    assert done.returncode == 0, done.stderr
    assert [call for call in calls(systemd) if not call.startswith("is-")] == [
        "daemon-reload",
        "enable --now woollama.socket",
    ]
    (systemd / "active").touch()
    (systemd / "calls").unlink()
    assert "as it is" in home.woollama("service", "install").stdout
    assert [call for call in calls(systemd) if call.startswith("stop")] == []
    home.write("woollama.toml", '[server]\naddress = "127.0.0.1:4711"\n')
    assert "installed, of another version" in home.woollama("service", "status").stdout
    home.woollama("service", "install")
    assert "ListenStream=127.0.0.1:4711" in units_in(home)["woollama.socket"]
    assert "stop woollama.service woollama.socket" in calls(systemd)
    told = home.woollama("service", "status")
    assert (told.returncode, "active enabled" in told.stdout) == (0, True)
    done = home.woollama("service", "remove")
    assert calls(systemd)[-2:] == ["disable --now woollama.socket woollama.service", "daemon-reload"]
    assert units_in(home) == {}
    assert "there is no service" in home.woollama("service", "remove").stdout
    assert home.woollama("service", "status").returncode == 1


def test_a_name_is_written_as_the_address_that_it_stands_for(home: Home) -> None:
    """systemd looks no names up, and refuses a unit that has one."""
    home.write("woollama.toml", '[server]\naddress = "localhost:4711"\n')
    printed = home.woollama("service", "install", "--print").stdout
    assert {"ListenStream=127.0.0.1:4711", "ListenStream=[::1]:4711"} & set(printed.splitlines())
    home.write("woollama.toml", '[server]\naddress = "no-such-host.invalid:4711"\n')
    done = home.woollama("service", "install", "--print")
    assert (done.returncode, "is no address that this machine knows" in done.stderr) == (1, True)


def test_what_systemd_says_is_told(home: Home, systemd: Path) -> None:
    (systemd / "taken").touch()
    done = home.woollama("service", "install")
    assert (done.returncode, "Address already in use" in done.stderr) == (1, True)


def test_units_of_somebody_elses_are_left_alone(home: Home, systemd: Path) -> None:
    own = home.directory / ".config/systemd/user/woollama.service"
    own.parent.mkdir(parents=True)
    own.write_text("[Service]\nExecStart=/bin/true\n")
    for action in ("install", "remove"):
        done = home.woollama("service", action)
        assert (done.returncode, "was not written by woollama" in done.stderr) == (1, True)
    assert units_in(home) == {"woollama.service": "[Service]\nExecStart=/bin/true\n"}


def test_a_daemon_that_runs_otherwise_must_end_first(home: Home, systemd: Path, daemon: FakeDaemon) -> None:
    daemon.answers["/healthz"] = {"ok": True}
    done = home.woollama("service", "install")
    assert (done.returncode, "end it first" in done.stderr) == (1, True)
    assert units_in(home) == {}


@pytest.mark.parametrize("args", [("explode",), ("remove", "--print"), ("status", "--no-start"), ()])
def test_what_makes_no_sense_is_a_usage_error(home: Home, args: tuple[str, ...]) -> None:
    assert home.woollama("service", *args).returncode == 2


def test_on_macos_it_is_refused_by_name(home: Home) -> None:
    script = (
        "import sys; sys.platform = 'darwin'; from woollama.cli import main; sys.exit(main(['service', 'install']))"
    )
    done = home.python("-c", script)
    assert (done.returncode, "launchd" in done.stderr) == (1, True)


@needs_systemd
@pytest.mark.parametrize("odd", ["", 'a "b" %h $HOME \\x'], ids=["plain", "odd characters"])
def test_systemd_finds_nothing_wrong_with_the_units(home: Home, odd: str) -> None:
    if odd:
        home.environ["WOOLLAMA_STATE_DIR"] = str(home.directory / odd)
    home.woollama("service", "install", "--no-start")
    directory = home.directory / ".config/systemd/user"
    verify = ["systemd-analyze", "verify", "--user", "--man=no", *(str(directory / name) for name in UNITS)]
    done = subprocess.run(verify, env=home.environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_first_connection_starts_it_and_it_serves_at_both_sockets(home: Home) -> None:
    """As the units say: these sockets, this command."""
    home.environ["PATH"] = f"{Path(sys.executable).parent}:{home.environ['PATH']}"
    service = home.woollama("service", "install", "--print").stdout
    command = next(line for line in service.splitlines() if line.startswith("ExecStart=")).removeprefix("ExecStart=")
    unix, own = home.runtime / "woollama.sock", OwnPort()
    listen = [f"--listen={unix}", f"--listen=127.0.0.1:{own.number}"]
    kept = [f"--setenv={name}={value}" for name, value in home.environ.items()]
    with own, started(["systemd-socket-activate", *kept, *listen, *command.split()], home) as process:
        models = asked(unix_connection(unix), "/v1/models")
        assert "woollama/demo" in [model["id"] for model in models["data"]]
        assert asked(http.client.HTTPConnection("127.0.0.1", own.number, timeout=PATIENCE_S), "/healthz")["ok"] is True
        assert (home.runtime / "woollama.addr").read_text() == f"127.0.0.1:{own.number}\n"
        process.send_signal(signal.SIGHUP)  # ExecReload; it goes on
        assert asked(unix_connection(unix), "/healthz")["ok"] is True
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert not (home.runtime / "woollama.addr").exists()
    assert unix.exists()  # it is systemd's to remove


class started:
    """A process that is killed if it is still there in the end."""

    def __init__(self, command: list[str], home: Home) -> None:
        environ = {**home.environ, "WOOLLAMA_LOG": "warning"}
        self._process = subprocess.Popen(command, env=environ, cwd=home.directory, stderr=subprocess.DEVNULL)

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def unix_connection(path: Path) -> http.client.HTTPConnection:
    """Once somebody listens there."""
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):  # not bound yet, or bound and not listened at
            assert time.monotonic() < deadline, f"nobody comes to listen at {path}"
            time.sleep(0.02)
        else:
            return connection


def asked(connection: http.client.HTTPConnection, path: str) -> dict[str, object]:
    connection.request("GET", path)
    answer: dict[str, object] = json.loads(connection.getresponse().read())
    connection.close()
    return answer
