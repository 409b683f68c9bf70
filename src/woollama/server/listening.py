"""Where the daemon can be reached: one instance per runtime directory, its sockets, its address file.

The lock, not the socket file, decides who is running: it ends with its process, whatever ended that. So a socket file
without a holder of the lock is a leftover, unless something answers on it all the same (an older woollama, which knows
no lock); a live one is never taken.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from woollama.platform import Address, Unsafe, is_loopback

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 11435
_BACKLOG = 2048
_PROBE_S = 1.0
_LONGEST_UNIX_PATH_BYTES = 103  # macOS; Linux takes 107


class AlreadyRunning(Exception):
    """Another instance holds this runtime directory. `str(error)` says where it is."""


class AddressUnusable(Exception):
    """The wanted address cannot be had, or makes no sense. `str(error)` says why."""


def parse_address(text: str) -> Address:
    """`host:port`, `[v6]:port`, a host alone (default port) or `:port` (loopback), unresolved.

    Raises `AddressUnusable`.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon or text.strip().endswith("]"):
        host, port = text.strip(), str(DEFAULT_PORT)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AddressUnusable(f"{text!r} is no address: an IPv6 address stands in brackets, as in [::1]:{DEFAULT_PORT}")
    if not port.isdecimal() or int(port) > 65535:
        raise AddressUnusable(f"{text!r} is no address: write HOST:PORT, for example {DEFAULT_HOST}:{DEFAULT_PORT}")
    return host or DEFAULT_HOST, int(port)


def join_address(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listening:
    """The open door. Use as a context manager: leaving it removes every file that it made."""

    def __init__(self, runtime_dir: Path) -> None:
        self.runtime_dir = runtime_dir
        self.unix_path = runtime_dir / "woollama.sock"
        self.address_path = runtime_dir / "woollama.addr"
        self.lock_path = runtime_dir / "woollama.lock"
        self.sockets: list[socket.socket] = []
        self.address: Address | None = None
        self._lock: int | None = None
        self._socket_id: tuple[int, int] | None = None
        self._wrote_address = False

    def __repr__(self) -> str:
        where = [str(self.unix_path), *([join_address(self.address)] if self.address else [])]
        return f"<Listening at {' and '.join(where)}>"

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """What clients on this machine use as the base of their URLs."""
        return f"http://{join_address(_reachable(self.address or (DEFAULT_HOST, 0)))}"

    def open(
        self, wanted: Address | None = None, *, passed: Sequence[socket.socket] = (), allow_remote: bool = False
    ) -> None:
        """Lock, listen on both sockets, write the address file.

        `wanted` is an address to have or to fail at; without one it is the default, or any free port where that is
        taken. Sockets `passed` by a supervisor stand in for those of their kind and stay the supervisor's. Raises
        `AlreadyRunning`, `AddressUnusable` or, where other machines could connect without `allow_remote`, `Unsafe`.
        """
        self.sockets += passed
        with self._writing(self.lock_path):
            self._take_lock()
        unix = [sock for sock in passed if sock.family == socket.AF_UNIX]
        tcp = [sock for sock in passed if sock.family != socket.AF_UNIX]
        if not unix:
            self.sockets.append(self._bind_unix())
        if not tcp:
            tcp = [_bind_tcp(wanted)]
            self.sockets += tcp
        for sock in tcp:
            host, port = sock.getsockname()[:2]
            if not (allow_remote or is_loopback(host)):
                raise Unsafe(
                    f"{join_address((host, port))} can be reached from other machines; set WOOLLAMA_TOKEN first"
                )
            _listen(sock)
        self.address = tcp[0].getsockname()[:2]
        with self._writing(self.address_path):
            self._write_address()

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.remove_files()

    def remove_files(self) -> None:
        """Remove what was made here, and nothing that somebody else put in its place. May be called twice."""
        socket_id, self._socket_id = self._socket_id, None
        with suppress(OSError):
            if socket_id is not None and _identity(self.unix_path) == socket_id:
                self.unix_path.unlink()
        with suppress(OSError):
            if self._wrote_address:
                self.address_path.unlink()
        lock, self._lock = self._lock, None
        with suppress(OSError):
            if lock is not None:
                # Removed while it is held: who takes it next will notice that it has the lock of a file that is gone.
                self.lock_path.unlink()
                os.close(lock)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """A full or read-only disk, or something else in the file's place, is told and no defect."""
        try:
            yield
        except OSError as error:
            raise AddressUnusable(f"{path} cannot be written: {error.strerror}") from error

    def _take_lock(self) -> None:
        while True:
            held = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(held, 32, 0).decode("ascii", "replace").strip()
                os.close(held)
                raise AlreadyRunning(self._where_the_other_is(pid)) from None
            with suppress(FileNotFoundError):
                found = os.fstat(held)
                if _identity(self.lock_path) == (found.st_dev, found.st_ino):
                    break
            os.close(held)
        self._lock = held
        os.ftruncate(held, 0)
        os.pwrite(held, f"{os.getpid()}\n".encode(), 0)

    def _where_the_other_is(self, pid: str) -> str:
        with suppress(OSError):
            address = self.address_path.read_text("ascii").strip()
            return f"woollama is already running (pid {pid or '?'}) at http://{address} and {self.unix_path}"
        return f"woollama is already running or starting (pid {pid or '?'}) at {self.unix_path}"

    def _bind_unix(self) -> socket.socket:
        path = str(self.unix_path)
        if len(os.fsencode(path)) > _LONGEST_UNIX_PATH_BYTES:
            raise AddressUnusable(f"the path {path} is too long for a socket; set XDG_RUNTIME_DIR to a shorter one")
        self._clear_leftover()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A mask, not a chmod afterwards: there is no moment at which somebody else could connect.
        mask = os.umask(0o177)
        try:
            sock.bind(path)
        except OSError as error:
            sock.close()
            raise AddressUnusable(f"the socket {path} cannot be made: {error.strerror}") from error
        finally:
            os.umask(mask)
        self._socket_id = _identity(self.unix_path)
        sock.listen(_BACKLOG)
        return sock

    def _clear_leftover(self) -> None:
        try:
            if not stat.S_ISSOCK(self.unix_path.lstat().st_mode):
                raise Unsafe(f"{self.unix_path} is there and is not a socket; remove it if nobody needs it")
        except FileNotFoundError:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PROBE_S)
            try:
                probe.connect(str(self.unix_path))
            except (ConnectionRefusedError, FileNotFoundError):
                self.unix_path.unlink(missing_ok=True)
                return
            except OSError as error:  # full backlog, or not ours to connect to: somebody is there
                raise AlreadyRunning(f"another program listens at {self.unix_path} ({error.strerror})") from error
        raise AlreadyRunning(f"another program listens at {self.unix_path}")

    def _write_address(self) -> None:
        assert self.address is not None
        draft = self.address_path.with_suffix(".addr.new")
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(join_address(_reachable(self.address)) + "\n")
        draft.replace(self.address_path)
        self._wrote_address = True


def _bind_tcp(wanted: Address | None) -> socket.socket:
    if wanted is not None:
        return _bind(wanted)
    try:
        sock = _bind((DEFAULT_HOST, DEFAULT_PORT))
        try:
            _listen(sock)  # at once: until somebody listens, several can be bound to it
        except AddressUnusable:
            sock.close()
            raise
        return sock
    except AddressUnusable as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            return _bind((DEFAULT_HOST, 0))
        raise


def _listen(sock: socket.socket) -> None:
    try:
        sock.listen(_BACKLOG)
    except OSError as error:
        where = join_address(sock.getsockname()[:2])
        raise AddressUnusable(f"{where} cannot be listened at: {error.strerror}") from error


def _bind(address: Address) -> socket.socket:
    host, port = address
    sock: socket.socket | None = None
    try:
        family, kind, protocol, _, resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(resolved)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise AddressUnusable(f"{join_address(address)} cannot be listened at: {error.strerror}") from error
    return sock


def _reachable(address: Address) -> Address:
    """Nobody can connect to "every address"; on this machine loopback is one of them."""
    return ({"0.0.0.0": DEFAULT_HOST, "::": "::1"}.get(address[0], address[0]), address[1])


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
