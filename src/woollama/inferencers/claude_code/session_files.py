"""Where sessions of `claude` are: a directory of ours for each, in which it works, and a transcript, which is its own.

It finds a session again in the directory in which it was begun, and only there. Its transcripts stay where it keeps
them, beside its login: a place of our own for them would be one without a login.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

from woollama.domain.errors import UpstreamUnreachable
from woollama.platform import Unsafe, private_dir

_BEGUN = "begun"


class SessionFiles:
    """In `directory`, of a `claude` with the environment `env`. Sessions are named by UUIDs."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self._directory = directory
        self._own = Path(env.get("CLAUDE_CONFIG_DIR") or Path(env.get("HOME") or "~").expanduser() / ".claude")

    def __repr__(self) -> str:
        return f"<SessionFiles in {self._directory}>"

    def make(self) -> str:
        session = str(uuid4())
        try:
            private_dir(self._directory)
            private_dir(self._directory / session)
        except Unsafe as error:
            raise UpstreamUnreachable(f"there is no directory for a session of claude: {error}") from error
        return session

    def directory(self, session: str) -> Path:
        """Raises `UpstreamUnreachable` where the session was not made here, as on another machine."""
        directory = self._directory / str(UUID(session))
        if not directory.is_dir():
            raise UpstreamUnreachable(
                f"the session {session} has no directory here: it is another machine's, or was removed",
                code="session_elsewhere",
            )
        return directory

    def flags(self, session: str) -> Sequence[str]:
        """How it is told to go on with the session, or to begin it.

        One that has never answered may have a transcript all the same: of a turn that a killed daemon was in.
        """
        if (self.directory(session) / _BEGUN).exists() or self._transcripts(session):
            return "--resume", session
        return "--session-id", session

    def note_begun(self, session: str) -> None:
        """From now on it is a loss if the program does not know the session."""
        with suppress(OSError):  # the transcript tells as much
            (self.directory(session) / _BEGUN).touch(mode=0o600)

    def remove(self, session: str) -> None:
        """Raises `UpstreamUnreachable` when something of it is still there."""
        name = str(UUID(session))
        try:
            for path in (*self._transcripts(name), *self._own.glob(f"*/{name}*")):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                if path.parent.parent.name == "projects":
                    with suppress(OSError):  # something of another session is in it
                        path.parent.rmdir()
            with suppress(FileNotFoundError):
                shutil.rmtree(self._directory / name)
        except OSError as error:
            raise UpstreamUnreachable(f"the session {name} cannot be removed: {error}") from error

    def _transcripts(self, session: str) -> Sequence[Path]:
        return list(self._own.glob(f"projects/*/{session}*"))
