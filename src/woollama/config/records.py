"""Tables of a file become frozen records: the record's class is the list of the keys that exist.

A class marks its fields with `setting` or `required`; `read_record` reads a table by them. Keys that nobody knows,
values that do not fit and keys that this version cannot honour are all told together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from types import MappingProxyType
from typing import Any, TypeVar, cast

from woollama.config.problems import Finding, Severity, Wrong, did_you_mean
from woollama.config.values import Kind, Schema, kind

T = TypeVar("T")
_WORDS_OF_OTHERS = {
    "model": "inferencer",
    "prompt": "system",
    "system_prompt": "system",
    "instructions": "system",
    "fallback": "fallbacks",
    "url": "base_url",
    "api_base": "base_url",
    "endpoint": "base_url",
    "key": "api_key_env",
    "api_key": "api_key_env",
    "type": "api",
    "provider": "api",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """How a field is written: under which key, as which kind of value, and what it is for."""

    kind: Kind[Any]
    doc: str
    key: str | None = None


def setting(default: T, of: Kind[Any], doc: str, *, key: str | None = None) -> T:
    """A field with a default. `key` is its name in the file where that differs from the field's."""
    return dataclasses.field(default=default, metadata={"setting": Setting(of, doc, key)})


def setting_of(factory: Callable[[], T], of: Kind[Any], doc: str, *, secret: bool = False, key: str | None = None) -> T:
    """As `setting`, for defaults that must not be shared. A `secret` one is not shown in the record's `repr`."""
    return dataclasses.field(default_factory=factory, repr=not secret, metadata={"setting": Setting(of, doc, key)})


def required(of: Kind[T], doc: str, *, key: str | None = None) -> T:
    """A field that must be written."""
    return cast(T, dataclasses.field(metadata={"setting": Setting(of, doc, key)}))


def settings_of(cls: type) -> dict[str, tuple[dataclasses.Field[Any], Setting]]:
    """The settings of a record by the keys under which they are written."""
    found = {}
    for item in dataclasses.fields(cls):
        how: Setting | None = item.metadata.get("setting")
        if how is not None:
            found[how.key or item.name] = (item, how)
    return found


def read_record(
    cls: type[T],
    raw: Mapping[str, Any],
    *,
    unknown: Severity = "error",
    **given: object,
) -> tuple[T | None, list[Finding]]:
    """A record of `raw` and everything worth telling; no record when something of it is an error.

    `given` are the fields that no key sets.
    """
    settings = settings_of(cls)
    findings: list[Finding] = []
    values: dict[str, Any] = dict(given)
    for key in raw:
        if key not in settings:
            hint = _misnamed(key, settings) or did_you_mean(key, list(settings))
            findings.append(Finding("is no known key", (key,), hint, unknown))
    for key, (item, how) in settings.items():
        if key in raw:
            try:
                values[item.name] = how.kind.read(raw[key])
            except Wrong as wrong:
                findings += wrong.under(key)
        elif not has_default(item):
            findings.append(Finding(f'needs "{key}": {how.doc}'))
    if any(finding.severity == "error" for finding in findings):
        return None, findings
    return cls(**values), findings


def _misnamed(key: str, settings: Mapping[str, tuple[dataclasses.Field[Any], Setting]]) -> str:
    """What somebody meant who uses another program's word, or writes a key one table too high."""
    if (meant := _WORDS_OF_OTHERS.get(key)) in settings:
        return f'did you mean "{meant}"?'
    inside = [name for name, (_, how) in settings.items() if key in how.kind.schema.get("properties", ())]
    return f"it belongs into {inside[0]}: {inside[0]} = {{ {key} = … }}" if inside else ""


def record(cls: type[T]) -> Kind[T]:
    """The kind of a table inside another."""

    def read(value: Any) -> T:
        if not isinstance(value, dict):
            raise TypeError
        made, findings = read_record(cls, value)
        if made is None:
            raise Wrong(*findings)
        return made

    keys = ", ".join(settings_of(cls))
    return kind(f"a table with {keys}", read, record_schema(cls), word=f"table ({keys})")


def record_schema(
    cls: type,
    *,
    more: Mapping[str, Schema] = MappingProxyType({}),
    opened: bool = False,
) -> dict[str, Any]:
    """The JSON schema of a record's table. `more` are further keys; an `opened` one may also have unknown ones."""
    properties: dict[str, Schema] = {}
    for key, (item, how) in settings_of(cls).items():
        default = as_written(item)
        told = {} if default is None else {"default": default}
        properties[key] = {"description": how.doc, **told, **how.kind.schema}
    needed = [key for key, (item, _) in settings_of(cls).items() if not has_default(item)]
    return {
        "type": "object",
        "properties": {**properties, **more},
        **({"required": needed} if needed else {}),
        **({} if opened else {"additionalProperties": False}),
    }


def as_written(item: dataclasses.Field[Any]) -> Any:
    """A field's default as a file would have it; `None` where leaving the key out says something of its own."""
    value = item.default_factory() if item.default_factory is not MISSING else item.default
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, str | bool | int | float | dict) else None


def has_default(item: dataclasses.Field[Any]) -> bool:
    return item.default is not MISSING or item.default_factory is not MISSING
