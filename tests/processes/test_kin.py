"""Who may answer: ancestors over the unix socket, holders of sockets over TCP, and what cannot be told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from woollama.platform import Peer, socket_inode, tcp_owners, unix_peer
from woollama.processes.kin import Kin

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
needs_owners = pytest.mark.skipif(tcp_owners() is None, reason="this platform cannot tell whose a connection is")

CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"
CONNECT_TCP = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"


def peer_of(listener: socket.socket) -> Peer:
    accepted, _ = listener.accept()
    with accepted:
        return unix_peer(accepted)


OURS = Kin(os.getpid)
"""As if this process were the supervisor: what it starts is below it."""
STRANGER = Kin(lambda: 1 << 30)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        yield sock


def test_a_child_is_told_by_its_ancestors_and_anybody_else_may(listener: socket.socket) -> None:
    with subprocess.Popen([sys.executable, "-c", CONNECT, listener.getsockname()], stdin=subprocess.PIPE) as child:
        peer = peer_of(listener)
        assert peer.pid == child.pid
        assert not OURS.may_answer(peer, None, None)
        assert STRANGER.may_answer(peer, None, None)
        assert not STRANGER.may_answer(replace(peer, uid=os.geteuid() + 1), None, None)
        child.communicate()
    assert not STRANGER.may_answer(peer, None, None), "who has gone cannot be asked who it was"


def test_a_process_that_is_younger_than_the_connection_is_another_one(listener: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect(listener.getsockname())
        peer = peer_of(listener)
    assert STRANGER.may_answer(peer, None, None)
    assert not STRANGER.may_answer(replace(peer, connected_at_s=0.0), None, None)


@needs_owners
def test_over_tcp_a_child_is_told_by_what_it_holds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = listener.getsockname()
        command = [sys.executable, "-c", CONNECT_TCP, str(here[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
            connection, there = listener.accept()
            with connection:
                peer = Peer("tcp", os.geteuid())
                assert socket_inode(there, here)
                assert not OURS.may_answer(peer, there, here)
                assert STRANGER.may_answer(peer, there, here)
                child.communicate()
                assert not STRANGER.may_answer(peer, there, here), "nobody holds the other end any more"


def test_where_there_are_no_children_there_is_nobody_to_fear() -> None:
    assert Kin(lambda: None).may_answer(Peer("unix", os.geteuid()), None, None)
    assert not STRANGER.may_answer(Peer("unix", os.geteuid(), None), None, None)
    assert not STRANGER.may_answer(None, None, None)


def test_from_another_machine_the_token_is_what_counts() -> None:
    assert OURS.may_answer(Peer("tcp", local=False), ("192.0.2.1", 1), ("192.0.2.2", 2))


def test_without_proc_the_ancestors_come_from_ps(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    monkeypatch.setattr("woollama.processes.kin._PROC", Path("/nonexistent"))
    monkeypatch.setattr("woollama.processes.kin._parents", lambda: {os.getpid(): os.getppid(), 7: os.getpid(), 9: 1})
    assert not OURS.may_answer(Peer("unix", os.geteuid(), 7), None, None)
    assert OURS.may_answer(Peer("unix", os.geteuid(), 9), None, None)
    assert not OURS.may_answer(Peer("unix", os.geteuid(), 8), None, None)
