"""The directory of patterns: every `<name>/system.md` in it is a recipe, as fabric keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from woollama.config.documents import Document
from woollama.config.entries import place, section_of, wrong_name
from woollama.config.expand import Variables
from woollama.config.model import Patterns, Recipe
from woollama.config.problems import Finding, Problem, Wrong
from woollama.config.records import read_record

SECTION = "patterns"
FILE = "system.md"


def read_patterns(documents: Sequence[Document], variables: Variables, problems: list[Problem]) -> Mapping[str, Recipe]:
    """The recipes of the directory that the last document names, or none."""
    found = _settings(documents, variables, problems)
    if found is None:
        return {}
    settings, directory, home = found
    try:
        files = sorted(directory.glob(f"*/{FILE}"))
        if not directory.is_dir():
            raise NotADirectoryError
    except OSError:
        problems.append(_problem(home, Finding("is no directory that can be read", ("dir",), severity="warning")))
        return {}
    recipes = {}
    for file in files:
        name = file.parent.name
        try:
            if (wrong_here := wrong_name(name)) is not None:
                raise ValueError(wrong_here.message)
            system = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else _why(error)
            problems.append(Problem(file, None, name, f"cannot be read: {why}", severity="warning", left_out=name))
            continue
        written = frozenset({"inferencer", "system"})
        recipes[name] = Recipe(name, settings.default_inferencer, system=system, written=written, source="fabric")
    return recipes


def patterns_dir(documents: Sequence[Document], variables: Variables) -> Path | None:
    found = _settings(documents, variables, [])
    return found and found[1]


def _settings(
    documents: Sequence[Document], variables: Variables, problems: list[Problem]
) -> tuple[Patterns, Path, Document] | None:
    """What the section says, the directory that it names, and the document that has it last."""
    raw: dict[str, Any] = {}
    home: Document | None = None
    for document in documents:
        if section := section_of(SECTION, document, problems):
            raw |= section
            home = document
    if home is None:
        return None
    try:
        raw = variables.expand(raw)
    except Wrong as wrong:
        problems += [_problem(home, finding, SECTION) for finding in wrong.findings]
        return None
    settings, findings = read_record(Patterns, raw)
    problems += [_problem(home, finding, SECTION if settings is None else "") for finding in findings]
    if settings is None:
        return None
    return settings, home.file.parent / _expanded(settings.dir, variables), home


def _problem(home: Document, finding: Finding, left_out: str = "") -> Problem:
    return place(home, (SECTION, *finding.at), finding, left_out)


def _expanded(directory: str, variables: Variables) -> Path:
    """A leading `~` is the home of whoever's environment this is."""
    home = variables.environ.get("HOME")
    return Path(home, directory[2:]) if home and directory.startswith("~/") else Path(directory).expanduser()


def _why(error: ValueError) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
