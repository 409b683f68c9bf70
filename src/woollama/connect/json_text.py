"""JSON with comments and trailing commas, changed as text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from woollama.connect.settings import CannotEdit, Malformed, Setting

_blank = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_string = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_atom = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_INDENT = "  "


@dataclass(slots=True)
class Node:
    """A value and where it stands. `members` are an object's: where each key begins, and its value."""

    begin: int
    end: int = 0
    data: Any = None
    members: dict[str, tuple[int, Node]] = field(default_factory=dict)


class JsonText:
    def parse(self, text: str) -> Any:
        return _scan(text).data if text.strip() else {}

    def put(self, text: str, setting: Setting) -> str:
        node = _scan(text if text.strip() else (text := "{}\n"))
        for number, key in enumerate(setting.path):
            if not isinstance(node.data, dict):
                raise CannotEdit(f"{'.'.join(setting.path[:number]) or 'the file'} is not an object")
            rest = setting.path[number + 1 :]
            if key not in node.members:
                value = setting.value
                for each in reversed(rest):
                    value = {each: value}
                return _inserted(text, node, key, value)
            at, node = node.members[key]
        return text[: node.begin] + _dumped(setting.value, _indent_at(text, at)) + text[node.end :]

    def value_text(self, text: str, setting: Setting) -> str | None:
        node = _at(_scan(text), setting.path) if text.strip() else None
        return None if node is None else text[node.begin : node.end]

    def take(self, text: str, setting: Setting, before: str | None, kept: int) -> str | None:
        node = _at(_scan(text), setting.path) if text.strip() else None
        if node is None or node.data != setting.value:
            return None
        if before is not None:
            return text[: node.begin] + before + text[node.end :]
        path = setting.path
        text = _removed(text, path)
        while len(path := path[:-1]) > kept:
            parent = _at(_scan(text), path)
            if parent is None or parent.data != {} or _has_comment(text[parent.begin : parent.end]):
                break
            text = _removed(text, path)
        return text


def _at(node: Node, path: tuple[str, ...]) -> Node | None:
    for key in path:
        if key not in node.members:
            return None
        node = node.members[key][1]
    return node


def _inserted(text: str, node: Node, key: str, value: Any) -> str:
    inside = text[node.begin + 1 : node.end - 1]
    close = node.end - 1
    last = max((member for _, member in node.members.values()), key=lambda member: member.end, default=None)
    if last is not None and "\n" not in text[node.begin : node.end]:
        comma = "" if _comma_after(text, last.end) is not None else ","
        tail = len(inside) - len(inside.rstrip())
        return f"{text[: close - tail]}{comma} {json.dumps(key)}: {_dumped(value, None)}{text[close - tail :]}"
    outer = _indent_at(text, node.begin)
    inner = outer + _INDENT
    if last is not None:
        first_key = min(begin for begin, _ in node.members.values())
        inner = _indent_at(text, first_key)
        if _comma_after(text, last.end) is None:
            text = f"{text[: last.end]},{text[last.end :]}"
            close += 1
    content_end = close - (len(text[:close]) - len(text[:close].rstrip()))
    member = f"\n{inner}{json.dumps(key)}: {_dumped(value, inner)}\n{outer}"
    return text[:content_end] + member + text[close:]


def _removed(text: str, path: tuple[str, ...]) -> str:
    parent = _at(_scan(text), path[:-1])
    assert parent is not None
    begin, node = parent.members[path[-1]]
    comma = _comma_after(text, node.end)
    end = node.end if comma is None else comma + 1
    # The white space before it goes too, but for a line's end that may end a comment.
    start = len(text[:begin].rstrip()) if re.match(r"[ \t]*\r?\n", text[end:]) else begin
    if comma is not None:
        return text[:start] + text[end:].lstrip(" \t") if start == begin else text[:start] + text[end:]
    earlier = [member.end for at, member in parent.members.values() if at < begin]
    if not earlier:
        rest = text[end : parent.end - 1]
        empty = not text[parent.begin + 1 : start].strip() and not rest.strip()
        return (
            text[: parent.begin + 1] + text[parent.end - 1 :] if empty else text[:start] + rest + text[parent.end - 1 :]
        )
    before = _comma_after(text, max(earlier))
    assert before is not None
    return text[:before] + text[before + 1 : start] + text[end:]


def _comma_after(text: str, end: int) -> int | None:
    blank = _blank.match(text, end)
    at = blank.end() if blank else end
    return at if text[at : at + 1] == "," else None


def _has_comment(text: str) -> bool:
    return bool(text.strip("{} \t\r\n"))


def _indent_at(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _dumped(value: Any, indent: str | None) -> str:
    """As it is written at a place that is `indent` deep; on one line without one."""
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, indent=len(_INDENT)).replace("\n", "\n" + indent)


def _scan(text: str) -> Node:
    node = _value(text, _skip(text, 1 if text.startswith("\ufeff") else 0))
    end = _skip(text, node.end)
    if end != len(text):
        raise _wrong(text, end, "something follows the end")
    return node


def _value(text: str, at: int) -> Node:
    node = Node(at)
    if text[at : at + 1] == "{":
        node.data = {}
        at = _skip(text, at + 1)
        while text[at : at + 1] != "}":
            key = _string.match(text, at)
            if key is None:
                raise _wrong(text, at, "a key is expected")
            colon = _skip(text, key.end())
            if text[colon : colon + 1] != ":":
                raise _wrong(text, colon, "a colon is expected")
            name = _loaded(text, key)
            member = _value(text, _skip(text, colon + 1))
            node.members[name] = (key.start(), member)
            node.data[name] = member.data
            at = _next(text, member.end, "}")
        node.end = at + 1
    elif text[at : at + 1] == "[":
        node.data = []
        at = _skip(text, at + 1)
        while text[at : at + 1] != "]":
            element = _value(text, at)
            node.data.append(element.data)
            at = _next(text, element.end, "]")
        node.end = at + 1
    else:
        found = _string.match(text, at) or _atom.match(text, at)
        if found is None:
            raise _wrong(text, at, "a value is expected")
        node.data, node.end = _loaded(text, found), found.end()
    return node


def _loaded(text: str, found: re.Match[str]) -> Any:
    try:
        return json.loads(found[0], strict=False)
    except ValueError:
        raise _wrong(text, found.start(), "a text is broken") from None


def _next(text: str, end: int, close: str) -> int:
    at = _skip(text, end)
    if text[at : at + 1] == ",":
        return _skip(text, at + 1)
    if text[at : at + 1] != close:
        raise _wrong(text, at, f"a comma or {close} is expected")
    return at


def _skip(text: str, at: int) -> int:
    blank = _blank.match(text, at)
    return blank.end() if blank else at


def _wrong(text: str, at: int, what: str) -> Malformed:
    return Malformed(f"line {text.count(chr(10), 0, at) + 1}: {what}")
