"""What inferencers answered when they were last asked for their models: kept over a reload, and on disk over a restart.

A start lists at once what is known, whoever is down. Losing the file loses nothing that is not asked for again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from woollama.platform import Unsafe, private_dir

_log = logging.getLogger("woollama.catalog")

Place = tuple[str, str]
"""(inferencer, where it is): what stood behind another address says nothing of this one."""


class FoundModels:
    """In memory alone without a `file`. One that cannot be read is empty, one that cannot be written is told once."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._found: dict[Place, tuple[str, ...]] = dict(_read(file)) if file else {}
        self._is_told = False

    def __repr__(self) -> str:
        return f"<FoundModels of {len(self._found)} inferencers>"

    def of(self, inferencer: str, where: str) -> tuple[str, ...]:
        return self._found.get((inferencer, where), ())

    def note(self, inferencer: str, where: str, models: Sequence[str]) -> None:
        if self._found.get((inferencer, where)) == tuple(models):
            return
        for place in [place for place in self._found if place[0] == inferencer]:
            del self._found[place]
        self._found[inferencer, where] = tuple(models)
        if self._file is not None:
            self._write(self._file)

    def _write(self, file: Path) -> None:
        rows = [{"inferencer": name, "where": where, "models": models} for (name, where), models in self._found.items()]
        beside = file.with_suffix(f".{os.getpid()}.new")
        try:
            private_dir(file.parent)
            beside.write_text(json.dumps({"found": rows}, indent=1), encoding="utf-8")
            beside.replace(file)
        except (OSError, Unsafe) as error:
            with suppress(OSError):
                beside.unlink()
            if not self._is_told:
                _log.warning("the list of models cannot be kept for the next start: %s", error)
            self._is_told = True


def _read(file: Path) -> list[tuple[Place, tuple[str, ...]]]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["found"]
        return [((str(row["inferencer"]), str(row["where"])), tuple(map(str, row["models"]))) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.info("the list of models of the last time is of no use: %r", error)
        return []
