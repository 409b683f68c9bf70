"""The daemon as a process: one per runtime directory, files that vanish, an end that is bounded."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.server.daemons import (
    PATIENCE_S,
    ROOT,
    Daemon,
    command,
    daemon,
    environment,
    needs_ipv6,
    open_stream,
    read_all,
    second_start,
)
from tests.server.program import ERROR_FRAME
from woollama.server import process, serving

FILES = ["woollama.addr", "woollama.lock", "woollama.sock"]


def test_it_serves_on_both_sockets_at_once(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        assert running.get()["caller"]["via"] == "tcp"
        with running.connect_unix() as connection:
            connection.sendall(b"GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b'"via": "unix"' in read_all(connection)


def test_the_socket_is_the_owners_alone_and_the_address_file_says_where_tcp_is(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        assert stat.S_IMODE(running.unix_path.stat().st_mode) == 0o600
        written = (tmp_path / "woollama.addr").read_text()
        assert written == "{}:{}\n".format(*running.address)
        assert running.files() == FILES


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_zero_and_leaves_no_file(tmp_path: Path, number: int) -> None:
    with daemon(tmp_path) as running:
        assert running.ends(number) == 0
        assert running.files() == []


def test_a_hangup_asks_for_a_reload_as_often_as_it_comes(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        assert running.says() == "started"
        for _ in range(2):
            running.process.send_signal(signal.SIGHUP)
            assert running.says() == "reloading"
        assert running.ends() == 0


def test_a_terminal_that_is_closed_ends_it(tmp_path: Path) -> None:
    outer, inner = os.openpty()
    in_terminal = "import fcntl, sys, termios, tests.server.program as p; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    process = subprocess.Popen(
        [sys.executable, "-c", in_terminal + """sys.exit(p.main('{"address": "127.0.0.1:0"}'))"""],
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=inner,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )
    os.close(inner)
    try:
        running = Daemon(tmp_path, process)
        process.send_signal(signal.SIGHUP)
        assert [running.says(), running.says()] == ["started", "reloading"]
        os.close(outer)
        try:
            assert process.wait(PATIENCE_S) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"it goes on, and has said {process.communicate()[0]!r}")
        assert running.files() == []
    finally:
        process.kill()
        process.communicate()


def test_a_turn_gets_the_shutdown_timeout_and_then_an_error_frame(tmp_path: Path) -> None:
    with daemon(tmp_path, {"shutdown_timeout_s": 0.3}) as running, running.connect() as connection:
        open_stream(connection, "turn")
        assert running.ends() == 0
        assert read_all(connection).endswith(b"%x\r\n%b\r\n0\r\n\r\n" % (len(ERROR_FRAME), ERROR_FRAME))
        assert running.story() == ["started", "draining", "turn is over", "closed"]
        assert running.files() == []


def test_what_drain_does_not_end_is_cancelled_and_awaited_before_the_rest_is_closed(tmp_path: Path) -> None:
    with daemon(tmp_path, {"shutdown_timeout_s": 0.2}) as running, running.connect() as connection:
        open_stream(connection, "handler")
        assert running.ends() == 0
        assert not read_all(connection).endswith(b"0\r\n\r\n")
        assert running.story() == ["started", "draining", "handler is over", "closed"]


@pytest.mark.parametrize("way", ["stubborn", "flood"])
def test_neither_a_stubborn_handler_nor_a_client_that_does_not_read_holds_up_the_end(tmp_path: Path, way: str) -> None:
    with daemon(tmp_path, {"shutdown_timeout_s": 0.2}) as running, running.connect() as connection:
        open_stream(connection, way)
        assert running.ends() == 0
        assert running.files() == []


def test_an_idle_connection_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with daemon(tmp_path, {"shutdown_timeout_s": 600}) as running, running.connect() as idle:
        running.get()
        assert running.ends() == 0
        assert idle.recv(1) == b""


def test_while_it_drains_nobody_can_connect(tmp_path: Path) -> None:
    options = {"shutdown_timeout_s": 600}
    with daemon(tmp_path, options) as running, running.connect() as connection:
        open_stream(connection, "turn")
        running.process.send_signal(signal.SIGTERM)
        assert [running.says(), running.says()] == ["started", "draining"]
        with pytest.raises(ConnectionRefusedError):
            running.connect()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE_S) == 128 + signal.SIGTERM


def test_a_second_signal_ends_it_at_once_and_leaves_no_file(tmp_path: Path) -> None:
    options = {"shutdown_timeout_s": 600}
    with daemon(tmp_path, options) as running, running.connect() as connection:
        open_stream(connection, "turn")
        running.process.send_signal(signal.SIGINT)
        assert [running.says(), running.says()] == ["started", "draining"]
        assert running.ends(signal.SIGINT) == 128 + signal.SIGINT
        assert running.files() == []


def test_a_second_signal_ends_even_a_blocked_event_loop(tmp_path: Path) -> None:
    with daemon(tmp_path) as running, running.connect() as connection:
        connection.sendall(b"GET /block HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert [running.says(), running.says()] == ["started", "blocking"]
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(PATIENCE_S) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
        assert running.files() == []


def test_a_blocked_event_loop_does_not_outlive_the_watchdog(tmp_path: Path) -> None:
    a_moment = 0.2 - serving.END_S - process._SLACK_S  # what the watchdog adds to the shutdown timeout, taken off again
    with daemon(tmp_path, {"shutdown_timeout_s": a_moment}) as running, running.connect() as connection:
        connection.sendall(b"GET /block HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert [running.says(), running.says()] == ["started", "blocking"]
        assert running.ends() == 1
        assert running.files() == []


def test_a_signal_while_it_starts_is_not_lost(tmp_path: Path) -> None:
    source = """
import os, signal, sys
from woollama.server import JustApp, ServeOptions, run
def build():
    os.kill(os.getpid(), signal.SIGTERM)
    print(*sorted(os.listdir(sys.argv[1])))
    return JustApp(None)
sys.exit(run(ServeOptions(address="127.0.0.1:0"), build))
"""
    ended = subprocess.run(
        [sys.executable, "-c", source, str(tmp_path)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, FILES, "")
    assert not list(tmp_path.iterdir())


def test_a_second_start_says_where_the_first_one_is_and_the_first_keeps_serving(tmp_path: Path) -> None:
    with daemon(tmp_path) as first:
        second = second_start(tmp_path)
        assert second.returncode == 3
        assert first.url in second.stderr
        assert str(first.process.pid) in second.stderr
        assert str(first.unix_path) in second.stderr
        assert first.get()["caller"]["via"] == "tcp"
        assert first.files() == FILES
        first.connect_unix().close()


def test_after_kill_9_the_next_start_takes_over_the_leftovers(tmp_path: Path) -> None:
    with daemon(tmp_path) as first:
        first.ends(signal.SIGKILL)
        assert first.files() == FILES
    with daemon(tmp_path) as second:
        second.connect_unix().close()
        assert second.ends() == 0
        assert second.files() == []


def test_a_live_socket_of_another_program_is_not_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "woollama.sock"))
        other.listen()
        refused = second_start(tmp_path)
        assert refused.returncode == 3
        assert "another program listens" in refused.stderr
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "woollama.sock"))
    assert not (tmp_path / "woollama.lock").exists()


def test_an_address_for_other_machines_needs_a_token(tmp_path: Path) -> None:
    refused = second_start(tmp_path, {"address": "0.0.0.0:0"})
    assert refused.returncode == 4
    assert "WOOLLAMA_TOKEN" in refused.stderr
    assert not list(tmp_path.iterdir())
    with daemon(tmp_path, {"address": "0.0.0.0:0", "token": "sesame-street"}) as running:
        assert (tmp_path / "woollama.addr").read_text() == f"127.0.0.1:{running.address[1]}\n"
        assert running.get()["error"]["code"] == "not_authorized"


def test_an_address_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        refused = second_start(tmp_path, {"address": f"127.0.0.1:{other.getsockname()[1]}"})
    assert refused.returncode == 1
    assert "cannot be listened at" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_a_bad_address_is_told_before_anything_is_touched(tmp_path: Path) -> None:
    refused = second_start(tmp_path / "new", {"address": "::1:80"})
    assert refused.returncode == 2
    assert "brackets" in refused.stderr
    assert not (tmp_path / "new").exists()


@needs_ipv6
def test_an_ipv6_literal_works(tmp_path: Path) -> None:
    with daemon(tmp_path, {"address": "[::1]:0"}) as running:
        assert running.url == f"http://[::1]:{running.address[1]}"
        assert (tmp_path / "woollama.addr").read_text() == f"[::1]:{running.address[1]}\n"
        assert running.get()["caller"]["uid"] == os.geteuid()


def test_a_failure_to_start_ends_it_and_leaves_no_file(tmp_path: Path) -> None:
    source = """
import sys
from woollama.server import ServeOptions, run
class Broken:
    app = None
    async def start(self): raise RuntimeError("the model is missing")
    def on_reconfigured(self, tell): pass
    async def drain(self, timeout_s): print("drained")
    async def close(self): print("closed")
sys.exit(run(ServeOptions(address="127.0.0.1:0"), Broken))
"""
    ended = subprocess.run(
        [sys.executable, "-c", source], env=environment(tmp_path), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert (ended.returncode, ended.stdout.split()) == (1, ["drained", "closed"])
    assert "the model is missing" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_passed_sockets_are_served_and_left_to_who_passed_them(tmp_path: Path) -> None:
    activated = tmp_path / "activated.sock"
    with socket.socket(socket.AF_UNIX) as unix, socket.create_server(("127.0.0.1", 0)) as tcp:
        unix.bind(str(activated))
        unix.listen()
        # The way of systemd: the sockets are descriptors 3 and 4, and LISTEN_PID is who they are for.
        script = 'exec 3<&"$1" 4<&"$2"; shift 2; export LISTEN_FDS=2 LISTEN_PID=$$; exec "$@"'
        arguments = ["bash", "-c", script, "sh", str(unix.fileno()), str(tcp.fileno()), *command()]
        with subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=(unix.fileno(), tcp.fileno()),
        ) as activated_daemon:
            try:
                assert activated_daemon.stdout is not None
                assert activated_daemon.stdout.readline().strip() == f"http://127.0.0.1:{tcp.getsockname()[1]}"
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(PATIENCE_S)
                    client.connect(str(activated))
                    client.sendall(b"GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    assert b"200 OK" in read_all(client)
                assert not (tmp_path / "woollama.sock").exists()
                activated_daemon.send_signal(signal.SIGTERM)
                assert activated_daemon.wait(PATIENCE_S) == 0
            finally:
                activated_daemon.kill()
    assert activated.exists()
    assert not (tmp_path / "woollama.addr").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused_over_tcp_and_over_the_socket(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        source = """
import socket, sys, os
os.setgid(65534), os.setuid(65534)
where = sys.argv[1]
sock = socket.socket(socket.AF_UNIX) if where[0] == "/" else socket.socket()
sock.connect(where if where[0] == "/" else ("127.0.0.1", int(where)))
sock.sendall(b"GET /whoami HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
while chunk := sock.recv(65536): sys.stdout.write(chunk.decode())
"""

        def as_nobody(where: str) -> subprocess.CompletedProcess[str]:
            arguments = [sys.executable, "-c", source, where]
            return subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE_S, cwd="/")

        over_tcp = as_nobody(str(running.address[1]))
        assert "403 Forbidden" in over_tcp.stdout
        assert "65534" in over_tcp.stdout
        over_unix = as_nobody(str(running.unix_path))
        assert "PermissionError" in over_unix.stderr

    # A socket that lets everybody connect (a passed one may): the peer's uid is looked at all the same.
    with tempfile.TemporaryDirectory() as open_to_all, daemon(Path(open_to_all)) as running:
        running.runtime_dir.chmod(0o711)
        running.unix_path.chmod(0o666)
        assert "403 Forbidden" in as_nobody(str(running.unix_path)).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_runtime_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir(mode=0o700)
    os.chown(given, 65534, 65534)
    refused = second_start(given)
    assert refused.returncode == 4
    assert "65534" in refused.stderr


def test_a_runtime_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    refused = second_start(tmp_path)
    assert refused.returncode == 4
    assert "chmod 0700" in refused.stderr
