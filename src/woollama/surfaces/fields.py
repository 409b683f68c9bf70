"""Reading a request body: each field is what its dialect says or a 400 that names it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

from woollama.domain.errors import BadRequest

_WORDS: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    dict: "an object",
    list: "an array",
}


class Fields:
    """A JSON object and its `path` in the body. `null` counts as absent, as it does for the SDKs."""

    def __init__(self, raw: Mapping[str, Any], path: str = "") -> None:
        self._raw = raw
        self.path = path

    @classmethod
    def of(cls, raw: Any, path: str) -> Self:
        if not isinstance(raw, Mapping):
            raise BadRequest(f"`{path}` must be an object", param=path)
        return cls(raw, path)

    def given(self, name: str) -> bool:
        return self._raw.get(name) is not None

    def raw(self, name: str) -> Any:
        return self._raw.get(name)

    def rest(self, *known: str) -> Mapping[str, Any]:
        """The members beside the known ones, as they came."""
        return {name: value for name, value in self._raw.items() if name not in known}

    def typed(self, name: str, kind: type) -> Any:
        value = self._raw.get(name)
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if isinstance(value, float):
            fits = fits and math.isfinite(value)  # NaN is no JSON, and nothing that comes after could say it
        if value is None or (fits and (kind is bool or not isinstance(value, bool))):
            return value
        path = f"{self.path}.{name}" if self.path else name
        raise BadRequest(f"`{path}` must be {_WORDS[kind]}", param=path)

    def text(self, name: str) -> str | None:
        value: str | None = self.typed(name, str)
        return value

    def integer(self, name: str) -> int | None:
        value: int | None = self.typed(name, int)
        return value

    def boolean(self, name: str) -> bool | None:
        value: bool | None = self.typed(name, bool)
        return value

    def object(self, name: str) -> Mapping[str, Any] | None:
        value: Mapping[str, Any] | None = self.typed(name, dict)
        return value

    def array(self, name: str) -> Sequence[Any] | None:
        value: Sequence[Any] | None = self.typed(name, list)
        return value

    def strings(self, name: str) -> Mapping[str, str]:
        """An object of strings, for template variables; numbers are taken as their text."""
        given = self.object(name) or {}
        for key, value in given.items():
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise BadRequest(f"`{name}.{key}` must be a string", param=f"{name}.{key}")
        return {key: str(value) for key, value in given.items()}

    def model(self) -> str:
        value = self._raw.get("model")
        if not isinstance(value, str) or not value.strip():
            raise BadRequest("`model` must be a non-empty string", param="model")
        return value
