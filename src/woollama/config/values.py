"""Kinds of values: each says what it must be, reads it or tells what is wrong, and has a JSON schema for editors.

A schema speaks of what is written, `read` of what is left when variables are replaced: where a text is expected the
schema lets every `${…}` pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from woollama.config.problems import Finding, Wrong, did_you_mean

T = TypeVar("T")
Schema = Mapping[str, Any]
"""A JSON schema (draft 2020-12)."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[KMG]i?B)?", re.IGNORECASE)
_UNIT_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_ADDRESS = re.compile(r"(?=.)(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/@]+)?(?::(?P<port>\d{1,5}))?")
_SURELY_MS = 1000
_SCHEME_ALONE = re.compile(r"\s*(?:bearer|basic|token)?\s*", re.IGNORECASE)
_A_VARIABLE = r"\$\{[^{}]+\}"
_DURATION_WRITTEN = r"^\s*(?=.*[1-9])[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)?\s*$"
_NOTHING_WRITTEN = r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)?\s*$"
_SIZE_WRITTEN = r"^\s*(?=.*[1-9])[0-9]+(\.[0-9]+)?\s*([KkMmGg][Ii]?)?[Bb]?\s*$"


def text_schema(pattern: str | None = None) -> Schema:
    """Of a text that fits the pattern, or that a variable still has to complete."""
    return {"type": "string", **({"pattern": f"{pattern}|{_A_VARIABLE}"} if pattern else {})}


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """`says` completes "must be …"; `read` takes what a file holds and raises `Wrong`, or gives the value.

    `word` is its name in tables of the reference, `unit` what a number of it counts.
    """

    says: str
    read: Callable[[Any], T]
    schema: Schema = field(default_factory=dict)
    word: str = ""
    unit: str = ""


def kind(
    says: str, read: Callable[[Any], T], schema: Schema = MappingProxyType({}), *, word: str = "", unit: str = ""
) -> Kind[T]:
    """A kind whose `read` may simply raise `ValueError`, `TypeError` or `KeyError`: the message is then `says`."""

    def reading(value: Any) -> T:
        try:
            return read(value)
        except (ValueError, TypeError, KeyError):
            raise Wrong(f"must be {says}") from None

    return Kind(says, reading, schema, word or says.removeprefix("a ").removeprefix("an "), unit)


def written(kind: Kind[Any], text: str) -> str | int:
    """What a variable or a flag says: always a text, and the number in it where only a number will do."""
    try:
        kind.read(text)
    except Wrong:
        return int(text) if text.strip().isdecimal() else text
    return text


def duration_s(value: Any) -> float:
    """Seconds of `500ms`, `10s`, `1.5h`, or of a bare number, which counts seconds. Raises `ValueError`."""
    if isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
        return float(found[1]) * _UNIT_S[found[2]]
    return _finite(float(value) if isinstance(value, str) else value)


def size_bytes(value: Any) -> int:
    """Bytes of `64KiB`, `100MB`, or of a bare number. Raises `ValueError`."""
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
        return int(float(found[1]) * _UNIT_BYTES[(found[2] or "B").lower()])
    return _whole(value)


def duration(*, positive: bool = True) -> Kind[float]:
    bound = "longer than nothing" if positive else "nothing or longer"
    return kind(
        f"a duration such as 500ms, 10s or 5m, {bound}",
        lambda value: _at_least(duration_s(value), math.ulp(0) if positive else 0),
        _duration_schema(positive),
        word="duration",
        unit="s",
    )


def _duration_schema(positive: bool) -> Schema:
    number: Schema = {"type": "number", **({"exclusiveMinimum": 0} if positive else {"minimum": 0})}
    return {"anyOf": [number, text_schema(_DURATION_WRITTEN if positive else _NOTHING_WRITTEN)]}


def whole(at_least: int = 0, at_most: int | None = None) -> Kind[int]:
    upper = "" if at_most is None else f" and at most {at_most}"
    bounds = "" if at_least < 0 else f", {at_least} or more" if at_most is None else f", {at_least} to {at_most}"
    schema = {"type": "integer", "minimum": at_least, **({} if at_most is None else {"maximum": at_most})}
    return kind(
        f"a whole number, at least {at_least}{upper}",
        lambda value: _at_least(_whole(value), at_least, at_most),
        schema,
        word="whole number" + bounds,
    )


def number(at_least: float = -math.inf, at_most: float = math.inf) -> Kind[float]:
    bounds = "" if at_least == -math.inf else f" from {at_least:g}"
    bounds += "" if at_most == math.inf else f" to {at_most:g}"
    limits = {"minimum": at_least, "maximum": at_most}
    schema = {"type": "number", **{key: limit for key, limit in limits.items() if math.isfinite(limit)}}
    return kind(f"a number{bounds}", lambda value: _at_least(_finite(value), at_least, at_most), schema)


def one_of(*words: str) -> Kind[Any]:
    says = f"one of {', '.join(words)}"

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise Wrong(Finding(f"must be {says}", suggestion=did_you_mean(str(value), words)))
        return value

    schema = {"anyOf": [{"enum": list(words)}, text_schema(_A_VARIABLE)]}
    return Kind(says, read, schema, ", ".join(f"`{word}`" for word in words))


def list_of(item: Kind[T]) -> Kind[tuple[T, ...]]:
    def read(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Wrong(f"must be a list, each of it {item.says}")
        return tuple(read_each(enumerate(value), item).values())

    schema = {"type": "array", "items": item.schema}
    return Kind(f"a list, each of it {item.says}", read, schema, f"list of {item.word}")


def map_of(item: Kind[T]) -> Kind[Mapping[str, T]]:
    def read(value: Any) -> Mapping[str, T]:
        return read_each(_table(value).items(), item)

    schema = {"type": "object", "additionalProperties": item.schema}
    return kind(f"a table, each value {item.says}", read, schema, word=f"table of {item.word}")


def table_of(keys: Sequence[str], item: Kind[T]) -> Kind[Mapping[str, T]]:
    """A table whose keys are some of `keys`."""

    def read(value: Any) -> Mapping[str, T]:
        unknown = [key for key in _table(value) if key not in keys]
        findings = [
            Finding(f"is none of {', '.join(keys)}", (key,), suggestion=did_you_mean(key, keys)) for key in unknown
        ]
        if findings:
            raise Wrong(*findings)
        return read_each(value.items(), item)

    schema = {"type": "object", "properties": dict.fromkeys(keys, item.schema), "additionalProperties": False}
    return kind(f"a table, each value {item.says}", read, schema, word=f"table of {item.word}")


def read_each(pairs: Iterable[tuple[Any, Any]], item: Kind[T]) -> dict[Any, T]:
    """Each value read by `item`; what is wrong in any of them is told together."""
    values: dict[Any, T] = {}
    findings: list[Finding] = []
    for step, value in pairs:
        try:
            values[step] = item.read(value)
        except Wrong as wrong:
            findings += wrong.under(step)
    if findings:
        raise Wrong(*findings)
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _some_text(value: Any) -> str:
    if not _text(value).strip():
        raise ValueError
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return value


_N = TypeVar("_N", int, float)


def _at_least(value: _N, least: float, most: float | None = None) -> _N:
    if value < least or (most is not None and value > most):
        raise ValueError
    return value


def _url(value: Any) -> str:
    parts = urlsplit(_some_text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError
    _ = parts.port  # a port that is no number raises
    return str(value).rstrip("/")


def _url_with_port(value: Any) -> str:
    _url(_some_text(value).replace("{port}", "1"))
    return str(value).rstrip("/")


def _ready(value: Any) -> str:
    return str(value) if _text(value).startswith("/") else _url_with_port(value)


def _database(value: Any) -> str:
    text = _some_text(value).strip()
    if not re.match(r"sqlite:/*[^/]|postgres(ql)?://", text):
        raise ValueError
    return text


def _origin(value: Any) -> str:
    origin = _some_text(value)
    if "*" not in origin and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+/?", origin):
        raise ValueError
    return origin


def _address(value: Any) -> str:
    found = _ADDRESS.fullmatch(_text(value).strip())
    if not found or int(found["port"] or 0) > 65535:
        raise ValueError
    return found[0]


def _host(value: Any) -> str:
    if re.search(r"[\s/@]", _some_text(value)):
        raise ValueError
    return str(value)


def _header(value: Any) -> str:
    if _SCHEME_ALONE.fullmatch(_text(value)):
        raise Wrong("has no value: what it should carry is empty or not set")
    if "\n" in value or "\r" in value:
        raise Wrong("must be one line")
    return str(value)


def _variable(value: Any) -> str:
    if not _text(value).isidentifier() or not value.isascii():
        raise ValueError
    return str(value)


def _tool_glob(value: Any) -> str:
    """Without a dot it would be the name of a server alone, which no tool has."""
    glob = some_text.read(value)
    if "." not in glob and "*" not in glob:
        raise Wrong(Finding("must be server.tool or a glob over it", suggestion=f'did you mean "{glob}.*"?'))
    return glob


def _ms_or_s(value: Any) -> float:
    seconds = duration_s(value)
    return seconds / 1000 if not isinstance(value, str) and seconds >= _SURELY_MS else seconds


text = kind("a text", _text, text_schema())
some_text = kind("a text that is not empty", _some_text, text_schema(r"\S"), word="text")
flag = kind("true or false", _flag, {"type": "boolean"})
table = kind("a table", _table, {"type": "object"})
size = kind(
    "a size such as 64KiB or 100MB",
    lambda value: _at_least(size_bytes(value), 1),
    {"anyOf": [{"type": "integer", "minimum": 1}, text_schema(_SIZE_WRITTEN)]},
    word="size",
    unit="bytes",
)
_ONE_URL = r"^\s*[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#]+[^?#]*$"
url = kind(
    "a URL such as http://127.0.0.1:8000/v1, without a query",
    _url,
    text_schema(_ONE_URL),
    word="URL",
)
base_url = kind(
    "a URL such as http://127.0.0.1:8000/v1, without a query",
    _url_with_port,
    text_schema(_ONE_URL),
    word="URL",
)
ready_url = kind(
    "a URL such as http://127.0.0.1:{port}/health, or its path alone", _ready, text_schema(_ONE_URL + "|^/"), word="URL"
)
database = kind(
    "a database: sqlite:///path/to/file or postgresql://user@host/name",
    _database,
    text_schema(r"^\s*(sqlite:/*[^/]|postgres(ql)?://)"),
    word="URL of a database",
)
origin = kind(
    "an origin such as http://localhost:3000, or a pattern with *",
    _origin,
    text_schema(r"\*|^[a-z][a-z0-9+.-]*://[^/\s]+/?$"),
    word="origin",
)
address = kind(
    "HOST:PORT, such as 127.0.0.1:11435 or [::1]:11435",
    _address,
    text_schema(r"^\s*(?=\S)(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/@]+)?(:[0-9]{1,5})?\s*$"),
    word="HOST:PORT",
)
header = Kind(
    "a header's value",
    _header,
    text_schema(r"^(?!\s*([Bb][Ee][Aa][Rr][Ee][Rr]|[Bb][Aa][Ss][Ii][Cc]|[Tt][Oo][Kk][Ee][Nn])?\s*$)[^\r\n]*$"),
    "text",
)
headers = map_of(header)
variable = kind(
    "the name of an environment variable, never the key itself",
    _variable,
    text_schema("^[A-Za-z_][A-Za-z0-9_]*$"),
    word="name of a variable",
)
ms_or_s = kind(
    "a duration; a number of 1000 and more is ms",
    lambda value: _at_least(_ms_or_s(value), math.ulp(0)),
    _duration_schema(positive=True),
    word="duration",
    unit="s",
)
texts = list_of(some_text)
_HOSTS = list_of(
    kind(
        "a host such as mcp.example.com or *.example.com, with :PORT for one port alone",
        _host,
        text_schema(r"^[^\s/@]+$"),
        word="host",
    )
)
remote_hosts: Kind[Any] = kind(
    "true, false or a list of hosts, such as mcp.example.com or *.example.com",
    lambda value: value if isinstance(value, bool) else _HOSTS.read(value),
    {"anyOf": [flag.schema, _HOSTS.schema]},
    word="true, false or list of hosts",
)
tool_globs = list_of(
    Kind(
        "server.tool or a glob over it, such as git.* or *", _tool_glob, text_schema("[.*]"), "`server.tool` or a glob"
    )
)
