"""Putting a program's settings into its files, and taking them back.

What was there before, and what we wrote, is kept in the state directory. A file that nobody has touched since gets its
old bytes back; in one that was edited each setting of ours is taken out by itself, if it still says what we wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from woollama.connect import files
from woollama.connect.settings import CannotEdit, Format, Malformed, Setting, depth, found, with_setting
from woollama.connect.tools import JSON, TOML, YAML, Home, Offer, Part, Tool

_FORMATS: Mapping[str, Format] = {".json": JSON, ".toml": TOML, ".yml": YAML, ".yaml": YAML}


class Refused(Exception):
    """Nothing was written. `str(error)` says which file stands in the way, and why."""


@dataclass(frozen=True, slots=True)
class Put:
    """A setting that was written: `before` is the text in its place before, `kept` how much of its path was there."""

    path: tuple[str, ...]
    value: Any
    item: bool
    before: str | None
    kept: int

    @property
    def setting(self) -> Setting:
        return Setting(self.path, self.value, self.item)


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was changed: its text before (`None`: there was none), a digest of its text after, and what was
    put into it."""

    path: str
    original: str | None
    digest: str
    puts: tuple[Put, ...]


@dataclass(slots=True)
class Plan:
    """What would be written. `texts` are the new texts of the files that change."""

    texts: dict[Path, str] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)
    backups: list[Path] = field(default_factory=list)


def settings_of(tool: Tool, home: Home, offer: Offer, parts: Iterable[Part]) -> dict[Path, list[Setting]]:
    """All settings of a tool by file, in the order in which they are put."""
    by_file: dict[Path, list[Setting]] = {}
    for each in tool.files:
        if each.part in parts:
            settings = by_file.setdefault(each.where(home), [])
            settings += [setting for setting in each.settings(offer) if setting not in settings]
    return by_file


class Connections:
    """What was written for which tool, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __repr__(self) -> str:
        return f"<Connections in {self._directory}>"

    def written(self, tool: Tool, home: Home) -> list[Written]:
        """What is written of a tool now; raises `Refused` if the record cannot be read."""
        try:
            held = json.loads(self._record(tool, home).read_text(encoding="utf-8"))
            return [_written(each) for each in held["files"]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"{self._record(tool, home)} cannot be read: {error}") from None

    def plan(self, tool: Tool, home: Home, by_file: Mapping[Path, Sequence[Setting]]) -> Plan:
        """Raises `Refused`. What was written before is taken out first, so that a second time changes nothing."""
        plan = Plan()
        earlier = {each.path: each for each in self.written(tool, home)}
        for path, settings in by_file.items():
            known = earlier.pop(str(path), None)
            plan.written.append(_planned(plan, path, settings, known))
        plan.written += earlier.values()
        return plan

    def write(self, tool: Tool, home: Home, plan: Plan) -> None:
        """Keep, then replace; the record last but one: a write that fails leaves what `undo` can take back."""
        self._note(tool, home, plan.written)
        for path, text in plan.texts.items():
            if (now := files.read(path)) is not None:
                plan.backups.append(files.keep(path, now))
            files.write(path, text)

    def undo(self, tool: Tool, home: Home) -> list[str]:
        """Take back all that was written; gives a line for a person about each file. Raises `Refused`."""
        told = []
        for each in self.written(tool, home):
            path, left = Path(each.path), list[Setting]()
            now = _read(path)
            if now is None:
                told.append(f"{path} is gone already")
                continue
            untouched = _digest(now) == each.digest
            if untouched:
                text = each.original
            else:
                text, left = _without(format_of(path), now, each, path)
                if each.original is None and not text.strip("{} \r\n\t"):
                    text = None
            if text is None:
                path.resolve().unlink()
                told.append(f"{path} is removed: it was not there before")
            elif text != now:
                files.write(path, text)
                told.append(f"{path} is as it was" if untouched else f"{path}: what was written is taken out")
            told += [f"{path}: {'.'.join(setting.path)} is left, it is no longer what was written" for setting in left]
        self._record(tool, home).unlink(missing_ok=True)
        return told

    def _note(self, tool: Tool, home: Home, written: Sequence[Written]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = {"tool": tool.name, "home": str(home.directory), "files": [asdict(each) for each in written]}
        files.write(self._record(tool, home), json.dumps(held, ensure_ascii=False, indent=1))

    def _record(self, tool: Tool, home: Home) -> Path:
        return self._directory / f"{tool.name}-{_digest(str(home.directory))[:8]}.json"


def _planned(plan: Plan, path: Path, settings: Sequence[Setting], known: Written | None) -> Written:
    now, form = _read(path), format_of(path)
    text, original = now or "", now
    if known is not None and now is not None:
        original = known.original
        text = (original or "") if _digest(now) == known.digest else _without(form, now, known, path)[0]
    puts = []
    for setting in settings:
        try:
            data = form.parse(text)
            if not isinstance(data, Mapping):
                raise Malformed("its top is not an object")
            if setting.if_missing and found(data, setting.path) is not None:
                continue
            before, kept = form.value_text(text, setting), depth(data, setting.path)
            wanted = with_setting(data, setting)
            text = form.put(text, setting)
            if form.parse(text) != wanted:
                raise CannotEdit(f"{'.'.join(setting.path)} cannot be put in without rewriting the file")
        except Malformed as error:
            raise Refused(f"{path} {error}; nothing was written") from None
        except CannotEdit as error:
            raise Refused(f"{path}: {error}; nothing was written") from None
        puts.append(Put(setting.path, setting.value, setting.item, before, kept))
    if text != now:
        plan.texts[path] = text
    return Written(str(path), original, _digest(text), tuple(puts))


def _without(form: Format, text: str, written: Written, path: Path) -> tuple[str, list[Setting]]:
    """`text` without what was put into it, the last first; and what is no longer ours to take."""
    left = []
    try:
        for put in reversed(written.puts):
            taken = form.take(text, put.setting, put.before, put.kept)
            if taken is None:
                left.append(put.setting)
            else:
                text = taken
        form.parse(text)
    except Malformed as error:
        raise Refused(f"{path} {error}; nothing was changed") from None
    return text, left


def _read(path: Path) -> str | None:
    try:
        return files.read(path)
    except (Malformed, OSError) as error:
        raise Refused(f"{path} {error}; nothing was written") from None


def format_of(path: Path) -> Format:
    return _FORMATS[path.suffix]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _written(held: Mapping[str, Any]) -> Written:
    puts = tuple(Put(tuple(put["path"]), put["value"], put["item"], put["before"], put["kept"]) for put in held["puts"])
    return Written(held["path"], held["original"], held["digest"], puts)
