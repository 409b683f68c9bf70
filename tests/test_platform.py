"""Who is at the other end of a socket, which directories are safe, which sockets were passed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.daemons import needs_ipv6
from woollama import platform
from woollama.platform import Peer, Unsafe

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
WAYS = [platform._owner_by_sock_diag, platform._owner_by_proc]


@pytest.fixture(params=["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def connected(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's and a server's end of a TCP connection on loopback."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        server = listener.accept()[0]
        with closing(client), closing(server):
            yield client, server


def ends(client: socket.socket) -> tuple[platform.Address, platform.Address]:
    return client.getsockname()[:2], client.getpeername()[:2]


@LINUX
@pytest.mark.parametrize("owner_of", WAYS)
def test_the_owner_of_a_tcp_connection_is_known(
    connected: tuple[socket.socket, socket.socket], owner_of: platform.OwnerOf
) -> None:
    client, _ = connected
    assert owner_of(*ends(client)) == os.geteuid()


@LINUX
@pytest.mark.parametrize("owner_of", WAYS)
def test_a_connection_whose_process_has_left_belongs_to_nobody(
    connected: tuple[socket.socket, socket.socket], owner_of: platform.OwnerOf
) -> None:
    client, _ = connected
    where = ends(client)
    client.close()
    # The kernel shows such a socket as root's: for a daemon of root that would be its owner.
    assert owner_of(*where) is None


@LINUX
@pytest.mark.parametrize("owner_of", WAYS)
def test_a_connection_that_is_not_there_belongs_to_nobody(owner_of: platform.OwnerOf) -> None:
    assert owner_of(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
    assert owner_of(("::1", 1), ("::1", 2)) is None


@LINUX
@needs_ipv6
def test_a_dual_stack_listener_sees_ipv4_clients_as_what_they_are() -> None:
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])),
    ):
        server, client = listener.accept()
        with server:
            assert client[0] == "::ffff:127.0.0.1"
            found = platform.tcp_peer(client[:2], server.getsockname()[:2], platform.tcp_owners())
            assert found == Peer("tcp", os.geteuid())


@LINUX
@pytest.mark.parametrize("owner_of", WAYS)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_users_connection_is_told_from_ours(owner_of: platform.OwnerOf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        listener.settimeout(60)
        source = (
            f"import os, socket; os.setuid(65534); s = socket.socket(); s.connect(('127.0.0.1', {port})); s.recv(1)"
        )
        with subprocess.Popen([sys.executable, "-c", source], cwd="/"):
            server, client = listener.accept()
            with server:
                assert owner_of(client, server.getsockname()) == 65534


@LINUX
def test_this_machine_can_tell_tcp_owners() -> None:
    assert platform.tcp_owners() is not None


def test_a_unix_peer_is_the_process_that_connected() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert platform.unix_peer(ours) == Peer("unix", os.geteuid(), os.getpid())


def test_a_peer_of_another_machine_is_not_local_and_one_over_our_own_address_is() -> None:
    def owner_of(client: platform.Address, server: platform.Address) -> int:
        return 7

    assert platform.tcp_peer(("192.0.2.1", 1), ("192.0.2.9", 2), owner_of) == Peer("tcp", local=False)
    assert platform.tcp_peer(("192.0.2.9", 1), ("192.0.2.9", 2), owner_of) == Peer("tcp", 7)
    assert platform.tcp_peer(("127.0.0.1", 1), ("127.0.0.1", 2), None) == Peer("tcp")


@pytest.mark.parametrize(
    ("host", "stays"),
    [
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:192.0.2.1", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_loopback_is_an_address_and_not_a_name(host: str, stays: bool) -> None:
    assert platform.is_loopback(host) is stays


def test_directories_follow_xdg_and_our_own_variables() -> None:
    home = {"HOME": "/users/me"}
    assert platform.config_dir(home) == Path("/users/me/.config/woollama")
    assert platform.state_dir(home) == Path("/users/me/.local/state/woollama")
    assert platform.data_dir(home) == Path("/users/me/.local/share/woollama")
    assert platform.runtime_dir(home) == Path("/users/me/.local/state/woollama/run")
    xdg = {**home, "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "XDG_DATA_HOME": "/d", "XDG_RUNTIME_DIR": "/r"}
    assert platform.config_dir(xdg) == Path("/c/woollama")
    assert platform.state_dir(xdg) == Path("/s/woollama")
    assert platform.data_dir(xdg) == Path("/d/woollama")
    assert platform.runtime_dir(xdg) == Path("/r")
    assert platform.runtime_dir({**home, "XDG_RUNTIME_DIR": "relative"}) == platform.runtime_dir(home)
    own = {**xdg, "WOOLLAMA_CONFIG_DIR": "/mine/config", "WOOLLAMA_STATE_DIR": "/mine/state"}
    assert (platform.config_dir(own), platform.state_dir(own)) == (Path("/mine/config"), Path("/mine/state"))


def test_a_private_directory_is_made_or_refused(tmp_path: Path) -> None:
    made = platform.private_dir(tmp_path / "a" / "run")
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o755)
    assert platform.private_dir(made) == made
    made.chmod(0o770)
    with pytest.raises(Unsafe, match="0770"):
        platform.private_dir(made)
    (tmp_path / "file").touch()
    with pytest.raises(Unsafe):
        platform.private_dir(tmp_path / "file")


def test_sockets_passed_to_another_process_are_not_taken_and_the_variables_go() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "x", "KEPT": "yes"}
    assert platform.passed_sockets(environ) == []
    assert environ == {"KEPT": "yes"}
    assert platform.passed_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}) == []
