"""What can be named: the models that are written down and those that inferencers were found to have.

Answers come from memory. Asking inferencers happens in the background (`run`), one of them never waits for another,
and one that does not answer keeps what it was last known to have.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from woollama.domain.errors import RouterError
from woollama.domain.ports import Inferencer
from woollama.domain.turns import Target

REFRESH_S = 300.0
FIRST_RETRY_S = 2.0
LAST_RETRY_S = 300.0
_log = logging.getLogger("woollama.catalog")


@dataclass(frozen=True, slots=True)
class Source:
    """Where models come from: `models` are listed without asking; `patterns` filter what `inferencer` answers.

    Without an `inferencer` nobody is asked. `known` is what it answered when it was last asked, maybe by another
    daemon.
    """

    models: tuple[str, ...] = ()
    inferencer: Inferencer | None = None
    patterns: tuple[str, ...] = ("*",)
    known: tuple[str, ...] = ()

    def with_found(self, found: Iterable[str]) -> tuple[str, ...]:
        fitting = (model for model in found if any(fnmatchcase(model, pattern) for pattern in self.patterns))
        return tuple(dict.fromkeys([*self.models, *fitting]))


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a listing of models. `created` is in seconds of the epoch."""

    id: str
    owned_by: str
    created: int


class Catalog:
    """`aliases` and `recipes` are names that the listing leads with.

    `on_found` is told what an inferencer has answered, by its name.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        aliases: Iterable[str] = (),
        recipes: Iterable[str] = (),
        on_found: Callable[[str, Sequence[str]], None] = lambda name, models: None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sources = dict(sources)
        self._names = (*(f"woollama/{name}" for name in recipes), *aliases)
        self._models = {name: source.with_found(source.known) for name, source in self._sources.items()}
        self._on_found = on_found
        self._created = int(now())
        self._sleep = sleep
        self._unasked = {name for name, source in self._sources.items() if source.inferencer is not None}
        self.asked = asyncio.Event()
        """Set once every inferencer has answered or failed for the first time."""
        if not self._unasked:
            self.asked.set()

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(models)}" for name, models in self._models.items())
        return f"<Catalog {counts or 'empty'}>"

    def targets(self) -> list[Target]:
        return [Target(name, model) for name, models in self._models.items() for model in models]

    def having(self, model: str) -> list[Target]:
        """Each inferencer's target that is known under the bare name `model`."""
        return [Target(name, model) for name, models in self._models.items() if model in models]

    def listing(self) -> list[Listed]:
        """Recipes, then aliases, then the models of each inferencer in the configured order."""
        own = [Listed(name, "woollama", self._created) for name in self._names]
        return own + [Listed(str(target), target.inferencer, self._created) for target in self.targets()]

    async def run(self) -> None:
        """Ask every inferencer again and again until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, source in self._sources.items():
                if source.inferencer is not None:
                    tasks.create_task(self._follow(name), name=f"models of {name}")

    async def refresh(self, name: str) -> bool:
        """Ask one inferencer now; whether it answered. What it fails with is logged, not raised."""
        source = self._sources[name]
        if source.inferencer is None:
            return True
        try:
            found = await source.inferencer.list_models()
        except RouterError as error:
            _log.debug("%s does not tell its models: %s", name, error)
            return False
        except Exception:
            _log.exception("a defect while asking %s for its models", name)
            return False
        finally:
            self._unasked.discard(name)
            if not self._unasked:
                self.asked.set()
        self._models[name] = source.with_found(found)
        self._on_found(name, found)
        return True

    async def _follow(self, name: str) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            if await self.refresh(name):
                retry_s = FIRST_RETRY_S
                await self._sleep(REFRESH_S)
            else:
                await self._sleep(retry_s)
                retry_s = min(retry_s * 2, LAST_RETRY_S)
