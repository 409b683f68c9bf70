"""Variables in values: `${VAR}`, `${VAR:-default}`, `${env:VAR}`, `${userHome}`, `${input:id}`, `${woollama:…}`.

What only an editor knows (`${workspaceFolder}`) is told as that.

They are expanded after parsing, in values and never in names, in one pass: what a variable holds is not expanded
again. `$VAR` is text.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from woollama.config.problems import Finding, Wrong
from woollama.platform import secret_of

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_PARTS = re.compile(
    r"(?:(?P<space>[A-Za-z]+):(?!-))?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*?)(?::-(?P<default>.*))?", re.DOTALL
)
_OF_EDITORS = frozenset({"workspaceFolder", "workspaceFolderBasename", "workspaceRoot"})
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Variables:
    """Where values come from: the environment, the directory of the shipped defaults, and one with a user's secrets."""

    environ: Mapping[str, str]
    defaults: Path
    secrets: Path | None = None

    def expand(self, value: Any, verbatim: Collection[str] = ()) -> Any:
        """`value` with every variable in it replaced, however deep; the keys `verbatim` of a table are left alone.

        Raises `Wrong` naming each variable that is not set.
        """
        findings: list[Finding] = []
        expanded = self._expand(value, verbatim, (), findings)
        if findings:
            raise Wrong(*findings)
        return expanded

    def _expand(self, value: Any, verbatim: Collection[str], at: tuple[str | int, ...], findings: list[Finding]) -> Any:
        match value:
            case str():
                return _REFERENCE.sub(lambda found: self._value_of(found[1], at, findings), value)
            case list():
                return [self._expand(item, (), (*at, index), findings) for index, item in enumerate(value)]
            case dict():
                return {
                    key: item if key in verbatim else self._expand(item, (), (*at, key), findings)
                    for key, item in value.items()
                }
            case _:
                return value

    def _value_of(self, reference: str, at: tuple[str | int, ...], findings: list[Finding]) -> str:
        if reference in ("/", "pathSeparator"):
            return os.sep
        parts = _PARTS.fullmatch(reference)
        if parts is None:
            findings.append(Finding(f"${{{reference}}} is no variable", at, "write ${NAME} or ${NAME:-default}"))
            return ""
        space, name, default = parts["space"], parts["name"], parts["default"]
        look = self._spaces().get(space or "env")
        if space is None and name == "userHome":
            return self.environ.get("HOME") or str(Path.home())
        if space is None and name in _OF_EDITORS:
            findings.append(Finding(f"${{{name}}} is known to editors only", at, "write the path itself"))
            return ""
        if look is None:
            known = ", ".join(f"${{{each}:…}}" for each in self._spaces())
            findings.append(Finding(f"${{{reference}}} is of no known sort", at, f"there are {known}"))
            return ""
        try:
            value = look(name)
        except Wrong as wrong:
            findings += (replace(finding, at=at) for finding in wrong.findings)
            return ""
        if default is not None:
            return value or default
        if value is None:
            findings.append(self._unset(space, name, at))
            return ""
        return value

    def _spaces(self) -> Mapping[str, Callable[[str], str | None]]:
        return {"env": self.environ.get, "input": self._input, "woollama": self._own}

    def _own(self, name: str) -> str | None:
        return {"python": sys.executable, "defaults": str(self.defaults)}.get(name)

    def _input(self, name: str) -> str | None:
        """From the environment, from a credential of the service manager, or from a file that only its owner reads."""
        variable = input_variable(name)
        found = self.environ.get(variable, secret_of(self.environ, variable))
        if found is not None:
            return found
        if self.secrets is None or (found := _text_of(self.secrets / name)) is None:
            return None
        if (self.secrets / name).stat().st_mode & _OTHERS:
            raise Wrong(Finding(f"needs secrets/{name}, which others can read", suggestion=f"chmod 600 secrets/{name}"))
        return found

    def _unset(self, space: str | None, name: str, at: tuple[str | int, ...]) -> Finding:
        match space:
            case "input":
                ways = f"set {input_variable(name)}" + (f", or write {self.secrets / name}" if self.secrets else "")
                return Finding(f"needs the input {name!r}, which is not there", at, ways)
            case "woollama":
                return Finding(f"${{woollama:{name}}} does not exist; there are python and defaults", at)
            case _:
                return Finding(f"needs the variable {name}, which is not set", at)


def input_variable(name: str) -> str:
    """The environment variable that answers `${input:name}`."""
    return "WOOLLAMA_INPUT_" + re.sub(r"\W", "_", name).upper()


def _text_of(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
