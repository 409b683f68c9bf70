"""TOML, changed as text: a setting at the top is a line, one below it a table of its own at the end."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from woollama.connect.settings import CannotEdit, Malformed, Setting, found

_header = re.compile(r"^[ \t]*\[", re.MULTILINE)


class TomlText:
    def parse(self, text: str) -> Any:
        try:
            return tomllib.loads(text.removeprefix("\ufeff"))
        except tomllib.TOMLDecodeError as error:
            raise Malformed(str(error)) from None

    def put(self, text: str, setting: Setting) -> str:
        if len(setting.path) > 1:
            if found(self.parse(text), setting.path) is not None:
                raise CannotEdit(f"[{'.'.join(setting.path)}] is there already")
            gap = "" if not text.strip() else "\n" if text.endswith("\n") else "\n\n"
            return text + gap + _table(setting)
        (key,) = setting.path
        if (line := _line(text, key)) is not None:
            return text[: line.start("value")] + _dumped(setting.value) + text[line.end("value") :]
        if key in self.parse(text):
            raise CannotEdit(f"{key} is there already, and not on a line of its own")
        mark = re.match(r"#:[^\n]*\n", text)  # a comment that editors want on the first line
        at = mark.end() if mark else 0
        return f"{text[:at]}{key} = {_dumped(setting.value)}\n{text[at:]}"

    def value_text(self, text: str, setting: Setting) -> str | None:
        line = _line(text, setting.path[0]) if len(setting.path) == 1 else None
        return line["value"] if line else None

    def take(self, text: str, setting: Setting, before: str | None, kept: int) -> str | None:
        if found(self.parse(text), setting.path) != setting.value:
            return None
        if len(setting.path) == 1:
            line = _line(text, setting.path[0])
            if line is None:
                return None
            if before is not None:
                return text[: line.start("value")] + before + text[line.end("value") :]
            return text[: line.start()] + text[line.end() :].removeprefix("\n")
        table = _table(setting).rstrip("\n")
        at = text.find(table)
        if at < 0:
            return None
        rest = text[at + len(table) :].removeprefix("\n")
        return text[:at].removesuffix("\n") + rest if text[:at].endswith("\n\n") else text[:at] + rest


def _line(text: str, key: str) -> re.Match[str] | None:
    """The line of a setting at the top whose value is on that line."""
    first = _header.search(text)
    top = len(text) if first is None else first.start()
    value = r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[\w.+-]+)"""
    pattern = re.compile(rf"^[ \t]*{re.escape(key)}[ \t]*=[ \t]*{value}[ \t]*(?:#[^\n]*)?$", re.MULTILINE)
    return pattern.search(text, 0, top)


def _table(setting: Setting) -> str:
    lines = [f"{key} = {_dumped(value)}" for key, value in setting.value.items()]
    return "\n".join([f"[{'.'.join(setting.path)}]", *lines, ""])


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # of texts, numbers, booleans and lists of them the same in TOML
