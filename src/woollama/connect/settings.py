"""One setting of another program, and what can go wrong when it is put into a text that somebody else wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Malformed(Exception):
    """The file cannot be read as what it should be; `str(error)` says where and why."""


class CannotEdit(Exception):
    """The file is sound, but what is wanted cannot be put into it without rewriting what its owner wrote."""


@dataclass(frozen=True, slots=True)
class Setting:
    """`value` at `path`; where `item`, one more entry of the list there. `if_missing`: what is there is as good.

    `value` is text, a number, a boolean, a list of texts, or a mapping of such.
    """

    path: tuple[str, ...]
    value: Any
    item: bool = False
    if_missing: bool = False


class Format(Protocol):
    """How a kind of file is changed as text, so that comments, order and white space stay as they are."""

    def parse(self, text: str) -> Any:
        """Raises `Malformed`. A text with nothing in it is an empty mapping."""
        ...

    def put(self, text: str, setting: Setting) -> str:
        """The text with the setting in it. Raises `CannotEdit`."""
        ...

    def value_text(self, text: str, setting: Setting) -> str | None:
        """What stands there now, as it is written; `None`: nothing. An item of a list has no text."""
        ...

    def take(self, text: str, setting: Setting, before: str | None, kept: int) -> str | None:
        """The text without the setting, or with `before` in its place; `None` if what is there is no longer ours.

        `kept` is how many steps of the path are not to go, even if nothing is left in them.
        """
        ...


def found(data: Any, path: tuple[str, ...]) -> Any:
    """What is at `path`, or `None`."""
    for key in path:
        if not isinstance(data, Mapping) or key not in data:
            return None
        data = data[key]
    return data


def depth(data: Any, path: tuple[str, ...]) -> int:
    """How many steps of `path` are there."""
    for number, key in enumerate(path):
        if not isinstance(data, Mapping) or key not in data:
            return number
        data = data[key]
    return len(path)


def with_setting(data: Any, setting: Setting) -> Any:
    """A copy of `data` with the setting in it: what a text must say after it was changed."""
    if not setting.path:
        if not setting.item:
            return setting.value
        return [*(data or ()), setting.value]
    head, rest = setting.path[0], Setting(setting.path[1:], setting.value, setting.item)
    mapping = data if isinstance(data, Mapping) else {}
    return {**mapping, head: with_setting(mapping.get(head), rest)}
