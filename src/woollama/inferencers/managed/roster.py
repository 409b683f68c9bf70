"""All processes behind models, by name. They outlive the configuration that asked for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from woollama.domain.ports import ProcessState
from woollama.inferencers.managed.model_process import ModelProcess, Tell

log = logging.getLogger(__name__)

Watcher = Callable[[str, Mapping[str, Any]], None]


class Roster:
    """A process is given to whoever asks for the same name with the same specification, and so survives a reload.

    One whose specification has changed, or whose name nobody has any more, ends when the last who uses it has left.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, ModelProcess]] = {}
        self._leaving: dict[ModelProcess, asyncio.Task[None]] = {}
        self._watchers: list[Watcher] = []

    def __repr__(self) -> str:
        return f"<Roster {[process for _, process in self._known.values()]}>"

    @property
    def processes(self) -> Sequence[ModelProcess]:
        """Of those that may be started, and of those that still end."""
        return (*(process for _, process in self._known.values()), *self._leaving)

    def states(self) -> Sequence[ProcessState]:
        return [process.told for process in self.processes]

    def watch(self, watcher: Watcher) -> None:
        """`watcher("process.starting" | "process.ready" | "process.failed" | "process.ended" | "process.stopped", …)`:
        the fields are `name` and, where they fit, `pid`, `ms`, `seconds` and `message`."""
        self._watchers.append(watcher)

    def process(self, name: str, spec: object, make: Callable[[Tell], ModelProcess]) -> ModelProcess:
        """The one that is called `name`; made if there is none of the same `spec`."""
        known = self._known.get(name)
        if known is not None and known[0] == spec:
            return known[1]
        if known is not None:
            self._dismiss(known[1], "its configuration has changed")
        process = make(self._tell)
        self._known[name] = (spec, process)
        return process

    def keep_only(self, inferencers: Collection[str]) -> None:
        """Lets go of the processes of all other inferencers."""
        for name in [name for name in self._known if name.partition("/")[0] not in inferencers]:
            self._dismiss(self._known.pop(name)[1], "it is configured no more")

    async def make_room(self, swap_group: str, process: str) -> None:
        others = [each for each in self.processes if each.swap_group == swap_group and each.name != process]
        others += [each for each in self._leaving if each.swap_group == swap_group and each.name == process]
        await asyncio.gather(*(each.stop(f"{process} takes its place in {swap_group}") for each in others))

    async def close(self) -> None:
        """Ends every process at once."""
        await asyncio.gather(*(process.close() for process in self.processes))
        for task in list(self._leaving.values()):
            await asyncio.wait([task])

    def _dismiss(self, process: ModelProcess, why: str) -> None:
        if process.state == "stopped":
            return
        task = asyncio.create_task(process.stop(why), name=f"dismiss {process.name}")
        self._leaving[process] = task
        task.add_done_callback(lambda _: self._leaving.pop(process, None))

    def _tell(self, what: str, **fields: Any) -> None:
        for watcher in self._watchers:
            watcher(what, fields)
