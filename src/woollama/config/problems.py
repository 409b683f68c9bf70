"""What is wrong with a configuration: said with its place, all of it at once, never thrown one by one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
"""An error leaves its entry out, a warning changes nothing, a note is worth knowing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`key` is dotted (`recipes.demo.max_turns`); `file` is missing for environment variables, which `key` names.

    `message` completes the sentence that the key begins, and never holds a value: values can be secrets.
    `left_out` is the entry that is not in force because of it.
    """

    file: Path | None
    line: int | None
    key: str
    message: str
    suggestion: str = ""
    severity: Severity = "error"
    left_out: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        hint = f" ({self.suggestion})" if self.suggestion else ""
        effect = f"; {self.left_out} is left out" if self.left_out else ""
        return ": ".join(filter(None, (place, self.key, self.message))) + hint + effect

    def as_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "file": str(self.file) if self.file is not None else None,
            "line": self.line,
            "key": self.key,
            "message": self.message,
            "suggestion": self.suggestion,
            "left_out": self.left_out or None,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem before its place is known: `at` leads from the value that was read to the part that is wrong."""

    message: str
    at: tuple[str | int, ...] = ()
    suggestion: str = ""
    severity: Severity = "error"

    def under(self, step: str | int) -> Finding:
        return replace(self, at=(step, *self.at))


class Wrong(Exception):
    """A value that cannot be read, with everything that is wrong in it."""

    def __init__(self, *findings: Finding | str) -> None:
        super().__init__(*findings)
        self.findings = tuple(Finding(each) if isinstance(each, str) else each for each in findings)

    def under(self, step: str | int) -> list[Finding]:
        return [finding.under(step) for finding in self.findings]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`, or nothing when nothing is near."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f'did you mean "{nearest[0]}"?' if nearest else ""


def dotted(path: Iterable[str | int]) -> str:
    """`recipes.demo.tools[0]`; a name with a dot in it is quoted."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        else:
            shown += ("." if shown else "") + (f'"{step}"' if "." in step or not step else step)
    return shown


def worst(problems: Iterable[Problem]) -> Severity | None:
    order: Mapping[Severity, int] = {"note": 0, "warning": 1, "error": 2}
    return max((problem.severity for problem in problems), key=order.__getitem__, default=None)
