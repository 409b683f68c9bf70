"""`woollama service`: the daemon as a systemd user service that the first request starts."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, table

_SYSTEMCTL_S = 60.0
_ON_MACOS = (
    "systemd is not of this system. On macOS have launchd run `woollama serve`: put a LaunchAgent with RunAtLoad and"
    " KeepAlive into ~/Library/LaunchAgents, or start it in a terminal"
)


class Failed(Exception):
    """`str(failed)` says what cannot be done, and what was done before it."""


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "service",
        help="run the daemon as a systemd user service",
        description=(
            "install writes woollama.socket and woollama.service for your user and starts the socket: the first request"
            " starts the daemon. remove takes both back. status says how they are."
        ),
    )
    parser.add_argument("action", choices=("install", "remove", "status"))
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the units and write nothing")
    parser.add_argument("--no-start", action="store_true", help="write the units, and leave systemd alone")


def run(args: argparse.Namespace) -> int:
    if args.action != "install" and (args.only_print or args.no_start):
        complain(f"--print and --no-start belong to install, not to {args.action}")
        return 2
    if sys.platform == "darwin":
        complain(_ON_MACOS)
        return 1
    environ = os.environ
    try:
        match args.action:
            case "install":
                return _install(environ, only_print=args.only_print, start=not args.no_start)
            case "remove":
                return _remove(environ)
            case _:
                return _status(environ)
    except Failed as error:
        complain(error)
        return 1
    except OSError as error:
        complain(f"{error.filename or ''}: {error.strerror}")
        return 1


def _install(environ: Mapping[str, str], *, only_print: bool, start: bool) -> int:
    from woollama.cli.units import SERVICE, SOCKET, units, units_dir
    from woollama.connect import files

    wanted = units(environ, _address(environ))
    directory = units_dir(environ)
    if only_print:
        print("\n".join(f"# {directory / name}\n{text}" for name, text in wanted.items()), end="")
        return 0
    for name in wanted:
        if (old := _read(directory / name)) is not None and not _is_ours(old):
            raise Failed(f"{directory / name} was not written by woollama; nothing was written")
    if start:
        _need_systemd("nothing was written; --no-start writes the units all the same")
        if not _active(SOCKET) and not _active(SERVICE) and (where := _running(environ)):
            raise Failed(f"a daemon that is not of systemd runs at {where}: end it first; nothing was written")
    changed = [name for name, text in wanted.items() if _read(directory / name) != text]
    for name in changed:
        files.write(directory / name, wanted[name])
    for name in wanted:
        print(f"{'written ' if name in changed else 'as it is'} {directory / name}")
    if not start:
        print(f"Not started. systemctl --user daemon-reload && systemctl --user enable --now {SOCKET}")
        return 0
    _call("daemon-reload")
    if changed and _active(SOCKET):
        _call("stop", SERVICE, SOCKET)
    _call("enable", "--now", SOCKET)
    print(f"listening at {_address(environ)} and {Daemon(environ).socket_path}; the first request starts the daemon")
    print(f"systemctl --user start {SERVICE} starts it now, journalctl --user -u woollama shows its log")
    return 0


def _remove(environ: Mapping[str, str]) -> int:
    from woollama.cli.units import SERVICE, SOCKET, units_dir

    directory = units_dir(environ)
    there = [name for name in (SOCKET, SERVICE) if _read(directory / name) is not None]
    if not there:
        print("there is no service of woollama's")
        return 0
    for name in there:
        if not _is_ours(_read(directory / name) or ""):
            raise Failed(f"{directory / name} was not written by woollama; nothing was removed")
    systemd = _has_systemd()
    if systemd:
        _call("disable", "--now", *there)
    for name in there:
        (directory / name).unlink()
        print(f"removed {directory / name}")
    if systemd:
        _call("daemon-reload")
    return 0


def _status(environ: Mapping[str, str]) -> int:
    from woollama.cli.units import units, units_dir

    directory, systemd = units_dir(environ), _has_systemd()
    rows = []
    for name, text in units(environ, _address(environ)).items():
        held = _read(directory / name)
        state = "not installed" if held is None else "installed" if held == text else "installed, of another version"
        active = _asked("is-active", name) if systemd and held is not None else ""
        enabled = _asked("is-enabled", name) if systemd and held is not None else ""
        rows.append((name, state, " ".join(dict.fromkeys(filter(None, (active, enabled))))))
    print(table(rows))
    if not systemd:
        print("no systemd answers for your user here")
    return 0 if all("not installed" not in row[1] for row in rows) else 1


def _address(environ: Mapping[str, str]) -> str:
    """Where TCP listens, as the configuration says; a name as the address that it stands for, as systemd wants it."""
    import socket

    from woollama.config import load
    from woollama.server.listening import DEFAULT_HOST, DEFAULT_PORT, AddressUnusable, join_address, parse_address

    try:
        configured = load(None, environ).config.door.address
        host, port = parse_address(configured or f"{DEFAULT_HOST}:{DEFAULT_PORT}")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
        return join_address((str(found[0]), port))
    except AddressUnusable as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"{configured} is no address that this machine knows: {error.strerror}") from None


def _running(environ: Mapping[str, str]) -> Path | None:
    daemon = Daemon(environ)
    try:
        daemon.get("/healthz")
    except NotRunning:
        return None
    except Refused:
        pass
    return daemon.socket_path


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _is_ours(text: str) -> bool:
    from woollama.cli.units import HEAD

    return text.startswith(HEAD.partition(";")[0])


def _need_systemd(consequence: str) -> None:
    if not _has_systemd():
        raise Failed(f"no systemd answers for your user here (systemctl --user); {consequence}")


def _has_systemd() -> bool:
    from woollama.cli.units import systemctl

    return systemctl() is not None and _systemctl("show-environment").returncode == 0


def _active(unit: str) -> bool:
    return _systemctl("is-active", "--quiet", unit).returncode == 0


def _asked(verb: str, unit: str) -> str:
    return _systemctl(verb, unit).stdout.strip()


def _call(*words: str) -> None:
    done = _systemctl(*words)
    if done.returncode != 0:
        raise Failed(f"systemctl --user {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")


def _systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["systemctl", "--user", *words], capture_output=True, text=True, timeout=_SYSTEMCTL_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"systemctl --user {' '.join(words)} does not come back") from None
