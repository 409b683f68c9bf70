"""What differs between Linux and macOS: who is at the other end of a socket, where files belong, passed sockets.

Every question has one answer for "this platform cannot tell", so that nothing else asks which platform it is.
"""

from __future__ import annotations

import math
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Literal

Address = tuple[str, int]
"""An IP address literal and a port."""
OwnerOf = Callable[[Address, Address], int | None]
"""`owner_of(client, server)` is the uid that owns the client's end of a TCP connection inside this machine.

`None` when the connection has no owner (any more): its process has left, or it comes from elsewhere.
"""


class Unsafe(Exception):
    """A place that other users of this machine could tamper with. `str(error)` says which and why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection. `local` is false for TCP from another machine.

    `uid` is `None` where it is not known: of a local process that has left, or where the platform cannot tell.
    `connected_at_s` is when a unix socket was connected to, in seconds since the start of the machine.
    """

    via: Literal["unix", "tcp"]
    uid: int | None = None
    pid: int | None = None
    local: bool = True
    connected_at_s: float = field(default=math.inf, compare=False)


# --- who is at the other end -----------------------------------------------------------------------------------------

_LOCAL_PEERCRED = 1  # macOS, at level 0 (SOL_LOCAL): struct xucred
_LOCAL_PEERPID = 2


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else math.inf


def unix_peer(sock: socket.socket) -> Peer:
    """The process that connected to a unix socket, as the kernel noted it at that moment."""
    try:
        if sys.platform == "darwin":
            credentials = sock.getsockopt(0, _LOCAL_PEERCRED, 76)
            pid = struct.unpack("i", sock.getsockopt(0, _LOCAL_PEERPID, 4))[0]
            return Peer("unix", struct.unpack_from("I", credentials, 4)[0], pid)
        pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return Peer("unix", uid, pid, connected_at_s=_since_boot_s())
    except OSError:
        return Peer("unix")


def tcp_peer(client: Address, server: Address, owner_of: OwnerOf | None) -> Peer:
    """Who connected from `client` to us at `server`; `owner_of` as `tcp_owners` returned it."""
    client, server = _unmapped(client), _unmapped(server)
    if not is_loopback(client[0]) and client[0] != server[0]:
        return Peer("tcp", local=False)
    return Peer("tcp", None if owner_of is None else owner_of(client, server))


def tcp_owners() -> OwnerOf | None:
    """The cheapest way that works here to tell who owns a local TCP connection, tried on one of our own.

    `None` where there is none (macOS, or a sandbox that hides it).
    """
    for owner_of in (_owner_by_sock_diag, _owner_by_proc):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = listener.getsockname()
            with socket.create_connection(server) as client:
                try:
                    if owner_of(client.getsockname(), server) == os.geteuid():
                        return owner_of
                except OSError:
                    continue
    return None


@lru_cache(128)
def is_loopback(host: str) -> bool:
    """Whether an address literal stays on this machine; a name is not looked up and is not one."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _unmapped(address: Address) -> Address:
    """`::ffff:127.0.0.1` is how a dual-stack socket shows `127.0.0.1`; the kernel's tables know the latter."""
    host = address[0]
    if host.startswith("::ffff:") and "." in host:
        host = host.removeprefix("::ffff:")
    return (host, address[1])


_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR = 2
_NLM_F_REQUEST = 1
_ENOENT = 2
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port id
_REQUEST = struct.Struct("=BBBBI")  # inet_diag_req_v2 before its socket id: family, protocol, extensions, pad, states
_SOCKET_ID = struct.Struct("!HH16s16sIII")  # ports and addresses in network order, interface, cookie
_MESSAGE_TAIL = struct.Struct("=IIIII")  # inet_diag_msg after its socket id: expires, rqueue, wqueue, uid, inode
_NO_COOKIE = 0xFFFFFFFF


def socket_inode(client: Address, server: Address) -> int | None:
    """The number under which the process that connected from `client` to us holds its socket, where that can be told.

    `None` also for a socket that no process holds any more.
    """
    try:
        found = _socket_by_sock_diag(_unmapped(client), _unmapped(server))
    except OSError:
        return None
    return (found[1] or None) if found else None


def _owner_by_sock_diag(client: Address, server: Address) -> int | None:
    found = _socket_by_sock_diag(client, server)
    return _owner(*found) if found else None


def _socket_by_sock_diag(client: Address, server: Address) -> tuple[int, int] | None:
    """Its uid and inode. Asks the kernel for exactly one socket: about 20 microseconds, however many there are."""
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    packed = [socket.inet_pton(family, _without_zone(host)).ljust(16, b"\0") for host in (client[0], server[0])]
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
    body += _SOCKET_ID.pack(client[1], server[1], *packed, 0, _NO_COOKIE, _NO_COOKIE)
    header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(getattr(socket, "AF_NETLINK", -1), socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1.0)
        kernel.sendto(header + body, (0, 0))
        answer = kernel.recv(4096)
    kind = _HEADER.unpack_from(answer)[1]
    if kind == _NLMSG_ERROR:
        number = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        if number == _ENOENT:
            return None
        raise OSError(number, os.strerror(number))
    *_, uid, inode = _MESSAGE_TAIL.unpack_from(answer, _HEADER.size + 4 + _SOCKET_ID.size)
    return uid, inode


def _owner_by_proc(client: Address, server: Address) -> int | None:
    """Search the kernel's table of all sockets: milliseconds where there are many."""
    wanted = f" {_in_proc(client)} {_in_proc(server)} ".encode()
    with open("/proc/net/tcp6" if ":" in client[0] else "/proc/net/tcp", "rb") as table:
        rows = [row for row in table if wanted in row]
    if not rows and ":" not in client[0]:
        mapped = [(f"::ffff:{host}", port) for host, port in (client, server)]
        wanted = f" {_in_proc(mapped[0])} {_in_proc(mapped[1])} ".encode()
        with open("/proc/net/tcp6", "rb") as table:
            rows = [row for row in table if wanted in row]
    if not rows:
        return None
    fields = rows[0].split()
    return _owner(int(fields[7]), int(fields[9]))


def _owner(uid: int, inode: int) -> int | None:
    """A socket whose process has closed it has no inode and is shown as root's: that is nobody's connection."""
    return uid if inode else None


def _in_proc(address: Address) -> str:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, _without_zone(host))
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


def _without_zone(host: str) -> str:
    return host.partition("%")[0]


# --- where files belong ----------------------------------------------------------------------------------------------


def config_dir(environ: Mapping[str, str]) -> Path:
    return _own_dir(environ, "WOOLLAMA_CONFIG_DIR") or _xdg(environ, "XDG_CONFIG_HOME", ".config") / "woollama"


def state_dir(environ: Mapping[str, str]) -> Path:
    return _own_dir(environ, "WOOLLAMA_STATE_DIR") or _xdg(environ, "XDG_STATE_HOME", ".local/state") / "woollama"


def data_dir(environ: Mapping[str, str]) -> Path:
    return _xdg(environ, "XDG_DATA_HOME", ".local/share") / "woollama"


def runtime_dir(environ: Mapping[str, str]) -> Path:
    """Where the socket and the address file lie: `$XDG_RUNTIME_DIR`, else `run` in the state directory.

    Not below the shared temporary directory, where another user could have been first. Only the path: a daemon makes
    or checks the directory with `private_dir`.
    """
    return _absolute(environ.get("XDG_RUNTIME_DIR")) or state_dir(environ) / "run"


def machine_id() -> str:
    """What tells this machine from others of its name, where the system says such a thing; else nothing."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def secret_of(environ: Mapping[str, str], name: str) -> str | None:
    """A secret by the name of its variable: from the environment, or from systemd's credentials."""
    if value := environ.get(name):
        return value
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return None
    try:
        return Path(directory, name).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def private_dir(path: Path) -> Path:
    """Make a directory that is ours alone (0700), or check that an existing one is safe: raises `Unsafe`.

    One that others may read but not write is left as it is: what we put into it has modes of its own.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise Unsafe(f"{path} cannot be used: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        found = path.stat()
    if found.st_uid != os.geteuid():
        raise Unsafe(f"{path} belongs to uid {found.st_uid}, and this process runs as uid {os.geteuid()}")
    if found.st_mode & 0o022:
        raise Unsafe(f"{path} can be written by other users (mode {stat.S_IMODE(found.st_mode):04o}); chmod 0700 it")
    return path


def process_lives(pid: int) -> bool:
    """Whether there is a process of that number, ours or anybody's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def write_private(file: Path, text: str) -> None:
    """Put a file of ours alone (0600) in its place, whole or not at all. Raises `OSError`."""
    beside = file.with_suffix(f".{os.getpid()}.new")
    try:
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as draft:
            draft.write(text)
            draft.flush()
            os.fsync(draft.fileno())
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _own_dir(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    return Path(value).expanduser().absolute() if value else None


def _xdg(environ: Mapping[str, str], name: str, below_home: str) -> Path:
    return _absolute(environ.get(name)) or Path(environ.get("HOME") or Path.home()) / below_home


def _absolute(value: str | None) -> Path | None:
    """XDG: a relative path in one of its variables is invalid and ignored."""
    return Path(value) if value and os.path.isabs(value) else None


# --- the terminal ----------------------------------------------------------------------------------------------------


def has_terminal() -> bool:
    """Whether this process has a controlling terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


# --- sockets passed by a supervisor ----------------------------------------------------------------------------------

_FIRST_PASSED_FD = 3


def passed_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The listening sockets that systemd (or another parent) passed by `LISTEN_FDS`, at most once.

    The variables are removed and the sockets are not inherited, so that no child takes them for its own.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    passed = []
    for fd in range(_FIRST_PASSED_FD, _FIRST_PASSED_FD + int(count)):
        os.set_inheritable(fd, False)
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            passed.append(socket.socket(fileno=fd))
    return passed
