"""Another configuration while the daemon runs: loaded aside, compared, put in force whole or not at all.

The owner reloads with `woollama reload` or SIGHUP. A file that has changed reloads by itself, as far as that is
harmless (`config.changes`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from woollama.config import Loaded, Problem
from woollama.config.changes import Change, Pending, cautious, changes
from woollama.config.model import Config

LOOK_EVERY_S = 2.0
_log = logging.getLogger("woollama.config")

Asker = Literal["owner", "file"]
Signature = tuple[tuple[str, int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reload did. Without `done` the old configuration is in force as it was.

    `restart` names the keys whose new value needs a restart.
    """

    done: bool
    changed: tuple[Change, ...] = ()
    pending: tuple[Pending, ...] = ()
    problems: tuple[Problem, ...] = ()
    restart: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "reloaded": self.done,
            "changed": [{"what": each.what, "name": each.name, "how": each.how} for each in self.changed],
            "pending": [{"what": each.what, "name": each.name, "why": each.why} for each in self.pending],
            "problems": [problem.as_json() for problem in self.problems],
            "needs_restart": list(self.restart),
        }


class Reloading:
    """`put_in_force` takes a configuration and raises for one that cannot work, having changed nothing then."""

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[], Loaded],
        put_in_force: Callable[[Config], None],
        *,
        tell: Callable[..., None] = lambda kind, **fields: None,
    ) -> None:
        self._load = load
        self._put_in_force = put_in_force
        self._tell = tell
        self._config = loaded.config
        self._started_on = loaded.config
        self._by_owner = loaded.config
        self._watched = loaded.watched
        self._seen = signature(loaded.watched)
        self._turn = asyncio.Lock()
        self._started = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self.listeners: list[Callable[[Config], None]] = []
        """Hear of every further configuration, once it is in force."""
        self.problems = loaded.problems
        self.pending: tuple[Pending, ...] = ()
        self.since = time.time()

    def __repr__(self) -> str:
        return f"<Reloading {self._config!r}, {len(self.pending)} pending>"

    def start(self) -> None:
        """From now on there is something to reload: begins to look at the files, and returns at once."""
        self._started.set()
        self._watching = asyncio.create_task(self._watch(), name="watching the configuration")

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    def as_json(self) -> dict[str, Any]:
        """How the configuration is: since when, what waits for the owner, what is wrong."""
        state = Outcome(True, pending=self.pending, problems=self.problems, restart=self._restart(self._config))
        told = state.as_json()
        del told["reloaded"], told["changed"]
        return {"since": round(self.since, 3), **told}

    async def reload(self, asked_by: Asker) -> Outcome:
        """Load the files and work with what they say. One at a time, and not before the start."""
        await self._started.wait()
        async with self._turn:
            seen = signature(self._watched)
            loaded = await asyncio.to_thread(self._load)
            self._seen = seen if loaded.watched == self._watched else signature(loaded.watched)
            self._watched = loaded.watched
            outcome = self._applied(loaded, asked_by)
        self._say(outcome, asked_by)
        return outcome

    def _applied(self, loaded: Loaded, asked_by: Asker) -> Outcome:
        self.problems = loaded.problems
        if loaded.fatal:
            return Outcome(False, pending=self.pending, problems=loaded.problems)
        wanted = loaded.config
        pending: tuple[Pending, ...] = ()
        if asked_by == "file":
            wanted, pending = cautious(self._config, wanted, self._by_owner)
        changed = tuple(changes(self._config, wanted))
        if changed:
            self._put_in_force(wanted)
            self._config = wanted
            for tell in self.listeners:
                tell(wanted)
            self.since = time.time()
        if asked_by == "owner":
            self._by_owner = wanted
        self.pending = pending
        return Outcome(True, changed, pending, loaded.problems, self._restart(wanted))

    def _restart(self, wanted: Config) -> tuple[str, ...]:
        """Sockets are bound once, and a store is opened once."""
        before = self._started_on
        now = {
            "server.address": before.door.address != wanted.door.address,
            "state.url": before.state.url != wanted.state.url,
        }
        return tuple(key for key, differs in now.items() if differs)

    def _say(self, outcome: Outcome, asked_by: Asker) -> None:
        for problem in outcome.problems:
            if problem.severity == "error":
                _log.warning("%s", problem)
        if not outcome.done:
            _log.error("the configuration was not reloaded; the one before goes on")
        for pending in outcome.pending:
            _log.warning("%s: pending until `woollama reload`", pending)
        if outcome.changed or asked_by == "owner":
            told = ", ".join(map(str, outcome.changed)) or "nothing has changed"
            _log.info("configuration reloaded: %s", told)
        for key in outcome.restart:
            _log.warning("%s takes effect at the next start", key)
        self._tell("config.reloaded", by=asked_by, **outcome.as_json())

    async def _watch(self) -> None:
        """A file that is being written is read once it has been the same at two looks."""
        before = self._seen
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = await asyncio.to_thread(signature, self._watched)
            if now == before and now != self._seen:
                try:
                    await self.reload("file")
                except Exception:
                    _log.exception("a defect while the configuration was reloaded; the one before goes on")
                    self._seen = now
            before = now


def signature(paths: Iterable[Path]) -> Signature:
    """What tells one state of these files from another. Of a directory of patterns each `system.md` in it counts."""
    found: list[tuple[str, int, int, int] | None] = []
    for path in paths:
        files = sorted(path.glob("*/system.md")) if path.is_dir() else [path]
        for file in files:
            try:
                stat = file.stat()
            except OSError:
                found.append(None)
            else:
                found.append((str(file), stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(found)
