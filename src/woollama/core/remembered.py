"""Answers that were given for good: a file of the owner's, read at each question, so that editing it is enough."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from woollama.domain.messages import Ask
from woollama.platform import Unsafe, private_dir, write_private

_log = logging.getLogger("woollama.approvals")


class Subject(NamedTuple):
    """What an answer is about: a tool as it is described, under a recipe as it reads. No recipe is empty."""

    server: str
    tool: str
    tool_digest: str
    recipe: str
    recipe_digest: str


def subject_of(ask: Ask) -> Subject:
    return Subject(ask.server, ask.tool, ask.tool_digest, ask.recipe or "", ask.recipe_digest)


class Remembered:
    """In memory alone without a `file`. What cannot be read there decides nothing, and is kept aside when written."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._in_memory: dict[Subject, bool] = {}
        self._complained = False

    def __repr__(self) -> str:
        return f"<Remembered in {self._file or 'memory'}>"

    def recall(self, subject: Subject) -> bool | None:
        """What was decided, if anything."""
        return self._decisions().get(subject)

    def remember(self, subject: Subject, approved: bool) -> bool:
        """Keep a decision in the place of what was decided about the same tool and recipe; whether that worked."""
        names = (subject.server, subject.tool, subject.recipe)
        others = {
            each: decided
            for each, decided in self._decisions().items()
            if (each.server, each.tool, each.recipe) != names
        }
        return self._write({**others, subject: approved})

    def forget(self, server: str, tool: str) -> None:
        """Nothing is decided about a tool any more."""
        before = self._decisions()
        kept = {each: decided for each, decided in before.items() if (each.server, each.tool) != (server, tool)}
        if len(kept) < len(before):
            self._write(kept)

    def _decisions(self) -> Mapping[Subject, bool]:
        if self._file is None:
            return self._in_memory
        try:
            return dict(_rows(json.loads(self._file.read_text(encoding="utf-8"))))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            if not self._complained:
                _log.warning("%s cannot be read, so nothing in it counts: %r", self._file, error)
            self._complained = True
            return {}

    def _write(self, decisions: Mapping[Subject, bool]) -> bool:
        if self._file is None:
            self._in_memory = dict(decisions)
            return True
        rows = [{**subject._asdict(), "approved": approved} for subject, approved in decisions.items()]
        try:
            private_dir(self._file.parent)
            if self._complained:
                with suppress(FileNotFoundError):
                    self._file.rename(self._file.with_suffix(f".unreadable-{int(time.time())}"))
                self._complained = False
            write_private(self._file, json.dumps({"decisions": rows}, indent=1))
        except (OSError, Unsafe) as error:
            _log.warning("an answer cannot be remembered: %s", error)
            return False
        return True


def _rows(written: Any) -> Iterator[tuple[Subject, bool]]:
    for row in written["decisions"]:
        subject = Subject(*(str(row[name]) for name in Subject._fields))
        if not isinstance(row["approved"], bool):
            raise TypeError("approved must be true or false")
        yield subject, row["approved"]
