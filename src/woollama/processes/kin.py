"""Who must not answer what a person is asked: other users, and our own children, which tool servers are.

A child cannot get out of the tree below the supervisor: what it forks off falls to its keeper. So over the unix socket
the ancestors of the peer tell, and over TCP whether anybody below the supervisor holds the other end of the connection.
What cannot be told is not trusted: a peer that has gone, a process that hides what it holds.

A program that gets a stranger to act for it (a service manager, a debugger) is not found out; nothing short of another
user or a sandbox could prevent that, for the same user can also read the files of this one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from woollama.platform import Address, Peer, socket_inode
from woollama.processes.supervisor import descendants

_PROC = Path("/proc/self/stat")
_PS_TIMEOUT_S = 5.0
_CLOCK_SLACK_S = 0.02
"""Start times are told in hundredths of a second."""


class Kin:
    """`supervisor_pid` is that of the supervisor that runs now, if one does."""

    def __init__(self, supervisor_pid: Callable[[], int | None]) -> None:
        self._supervisor_pid = supervisor_pid

    def __repr__(self) -> str:
        return f"<Kin below {self._supervisor_pid()}>"

    def may_answer(self, peer: Peer | None, client: Address | None, server: Address | None) -> bool:
        """Whether the program at the other end of a connection can be a person's.

        One on another machine has shown the token to get this far.
        """
        root = self._supervisor_pid()
        if peer is None or peer.uid not in (None, os.geteuid()):
            return False
        if root is None or not peer.local:  # there are no children, or they are not there
            return True
        if peer.via == "unix":
            return peer.pid is not None and root not in (_lineage(peer) or (root,))
        return client is not None and server is not None and not self._holds(root, client, server)

    def _holds(self, root: int, client: Address, server: Address) -> bool:
        if not _PROC.exists():
            return False  # only a token, or a page's nonce, stands in the way here
        inode = socket_inode(client, server)
        return inode is None or any(_has_open(pid, f"socket:[{inode}]") for pid in descendants(root))


def _lineage(peer: Peer) -> list[int] | None:
    """The peer's process and its ancestors; `None` where that process is not there, or is younger than the peer."""
    if not _PROC.exists():
        return _up(peer.pid or 0, _parents())
    pid = peer.pid or 0
    found: list[int] = []
    while pid > 0:
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return None
        fields = stat.rpartition(b")")[2].split()
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        if not found and started_s > peer.connected_at_s + _CLOCK_SLACK_S:
            return None  # another process has its number now
        found.append(pid)
        pid = int(fields[1])
    return found or None


def _up(pid: int, parents: Mapping[int, int]) -> list[int] | None:
    found: list[int] = []
    while pid in parents and pid not in found:
        found.append(pid)
        pid = parents[pid]
    return found or None


def _parents() -> Mapping[int, int]:
    """Every process with its parent, where there is no /proc."""
    try:
        told = subprocess.run(
            ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, timeout=_PS_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return {int(pid): int(parent) for pid, parent in (line.split() for line in told.splitlines() if line.strip())}


def _has_open(pid: int, what: str) -> bool:
    """Whether it holds that, or does not let us see what it holds."""
    directory = f"/proc/{pid}/fd"
    try:
        return any(_target(f"{directory}/{name}") == what for name in _listed(directory))
    except PermissionError:
        return True


def _listed(directory: str) -> Iterable[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:  # it has just ended
        return ()


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""
