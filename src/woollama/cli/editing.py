"""What `alias` and `recipe` share: an entry of recipes.toml more or less, looked at before it is in force."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from woollama.cli.screen import complain, shown
from woollama.config import Loaded, Problem, load
from woollama.config.documents import KeyPath, Unparsable, parse_toml
from woollama.config.toml_edit import CannotEdit, with_entry, without_entry
from woollama.config.write import NotWritten, change_file
from woollama.platform import config_dir

RECIPES = "recipes.toml"


class Refused(Exception):
    """The change would make something worse. `str(error)` says what."""


def put_entry(path: tuple[str, str], value: Any, *, replace: bool, taken: str) -> bool:
    """Write one entry; false (and a complaint, which is `taken` where one is there already) if it was not."""
    there = written_in_own_file(path)
    if there and not replace:
        complain(taken)
        return False
    return _edit(lambda text: with_entry(without_entry(text, path) if there else text, path, value))


def take_out_entry(path: tuple[str, str], *, missing: str) -> bool:
    """Take one entry out; false (and a complaint, which is `missing` where there is none) if it was not."""
    if not written_in_own_file(path):
        complain(missing)
        return False
    return _edit(lambda text: without_entry(text, path))


def own_file() -> Path:
    return config_dir(os.environ) / RECIPES


def _edit(change: Callable[[str], str]) -> bool:
    """Change the user's recipes.toml and say what that leads to; false (and a complaint) if it was not changed."""
    file = own_file()
    before = _problems(load(None, os.environ))

    def checked(text: str) -> str:
        parse_toml(file, text)
        changed = change(text)
        new = [problem for problem in _problems(_draft(changed)) if _about(problem) not in set(map(_about, before))]
        if errors := [problem for problem in new if problem.severity == "error"]:
            raise Refused("; ".join(_told(problem) for problem in errors))
        for problem in new:
            if problem.severity == "warning":
                complain(f"warning: {_told(problem)}")
        return changed

    try:
        change_file(file, checked)
    except Unparsable as error:
        complain(f"{file}:{error.line or 1}: {error.message}; nothing was changed")
    except CannotEdit as error:
        complain(f"{file} was not changed: {error}")
    except (Refused, NotWritten) as error:
        complain(f"nothing was changed: {error}")
    else:
        return True
    return False


def written_in_own_file(path: KeyPath) -> bool:
    return any(document.file == own_file() and path in document.lines for document in load(None, os.environ).documents)


def tell_of_reload() -> None:
    """A daemon that runs has read the files as they were."""
    from woollama.cli.daemon import Daemon, NotRunning
    from woollama.cli.daemon import Refused as NoAnswer

    try:
        Daemon(os.environ).get("/healthz")
    except (NotRunning, NoAnswer):
        return
    print("a daemon is running: `woollama reload` puts this into force now")


def _draft(text: str) -> Loaded:
    return load(None, os.environ, {RECIPES: text})


def _problems(loaded: Loaded) -> list[Problem]:
    from woollama.cli.references import references

    found: Iterable[Problem] = () if loaded.fatal else references(loaded, os.environ)
    return [*loaded.problems, *found]


def _about(problem: Problem) -> tuple[object, ...]:
    """A problem without its line, which moves when others are added."""
    return problem.file, problem.key, problem.message, problem.severity


def _told(problem: Problem) -> str:
    hint = f" ({problem.suggestion})" if problem.suggestion else ""
    return shown(f"{problem.key}: {problem.message}{hint}")
