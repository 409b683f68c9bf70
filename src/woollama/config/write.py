"""Changing a configuration file: nobody ever sees half of it, and nobody else's change is lost."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TRIES = 5


class NotWritten(Exception):
    """The file is as it was. `str(error)` says why."""


def change_file(file: Path, change: Callable[[str], str]) -> bool:
    """Put what `change` makes of the file's text (empty if there is none) in its place; false if that is the same.

    A symbolic link stays one, permissions stay, a new file is its owner's alone. `change` is called again if somebody
    else was faster; what it raises is raised, and the file is then as it was. Raises `NotWritten`.
    """
    try:
        file = file.resolve()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(file.parent):
            for _ in range(TRIES):
                before = _read(file)
                text = change((before or b"").decode("utf-8-sig"))
                after = text.encode()
                if before is not None and before.startswith(b"\xef\xbb\xbf"):
                    after = b"\xef\xbb\xbf" + after
                if after == before:
                    return False
                if _replace(file, before, after):
                    return True
    except UnicodeDecodeError as error:
        raise NotWritten(f"{file} is not UTF-8 text: {error.reason}") from error
    except OSError as error:
        raise NotWritten(f"{error.filename or file}: {error.strerror or error}") from error
    raise NotWritten(f"{file} is being changed by another program; try again")


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """One of us at a time. The directory itself is locked: a lock file would lie around in it."""
    locked = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(locked, fcntl.LOCK_EX)
        yield
    finally:
        os.close(locked)


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _replace(file: Path, before: bytes | None, after: bytes) -> bool:
    """False if the file is no longer what it was `before`: editors do not ask for our lock."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(after)
            opened.flush()
            os.fsync(descriptor)
            if before is not None:
                _like(file, descriptor)
        if fresh.read_bytes() != after:
            raise NotWritten(f"{file.parent} did not keep what was written to it")
        if _read(file) != before:
            return False
        fresh.replace(file)
        return True
    finally:
        with suppress(FileNotFoundError):
            fresh.unlink()


def _like(file: Path, descriptor: int) -> None:
    """The permissions of `file`, and its owner where we may give files away."""
    found = file.stat()
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
    with suppress(PermissionError):
        os.fchown(descriptor, found.st_uid, found.st_gid)
