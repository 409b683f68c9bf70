"""What connections to tool servers are made with, whichever server they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from woollama.domain.ports import Sampler, Spawner
from woollama.toolservers.logins import LoginFile, Logins
from woollama.toolservers.spec import ServerSpec


@dataclass(frozen=True, slots=True)
class Means:
    """`environment` is what every program gets below its own `env`. Without a `sampler` no model is asked for them.

    `instance` says which woollama this is, if it can be a server, too.
    """

    spawner: Spawner
    environment: Mapping[str, str] = field(repr=False)
    sampler: Sampler | None = None
    logins: Logins | None = None
    instance: str = ""

    def login_of(self, spec: ServerSpec) -> LoginFile | None:
        """Where a server's login is, if it can have one: not with a header of its own for that."""
        own = any(name.lower() == "authorization" for name in spec.headers)
        if self.logins is None or spec.url is None or own or spec.is_passing:
            return None
        return self.logins.of(spec.name, spec.url)
