"""A PostgreSQL of the test's own: a fresh cluster in a temporary directory, reached through a unix socket in it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_S = 60.0


def programs() -> Path | None:
    """Where the server's programs are; distributions keep them out of the way."""
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((directory for directory in found if (directory / "postgres").exists()), None)


needs_postgres = pytest.mark.skipif(programs() is None, reason="PostgreSQL's server is not installed")


@contextmanager
def postgres() -> Iterator[str]:
    """A running server; its URL."""
    where = programs()
    assert where, "guard the test with needs_postgres"
    with tempfile.TemporaryDirectory(prefix="pg-") as directory:
        data = Path(directory, "data")
        # PostgreSQL refuses to run as root
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)

        def run(words: Sequence[str | Path]) -> None:
            subprocess.run(
                words,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                cwd=directory,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": directory},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
                timeout=PATIENCE_S,
            )

        run([where / "initdb", "--no-sync", "--auth=trust", "--username=woollama", "--encoding=UTF8", data])
        settings = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off -c max_connections=40"
        run([where / "pg_ctl", "-D", data, "-w", "-o", settings, "-l", Path(directory, "log"), "start"])
        try:
            yield f"postgresql:///postgres?host={directory}&user=woollama"
        finally:
            run([where / "pg_ctl", "-D", data, "-m", "immediate", "stop"])
