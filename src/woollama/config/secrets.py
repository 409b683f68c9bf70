"""Values that nobody may see: tokens, and of an environment and of tool servers what is named like a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from woollama.config.model import Config, ToolServer
from woollama.config.tokens import values_of

_SECRET_VARIABLE = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_SHORTEST_SECRET = 8
_SECRET_NAME = re.compile("key|token|secret|pass|auth|cookie|credential", re.IGNORECASE)


def secrets_of(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """All but those of inferencers, who know their own."""
    yield from values_of(config.tokens, environ)
    yield from _of_servers(config.servers.values())
    yield from _in(environ)


def _in(environ: Mapping[str, str]) -> Iterator[str]:
    """Values of variables whose names end like a secret's. Paths are not: many such variables name a file."""
    for name, value in environ.items():
        if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST_SECRET and not value.startswith("/"):
            yield value


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The other variables: what a program on the owner's desktop needs."""
    secrets = set(_in(environ))
    return {name: value for name, value in environ.items() if value not in secrets}


def _of_servers(servers: Iterable[ToolServer]) -> Iterator[str]:
    """Values that their names say are secret: to hide every value would tear ordinary words out of the log."""
    for server in servers:
        for name, value in (*server.headers.items(), *server.env.items()):
            if _SECRET_NAME.search(name):
                yield from (value, value.rpartition(" ")[2])
        if server.oauth is not None and server.oauth.client_secret:
            yield server.oauth.client_secret
