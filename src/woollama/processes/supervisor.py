"""The supervisor process. A program of its own: `python -I -S -E supervisor.py SOCKET_FD DAEMON_PID [reduced]`.

It uses the standard library alone, because it is forked from for every child and should stay small, and it must not
break when the daemon's packages do. The promise: whoever of daemon, supervisor and keeper dies in whatever way, the
processes below are ended, also those that forked twice, left their session or emptied their environment.

    daemon ── supervisor ──┬── keeper ── server ── whatever it forks
                           └── keeper ── …

- The *daemon* makes a child's pipes and a control socket, and sends the far ends over SOCKET_FD: one byte with four
  descriptors (stdin, stdout, stderr, control). Nothing else is ever said on that socket.
- The *supervisor* forks one *keeper* for it. A keeper reads what to run from its control socket (one line of JSON:
  argv, env, cwd, grace_s), runs it, and says what happens there, one JSON object a line: `started`, `failed`, `exited`
  and `gone`, when nothing is left. Anything that the daemon writes after that first line means stop.
- A keeper ends its tree (SIGTERM, `grace_s`, SIGKILL until nobody is left) when it is told to, when the leader exits,
  when the daemon is gone (end of the control socket, or its pidfd: a forked copy of the daemon may hold the socket
  open) and when the supervisor is gone (end of the lifeline, a pipe whose other end only the supervisor holds).
- A keeper is a *subreaper*: orphans below it become its children, so `waitpid` alone tells when all are gone, and
  whose they were. When a keeper itself is killed, the kernel kills its server (parent-death signal) and its orphans
  fall to the supervisor, which kills whatever is below it and no keeper.

Where the system has none of this (macOS), the mode is *reduced*: a tree is the leader's process group.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time

try:
    import ctypes
except ImportError:  # an interpreter built without libffi
    ctypes = None  # type: ignore[assignment]

SPAWN_FDS = 4
SWEEP_MS = 20
SPEC_CHUNK_BYTES = 1 << 16

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Kernel:
    """What this system offers to keep track of processes. The only place that asks which system it is."""

    def __init__(self, reduced: bool) -> None:
        self._prctl = None if reduced or ctypes is None else getattr(ctypes.CDLL(None), "prctl", None)
        if self._prctl is not None:
            self._prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
        self._pidfd_open = None if reduced else getattr(os, "pidfd_open", None)
        self.reduced = self._prctl is None or not os.path.exists("/proc/self/stat")

    def adopt_orphans(self) -> None:
        if self._prctl is not None:
            self._prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def die_with_parent(self) -> None:
        if self._prctl is not None:
            self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def death_of(self, pid: int) -> int | None:
        """A descriptor that becomes readable when the process dies, where there is such a thing."""
        try:
            return self._pidfd_open(pid) if self._pidfd_open is not None else None
        except OSError:
            return None

    def signal_tree(self, leader: int, signum: int) -> None:
        if self.reduced:
            send_signal(-leader, signum)
        else:
            for pid in descendants(os.getpid()):
                send_signal(pid, signum)

    def tree_is_gone(self, leader: int) -> bool:
        """Asked once `waitpid` has no child left: in full mode that is the answer itself."""
        if not self.reduced:
            return True
        try:
            os.killpg(leader, 0)
        except OSError:
            return True
        return False


def descendants(root: int, spared: frozenset[int] = frozenset()) -> list[int]:
    """The living processes below `root`, without the `spared` ones and what is below those. One pass over /proc."""
    children: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                # The name in parentheses may hold anything, a parenthesis included: the last one ends it.
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in b"ZX":
            children.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    todo = [root]
    while todo:
        below = [pid for pid in children.get(todo.pop(), ()) if pid not in spared]
        found += below
        todo += below
    return found


def send_signal(pid: int, signum: int) -> None:
    """To a process, or to a process group where `pid` is negative."""
    with contextlib.suppress(OSError):
        os.kill(pid, signum)


def wake_on_signals() -> int:
    """A descriptor that is readable after a signal.

    Handlers instead of SIG_IGN, because a program that is run inherits what is ignored, and not what is handled.
    """
    readable, writable = os.pipe()
    for fd in (readable, writable):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)
    return readable


def drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(fd, 4096)


def read_line(connection: socket.socket) -> bytes | None:
    line = b""
    while not line.endswith(b"\n"):
        chunk = connection.recv(SPEC_CHUNK_BYTES)
        if not chunk:
            return None
        line += chunk
    return line


class Keeper:
    """Runs one program and ends its whole tree. Lives in a fork of the supervisor, and never returns to it."""

    def __init__(self, kernel: Kernel, stdio: list[int], control: int, lifeline: int, daemon: int | None) -> None:
        self._kernel = kernel
        self._stdio = stdio
        self._control = socket.socket(fileno=control)
        self._ends = [fd for fd in (control, lifeline, daemon) if fd is not None]
        self._wake = wake_on_signals()

    def keep(self) -> None:
        line = read_line(self._control)
        if line is None:
            return
        spec = json.loads(line)
        self._kernel.adopt_orphans()
        leader, problem = self._run(spec)
        if problem is not None:
            os.waitpid(leader, 0)
            self._say(event="failed", **problem)
            return
        self._say(event="started", pid=leader)
        self._watch(leader, float(spec["grace_s"]))
        self._say(event="gone")

    def _say(self, **event: object) -> None:
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(event).encode() + b"\n")

    def _run(self, spec: dict[str, object]) -> tuple[int, dict[str, object] | None]:
        """Forks and executes. The pipe closes by itself when the program runs; else it carries the problem."""
        parent = os.getpid()
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writable, json.dumps(self._execute(spec, parent)).encode())
            os._exit(127)
        for fd in (writable, *self._stdio):
            os.close(fd)
        problem = os.read(readable, 1 << 16)
        os.close(readable)
        return pid, json.loads(problem) if problem else None

    def _execute(self, spec: dict[str, object], parent: int) -> dict[str, object]:
        """Becomes the program; returns only to say why it could not."""
        step = "start"
        try:
            os.setsid()
            self._kernel.die_with_parent()
            if os.getppid() != parent:  # it died before we asked to die with it
                os._exit(127)
            signal.set_wakeup_fd(-1)
            for signum in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that is inherited
                signal.signal(signum, signal.SIG_DFL)
            if spec["cwd"]:
                step = "cwd"
                os.chdir(str(spec["cwd"]))
            for number, fd in enumerate(self._stdio):
                os.dup2(fd, number)
            step = "command"
            argv, env = spec["argv"], spec["env"]
            assert isinstance(argv, list)
            assert isinstance(env, dict)
            os.execvpe(argv[0], argv, env)
        except BaseException as error:
            return {"step": step, "errno": getattr(error, "errno", None) or 0, "error": str(error)}

    def _watch(self, leader: int, grace_s: float) -> None:
        poll = select.poll()
        for fd in (self._wake, *self._ends):
            poll.register(fd, select.POLLIN)
        kill_at: float | None = None
        while True:
            ready = {fd for fd, _ in poll.poll(None if kill_at is None else SWEEP_MS)}
            drain(self._wake)
            stop = bool(ready - {self._wake})
            exited, childless = self._reap(leader)
            if childless and self._kernel.tree_is_gone(leader):
                return
            if kill_at is None and (stop or exited):
                for fd in self._ends:
                    poll.unregister(fd)
                kill_at = time.monotonic() + grace_s
                self._kernel.signal_tree(leader, signal.SIGTERM)
            elif kill_at is not None and time.monotonic() >= kill_at:
                self._kernel.signal_tree(leader, signal.SIGKILL)

    def _reap(self, leader: int) -> tuple[bool, bool]:
        """Whether the leader has just exited, and whether no child is left."""
        exited = False
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return exited, False
                if pid == leader:
                    exited = True
                    self._say(event="exited", code=os.waitstatus_to_exitcode(status))
        except ChildProcessError:
            return exited, True


class Supervisor:
    """Forks keepers, and kills what a killed keeper left. Ends when the daemon has gone and no keeper is left."""

    def __init__(self, kernel: Kernel, requests: socket.socket, daemon_pid: int) -> None:
        self._kernel = kernel
        self._requests = requests
        self._daemon = kernel.death_of(daemon_pid)
        self._lifeline, self._lifeline_held = os.pipe()
        self._wake = wake_on_signals()
        self._keepers: set[int] = set()

    def run(self) -> None:
        self._kernel.adopt_orphans()
        gc.freeze()  # a collection in a keeper would touch, and so copy, every page that it shares with us
        self._requests.sendall(b"r")
        poll = select.poll()
        ends = [fd for fd in (self._requests.fileno(), self._daemon) if fd is not None]
        for fd in (self._wake, *ends):
            poll.register(fd, select.POLLIN)
        wanted, orphans = True, False
        while wanted or self._keepers or orphans:
            ready = {fd for fd, _ in poll.poll(SWEEP_MS if orphans else None)}
            drain(self._wake)
            orphans = (self._reap() or orphans) and self._kill_orphans()
            if wanted and ready - {self._wake}:
                wanted = self._daemon not in ready and self._serve_one()
                if not wanted:
                    for fd in ends:
                        poll.unregister(fd)

    def _reap(self) -> bool:
        """Whether a child has ended: only then can there be orphans of a keeper's tree."""
        ended = False
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                self._keepers.discard(pid)
                ended = True
        return ended

    def _kill_orphans(self) -> bool:
        if self._kernel.reduced:
            return False
        orphans = descendants(os.getpid(), frozenset(self._keepers))
        for pid in orphans:
            send_signal(pid, signal.SIGKILL)
        return bool(orphans)

    def _serve_one(self) -> bool:
        """Takes one request and forks its keeper. False when the daemon has closed the socket."""
        try:
            # recvmsg and not socket.recv_fds: that one ignores its flags in Python 3.11, and the descriptors of
            # one child would leak into the next.
            request, ancillary, *_ = self._requests.recvmsg(
                1, socket.CMSG_SPACE(4 * SPAWN_FDS), getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except ConnectionError:
            return False
        fds = [fd for *_, data in ancillary for fd in memoryview(data).cast("i")]
        for fd in fds:
            os.set_inheritable(fd, False)
        try:
            if len(fds) == SPAWN_FDS:
                self._fork_keeper(fds[:3], fds[3])
        except OSError as error:  # no more processes: the daemon sees the end of the control socket
            sys.stderr.write(f"woollama supervisor: {error}\n")
        finally:
            for fd in fds:
                os.close(fd)
        return bool(request)

    def _fork_keeper(self, stdio: list[int], control: int) -> None:
        pid = os.fork()
        if pid:
            self._keepers.add(pid)
            return
        try:
            for fd in (self._requests.detach(), self._lifeline_held, self._wake):
                os.close(fd)
            Keeper(self._kernel, stdio, control, self._lifeline, self._daemon).keep()
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(0)


def fill_standard_fds() -> None:
    """A descriptor of a child must not be 0, 1 or 2 here: it is put there later, over whatever is there."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def main(requests_fd: int, daemon_pid: int, reduced: bool) -> None:
    fill_standard_fds()
    requests = socket.socket(fileno=requests_fd)
    requests.set_inheritable(False)
    supervisor = Supervisor(Kernel(reduced), requests, daemon_pid)
    if os.getppid() == daemon_pid:  # else it died before we had its pidfd, and there is nobody to serve
        supervisor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), "reduced" in sys.argv[3:])
