"""YAML, changed as text: a setting at the top is a line, an item is added to the end of a list in block style."""

from __future__ import annotations

import json
import re
from typing import Any

from woollama.connect.settings import CannotEdit, Malformed, Setting


class YamlText:
    def parse(self, text: str) -> Any:
        import yaml

        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}: " if mark is not None else ""
            raise Malformed(f"{where}{getattr(error, 'problem', None) or 'is no YAML'}") from None
        return {} if data is None else data

    def put(self, text: str, setting: Setting) -> str:
        (key,) = setting.path
        if setting.item:
            return self._with_item(text, key, setting.value)
        if (line := _line(text, key)) is not None:
            return text[: line.start("value")] + _dumped(setting.value) + text[line.end("value") :]
        if key in self.parse(text):
            raise CannotEdit(f"{key} is there already, and not on a line of its own")
        return f"{_ended(text)}{key}: {_dumped(setting.value)}\n"

    def value_text(self, text: str, setting: Setting) -> str | None:
        line = None if setting.item else _line(text, setting.path[0])
        return line["value"] if line else None

    def take(self, text: str, setting: Setting, before: str | None, kept: int) -> str | None:
        (key,) = setting.path
        if setting.item:
            return self._without_item(text, key, setting.value, kept)
        line = _line(text, key)
        if line is None or self.parse(text).get(key) != setting.value:
            return None
        if before is not None:
            return text[: line.start("value")] + before + text[line.end("value") :]
        return text[: line.start()] + text[line.end() :].removeprefix("\n")

    def _with_item(self, text: str, key: str, value: Any) -> str:
        listed = self.parse(text).get(key)
        if listed is not None and not isinstance(listed, list):
            raise CannotEdit(f"{key} is not a list")
        if listed is None and key not in self.parse(text):
            return f"{_ended(text)}{key}:\n{_item(value, '  ')}"
        head = re.search(rf"^{re.escape(key)}:[ \t]*(?P<empty>\[[ \t]*\])?[ \t]*(?:#[^\n]*)?$", text, re.MULTILINE)
        if head is None:
            raise CannotEdit(f"{key} is not a list in block style")
        if head["empty"]:
            text = text[: head.start("empty")].rstrip(" \t") + text[head.end("empty") :]
            return text.replace(f"{key}:", f"{key}:\n{_item(value, '  ').rstrip(chr(10))}", 1)
        end = _block_end(text, head.end())
        first = re.compile(r"^([ \t]*)- ", re.MULTILINE).search(text, head.end(), end)
        indent = first[1] if first else "  "
        return _ended(text[:end]) + _item(value, indent) + text[end:]

    def _without_item(self, text: str, key: str, value: Any, kept: int) -> str | None:
        if value not in (self.parse(text).get(key) or ()):
            return None
        for indent in ("", "  ", "    ", "\t"):
            item = _item(value, indent)
            if item in text:
                left = text.replace(item, "", 1)
                if self.parse(left).get(key):
                    return left
                head = re.compile(rf"^{re.escape(key)}:[ \t]*$", re.MULTILINE)
                if kept == 0:
                    return re.sub(head.pattern + r"\n?", "", left, count=1, flags=re.MULTILINE)
                return head.sub(f"{key}: []", left, count=1)
        return None


def _line(text: str, key: str) -> re.Match[str] | None:
    value = r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s#\[\]{}&*!|>'"%@`][^#\n]*?)"""
    return re.compile(rf"^{re.escape(key)}:[ \t]+{value}[ \t]*(?:[ \t]#[^\n]*)?$", re.MULTILINE).search(text)


def _block_end(text: str, at: int) -> int:
    """Where the block ends that begins on the line before: at the next key in the first column, or at the end."""
    following = re.compile(r"^[^\s#-]", re.MULTILINE).search(text, at + 1)
    end = following.start() if following else len(text)
    block = text[at:end]
    kept = re.sub(r"(?:\n[ \t]*(?:#[^\n]*)?)+\Z", "\n", block)  # comments before a key belong to that key
    return at + len(kept)


def _item(value: Any, indent: str) -> str:
    lines = [f"{key}: {_dumped(each)}" for key, each in value.items()]
    return f"{indent}- " + f"\n{indent}  ".join(lines) + "\n"


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # which is YAML as well
