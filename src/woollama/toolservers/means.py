"""What connections to tool servers are made with, whichever server they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from woollama.domain.ports import Sampler, Spawner


@dataclass(frozen=True, slots=True)
class Means:
    """`environment` is what every program gets below its own `env`. Without a `sampler` no model is asked for them."""

    spawner: Spawner
    environment: Mapping[str, str] = field(repr=False)
    sampler: Sampler | None = None
