"""What logins to tool servers are kept: a file of the owner's for each server and its address.

`woollama login` writes it, whoever speaks to the server reads it anew when it is another one, and writes back what was
renewed. Beside it lies what the server has asked for since then, which the next login asks for in its name. Nobody else
has either in clear: they are 0600, in a directory of 0700.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from woollama.platform import Unsafe, private_dir, write_private

log = logging.getLogger("woollama.logins")
_ODD = re.compile(r"[^A-Za-z0-9_-]")
ALONE_WITHIN_S = 30.0
"""Longer than anybody is alone with a login: that is one request, of bounded time."""
LOOK_S = 0.02
MOST_COMPLAINTS = 16

Json = Mapping[str, Any]
Stamp = tuple[int, int, int]
"""Of a file: another one after each change."""


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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a server has asked for that the login of now does not give, or that there is none for.

    `scope` is what the next login asks for, everything that was asked for before included. `metadata_url` is where the
    server says who logs people in there, as far as it has said so.
    """

    scope: str = ""
    metadata_url: str = ""


@dataclass(frozen=True, slots=True)
class OwnClient:
    """Who we are at an authorization server that registers nobody by itself. Port 0 is any."""

    client_id: str = ""
    client_secret: str | None = field(default=None, repr=False)
    port: int = 0


class LoginFile:
    """The login at one server. `refused` is the stamp of one that was of no use, or `None` for none."""

    def __init__(self, server: str, url: str, file: Path, told: Callable[[str], None]) -> None:
        self.server = server
        self.url = url
        self.refused: Stamp | None = None
        self._file = file
        self._wanted_file = file.with_suffix(".wanted")
        self._login: tuple[Stamp | None, Login | None] = (None, None)
        self._wanted: tuple[Stamp | None, Wanted | None] = (None, None)
        self._told = told
        self.asking = asyncio.Lock()
        self.asked_about: set[Wanted | None] = set()
        """What people were asked for in the middle of a call: for that nobody is asked again."""
        self._complaints: deque[str] = deque(maxlen=MOST_COMPLAINTS)

    def __repr__(self) -> str:
        return f"<LoginFile of {self.server!r}>"

    @property
    def command(self) -> str:
        """What gives another one."""
        return f"`woollama login {self.server}`"

    def stamp(self) -> Stamp | None:
        """Another one after each change of the login; `None` without one."""
        return _stamp(self._file)

    @property
    def renewed(self) -> bool:
        """Whether there is another one than what was refused."""
        return self.stamp() != self.refused

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """One of us at a time, of all processes, with the login as it is now. Raises `TimeoutError`.

        A refresh token is good for one use: whoever is second has to read what the first one was given for it. The
        login itself is locked, so nobody waits where there is none.
        """
        descriptor = await self._locked()
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    async def _locked(self) -> int | None:
        deadline = time.monotonic() + ALONE_WITHIN_S
        while True:
            try:
                descriptor = os.open(self._file, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                return None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = os.fstat(descriptor)
                if (stamp := self.stamp()) is not None and stamp[0] == found.st_ino:
                    return descriptor
                # Meanwhile another login lies in its place: that is the one to be alone with.
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise TimeoutError from None
                os.close(descriptor)
                await asyncio.sleep(LOOK_S)
                continue
            except OSError as error:  # a file system without locks
                log.debug("%s cannot be locked: %s", self._file, error)
                return descriptor
            os.close(descriptor)

    def read(self) -> Login | None:
        """The login as it is now."""
        if (stamp := self.stamp()) != self._login[0]:
            self._login = (stamp, self._read_login())
        return self._login[1]

    def write(self, login: Login) -> None:
        """Raises `OSError` and `Unsafe`; then it is the login of this process alone, until there is another one."""
        self._tell(login)
        self._login = (self.stamp(), login)
        private_dir(self._file.parent)
        write_private(self._file, json.dumps(asdict(login), indent=1))

    def complain(self, why: str) -> str:
        """The login that was read last is of no use; what people are told about that."""
        self.refused = self._login[0]
        told = f"{why}: {self.command}"
        if told not in self._complaints:
            self._complaints.append(told)
        return told

    def is_complaint(self, why: str) -> bool:
        """Whether that is what people were told of late about a login."""
        return why in self._complaints

    def forget(self) -> bool:
        """Whether there was a login."""
        self.want(None)
        try:
            self._file.unlink()
        except FileNotFoundError:
            return False
        return True

    @property
    def wanted(self) -> Wanted | None:
        """What the next login asks for, if the server has asked for something since the last one."""
        if (stamp := _stamp(self._wanted_file)) != self._wanted[0]:
            self._wanted = (stamp, self._read_wanted())
        return self._wanted[1]

    @property
    def wish(self) -> str | None:
        """What the next login is wanted for, in words for people, and what gives it."""
        return None if (lack := self.lack) is None else f"{lack}: {self.command}"

    @property
    def lack(self) -> str | None:
        """What the next login is wanted for, in words for people."""
        if (wanted := self.wanted) is None:
            return None
        if (login := self.read()) is None:
            return "it wants a login"
        has = str(login.tokens.get("scope") or "").split()
        return wants(scope for scope in wanted.scope.split() if scope not in has)

    def want(self, wanted: Wanted | None) -> None:
        """Keep it for the next login, also for one after a restart."""
        if wanted is None:
            with suppress(OSError):
                self._wanted_file.unlink(missing_ok=True)
        elif wanted != self.wanted:
            try:
                private_dir(self._wanted_file.parent)
                write_private(self._wanted_file, json.dumps(asdict(wanted), indent=1))
            except (OSError, Unsafe) as error:
                log.warning("what %s wants of the next login cannot be kept for it: %s", self.server, error)

    def _read_login(self) -> Login | None:
        try:
            login = _checked(Login(**json.loads(self._file.read_text(encoding="utf-8"))))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            log.warning("%s cannot be read, so there is no login at %s: %s", self._file, self.server, error)
            return None
        self._tell(login)
        return login

    def _tell(self, login: Login) -> None:
        """Whoever must not repeat these secrets knows them first."""
        for secret in (login.tokens.get("access_token"), login.tokens.get("refresh_token")):
            self._told(str(secret or ""))
        self._told(str(login.client.get("client_secret") or ""))

    def _read_wanted(self) -> Wanted | None:
        try:
            wanted = Wanted(**json.loads(self._wanted_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None  # it will be asked for again
        return wanted if all(isinstance(each, str) for each in (wanted.scope, wanted.metadata_url)) else None


def wants(scopes: Iterable[str]) -> str:
    more = ", ".join(scopes)
    return f"it wants a login that also allows {more}" if more else "it wants a login that allows more"


def _stamp(file: Path) -> Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _checked(login: Login) -> Login:
    """Raises `ValueError` for what no version of ours has written."""
    objects = (login.tokens, login.client, login.metadata or {}, login.resource or {})
    if not all(isinstance(each, dict) for each in objects) or not isinstance(login.tokens.get("access_token"), str):
        raise ValueError("it is no login")
    if not isinstance(login.expires_at, float | int | None):
        raise ValueError("expires_at must be a unix time")
    return login


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
