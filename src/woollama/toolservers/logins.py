"""What logins to tool servers are kept: a file of the owner's for each server and its address.

`woollama login` writes it, whoever speaks to the server reads it anew when it is another one, and writes back what was
renewed. Nobody else has it in clear: it is 0600, in a directory of 0700.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from woollama.platform import private_dir, write_private

log = logging.getLogger("woollama.logins")
_ODD = re.compile(r"[^A-Za-z0-9_-]")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Login:
    """What a login gave: its tokens, until when they are good (unix time), who we are there, and who says so.

    `tokens`, `client`, `metadata` (of the authorization server) and `resource` are objects of OAuth as they came.
    """

    server: str
    url: str
    tokens: Json = field(repr=False)
    client: Json = field(repr=False)
    metadata: Json | None = None
    resource: Json | None = None
    expires_at: float | None = None


class LoginFile:
    """The login at one server. `needed` says why there must be another one than that of `refused`, its stamp, since
    somebody has found that out."""

    def __init__(self, server: str, url: str, file: Path, told: Callable[[str], None]) -> None:
        self.server = server
        self.url = url
        self.needed: str | None = None
        self.refused: object = None
        self._file = file
        self._told = told

    def __repr__(self) -> str:
        return f"<LoginFile of {self.server!r}{', needed' if self.needed else ''}>"

    def stamp(self) -> object:
        """Another one after each change of the file; `None` without a file."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    @property
    def renewed(self) -> bool:
        """Whether there is another one than what was refused."""
        return self.stamp() != self.refused

    def read(self) -> Login | None:
        try:
            login = Login(**json.loads(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            log.warning("%s cannot be read, so there is no login at %s: %s", self._file, self.server, error)
            return None
        for secret in (login.tokens.get("access_token"), login.tokens.get("refresh_token")):
            self._told(str(secret or ""))
        self._told(str(login.client.get("client_secret") or ""))
        return login

    def write(self, login: Login) -> None:
        """Raises `OSError` and `Unsafe`."""
        private_dir(self._file.parent)
        write_private(self._file, json.dumps(asdict(login), indent=1))

    def forget(self) -> bool:
        """Whether there was one."""
        try:
            self._file.unlink()
        except FileNotFoundError:
            return False
        return True


class Logins:
    """`told` hears every secret that is read, before anybody gets it."""

    def __init__(self, directory: Path, told: Callable[[str], None] = lambda secret: None) -> None:
        self._directory = directory
        self._told = told
        self._files: dict[tuple[str, str], LoginFile] = {}

    def __repr__(self) -> str:
        return f"<Logins in {self._directory}>"

    def of(self, server: str, url: str) -> LoginFile:
        if (server, url) not in self._files:
            digest = hashlib.sha256(url.encode()).hexdigest()[:16]
            file = self._directory / f"{_ODD.sub('_', server)[:40]}-{digest}.json"
            self._files[server, url] = LoginFile(server, url, file, self._told)
        return self._files[server, url]
