"""A model server that is run by a command of the user's: on a port of its own, ready when it says so over HTTP."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from woollama.domain.errors import RouterError, UpstreamUnreachable
from woollama.domain.ports import Child, Spawner
from woollama.http.request import HttpRequest, Patience, split_base_url
from woollama.http.transport import HttpClient
from woollama.inferencers.managed.model_process import Ended, Served

PORT = "{port}"
"""Where this stands in a command, its environment or a URL, the port stands when it is started."""

GRACE_S = 5.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
CHOSEN_PORTS = range(20_000, 32_768)
"""Below those that Linux and macOS choose from when a program asks for any port, or connects from any."""
PROBE_PATIENCE = Patience(connect_s=1.0, first_byte_s=5.0, idle_s=5.0)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """`env` is all of its environment. `ready_urls` are asked in this order; see `Command`."""

    argv: tuple[str, ...]
    base_url: str
    ready_urls: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None

    @property
    def any_port(self) -> bool:
        """Whether it listens wherever it is told to."""
        return PORT in self.base_url

    def at(self, port: int) -> CommandSpec:
        def filled(text: str) -> str:
            return text.replace(PORT, str(port))

        return CommandSpec(
            tuple(map(filled, self.argv)),
            filled(self.base_url),
            tuple(map(filled, self.ready_urls)),
            {name: filled(value) for name, value in self.env.items()},
            self.cwd,
        )


class Command:
    """Implements `Program`.

    It serves as soon as one of `ready_urls` answers with a success. A URL that answers with 4xx is a page that it does
    not have, and the next one is asked; the last one's 4xx shows that it serves, too. 5xx is "not yet".
    """

    def __init__(self, name: str, spec: CommandSpec, spawner: Spawner) -> None:
        self._name = name
        self._spec = spec
        self._spawner = spawner

    def __repr__(self) -> str:
        return f"<Command {self._spec.argv[0]}>"

    async def launch(self, log_line: Callable[[str], None]) -> tuple[Child, Callable[[], Awaitable[Served]]]:
        spec = self._spec.at(free_port()) if self._spec.any_port else self._spec
        if not self._spec.any_port:
            await self._refuse_another_server(spec.base_url)
        try:
            child = await self._spawner.spawn(
                spec.argv,
                env=spec.env,
                cwd=spec.cwd,
                grace_s=GRACE_S,
                log_line=log_line,
                name=self._name,
                kind="model",
            )
        except OSError as error:
            raise UpstreamUnreachable(f"{self._name} cannot be started: {_why(error)}") from error
        return child, lambda: self._ready(child, spec)

    async def _refuse_another_server(self, base_url: str) -> None:
        """What listens there already would be taken for the one that is started, and the latter could not listen."""
        origin, _ = split_base_url(base_url)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(PROBE_PATIENCE.connect_s):
                _, writer = await asyncio.open_connection(origin.host, origin.port)
            writer.close()
            raise UpstreamUnreachable(
                f"{self._name} cannot be started: something else listens at {origin.peer} already;"
                f" stop it, or write {PORT} for the port"
            )

    async def _ready(self, child: Child, spec: CommandSpec) -> Served:
        probing = asyncio.create_task(_until_it_serves(spec.ready_urls))
        ended = asyncio.create_task(child.closed.wait())
        try:
            await asyncio.wait({probing, ended}, return_when=asyncio.FIRST_COMPLETED)
            if child.closed.is_set():  # whoever answered there, it was not this one
                raise Ended
        finally:
            for task in (probing, ended):
                task.cancel()
            await asyncio.wait({probing, ended})
        return Served(spec.base_url)


async def _until_it_serves(urls: Sequence[str]) -> None:
    client, pause_s = HttpClient(), FIRST_PAUSE_S
    try:
        while not await _serves(client, urls):
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)
    finally:
        await client.aclose()


async def _serves(client: HttpClient, urls: Sequence[str]) -> bool:
    for url in urls:
        origin, path = split_base_url(url)
        try:
            async with client.exchange(HttpRequest(origin, "GET", path or "/", patience=PROBE_PATIENCE)) as answer:
                status = answer.status
        except RouterError:
            return False
        if not 400 <= status < 500:
            return status < 400
    return len(urls) > 1  # the only page that was named must be there


def free_port() -> int:
    """A loopback port that nobody listens at now, of those that systems give to nobody who asks for just any.

    Another may take it first all the same; then the start fails, and the next does not.
    """
    for port in (*random.sample(CHOSEN_PORTS, 20), 0):
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    raise UpstreamUnreachable("no port is free on this machine")


def _why(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
