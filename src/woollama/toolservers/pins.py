"""Pins: what each tool was when it was first seen, so that one that changes later is noticed.

A tool is accepted once by whoever adds its server. A description that is another one afterwards may tell the model
other things than those that were accepted, so it is told (`warn`) or the tool is kept away (`quarantine`) until the
owner has seen the difference. There is a file for each server and what is started or called for it: another command is
another server, whose tools are seen for the first time. Secrets of a command or an address are in no file: a digest
stands for both.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from woollama.domain.messages import Json
from woollama.domain.ports import ChangedTool
from woollama.domain.tools import Pin, Tool
from woollama.platform import Unsafe, private_dir, write_private
from woollama.toolservers.spec import ServerSpec
from woollama.toolservers.widened import widened

_log = logging.getLogger("woollama.pins")
_ODD = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(slots=True)
class _Seen:
    """`first` is what was accepted of each tool, `changed` what is there instead of it, as far as that is different."""

    first: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    changed: dict[str, Mapping[str, Json]] = field(default_factory=dict)


class Pins:
    """In memory alone without a `directory`.

    `confirms` says of which tools the owner wants to be asked: one of those that takes more than before is kept away
    whatever `pin` says. `voided` hears of a tool that has changed, once for each change.
    """

    def __init__(
        self,
        directory: Path | None = None,
        confirms: Callable[[Tool], bool] = lambda tool: False,
        voided: Callable[[Tool], None] = lambda tool: None,
    ) -> None:
        self._directory = directory
        self._confirms = confirms
        self._voided = voided
        self._seen: dict[str, _Seen] = {}

    def __repr__(self) -> str:
        return f"<Pins of {len(self._seen)} servers>"

    def judge(self, spec: ServerSpec, tools: Sequence[Tool]) -> tuple[Tool, ...]:
        """The tools, each with what its pin says. One that was never seen is pinned as it is."""
        seen = self._of(spec)
        before = (dict(seen.first), dict(seen.changed))
        judged = tuple(replace(tool, pin=self._pin(spec, seen, tool)) for tool in tools)
        if before != (seen.first, seen.changed):
            self._write(spec, seen)
        return judged

    def changes(self, spec: ServerSpec, tools: Sequence[Tool]) -> Iterator[ChangedTool]:
        """What `tools` were and are, of those that have changed."""
        seen = self._of(spec)
        for tool in tools:
            if tool.pin in ("changed", "quarantined"):
                yield ChangedTool(
                    tool.name, tool.pin, tool.digest, before=seen.first.get(tool.name, {}), now=tool.judged
                )

    def accept(self, spec: ServerSpec, tools: Sequence[Tool]) -> None:
        """From now on `tools` are what they are."""
        seen = self._of(spec)
        for tool in tools:
            seen.first[tool.name] = tool.judged
            seen.changed.pop(tool.name, None)
        self._write(spec, seen)

    def _pin(self, spec: ServerSpec, seen: _Seen, tool: Tool) -> Pin:
        first = seen.first.setdefault(tool.name, tool.judged)
        if first == tool.judged:
            if seen.changed.pop(tool.name, None) is not None:
                _log.info("%s is again what it was when it was first seen", tool.qualified)
            return "known"
        takes_more = widened(first.get("inputSchema") or {}, tool.input_schema)
        quarantined = spec.pin_mode == "quarantine" or (takes_more and self._confirms(tool))
        if seen.changed.get(tool.name) != tool.judged:
            seen.changed[tool.name] = tool.judged
            effect = "it is not offered until then" if quarantined else "it is still offered"
            see = f"`woollama trust {spec.name}` shows the difference"
            _log.warning("%s has changed since it was first seen: %s; %s", tool.qualified, see, effect)
            self._voided(tool)
        return "quarantined" if quarantined else "changed"

    def _of(self, spec: ServerSpec) -> _Seen:
        key = _key(spec)
        if key not in self._seen:
            self._seen[key] = self._read(key)
        return self._seen[key]

    def _read(self, key: str) -> _Seen:
        if self._directory is None:
            return _Seen()
        file = self._directory / f"{key}.json"
        try:
            written = json.loads(file.read_text(encoding="utf-8"))
            return _Seen(_tools(written["first"]), _tools(written["changed"]))
        except FileNotFoundError:
            return _Seen()
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s cannot be read, so its tools count as seen for the first time: %r", file, error)
            with suppress(OSError):
                file.rename(file.with_suffix(f".unreadable-{int(time.time())}"))
            return _Seen()

    def _write(self, spec: ServerSpec, seen: _Seen) -> None:
        if self._directory is None:
            return
        written = {"server": spec.name, "first": seen.first, "changed": seen.changed}
        try:
            private_dir(self._directory)
            write_private(self._directory / f"{_key(spec)}.json", json.dumps(written, indent=1))
        except (OSError, Unsafe) as error:
            _log.warning("the pins of %s cannot be kept for the next start: %s", spec.name, error)


def _tools(written: Json) -> dict[str, Mapping[str, Json]]:
    if not (isinstance(written, dict) and all(isinstance(each, dict) for each in written.values())):
        raise TypeError("must be an object of tools")
    return written


def _key(spec: ServerSpec) -> str:
    """Names the file of a server's pins, for people, too."""
    where = [spec.name, spec.url] if spec.url else [spec.name, spec.command, *spec.args]
    digest = hashlib.sha256(json.dumps(where).encode()).hexdigest()[:16]
    return f"{_ODD.sub('_', spec.name)[:40]}-{digest}"
