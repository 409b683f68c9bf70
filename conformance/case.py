"""A recorded case: what is asked, what the scripted upstream answers, and what the client must see.

A case is a JSON file (conformance/README.md describes its members). What differs from run to run is replaced before
two answers are compared: a time under one of the `times` keys becomes `<time>`, and a generated id (one of the
`ids` prefixes and at least 16 letters or digits) becomes `<resp_ 1>`, numbered in order of appearance, so that the
same id has the same name wherever it returns; a text under one of the `opaque` keys becomes `<nextCursor 1>`. A later
request of the case may name either: `"<resp_ 1>"`. An address on loopback becomes `<address>`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = HERE / "cases"
VOLATILE = json.loads((HERE / "volatile.json").read_text(encoding="utf-8"))

CASE_KEYS = {"promise", "exchanges"}
EXCHANGE_KEYS = {"upstream", "request", "response", "forwarded", "within_s"}
ANSWER_KEYS = {"status", "headers", "json", "text", "sse", "lines", "cut_after"}
REQUEST_KEYS = {"method", "path", "headers", "json", "text", "leave_after", "meanwhile"}
RESPONSE_KEYS = {"status", "headers", "json", "text", "frames", "lines", "invariants"}
FORWARDED_KEYS = {"method", "path", "headers", "json", "text"}


@dataclass(frozen=True)
class Case:
    path: Path
    promise: str
    exchanges: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        return self.path.relative_to(CASES).with_suffix("").as_posix()


def environment(upstream: str) -> dict[str, str]:
    """What `config/` asks for: `upstream` (an origin) stands for every provider, `case_server.py` for tool servers."""
    return {
        "WOOLLAMA_CASE_UPSTREAM": upstream,
        "WOOLLAMA_CASE_KEY": "case-key",
        "WOOLLAMA_CASE_PYTHON": sys.executable,
        "WOOLLAMA_CASE_SERVER": str(HERE / "case_server.py"),
    }


def load(path: Path) -> Case:
    """Raises `ValueError` naming what is wrong with the file."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    _only(whole, CASE_KEYS, path.name)
    for exchange in whole["exchanges"]:
        _only(exchange, EXCHANGE_KEYS, path.name)
        _only(exchange["request"], REQUEST_KEYS, path.name)
        _only(exchange.get("response", {}), RESPONSE_KEYS, path.name)
        for answer in exchange.get("upstream", []):
            _only(answer, ANSWER_KEYS, path.name)
        for forwarded in exchange.get("forwarded", []):
            _only(forwarded, FORWARDED_KEYS, path.name)
    return Case(path, whole["promise"], whole["exchanges"])


def load_all() -> list[Case]:
    return [load(path) for path in sorted(CASES.rglob("*.json"))]


def frames_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream as `{"event"?, "data"}`, data parsed where it is JSON; comments are left out."""
    frames = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = [line.partition(":") for line in block.split("\n") if line and not line.startswith(":")]
        values = {name: value.removeprefix(" ") for name, _, value in fields}
        if "data" in values:
            frames.append({**values, "data": _parsed(values["data"])})
    return frames


@dataclass
class Names:
    """Which volatile value has which name, over all exchanges of one case."""

    by_value: dict[str, str] = field(default_factory=dict)

    def normalise(self, value: Any, key: str = "") -> Any:
        match value:
            case dict():
                return {self.normalise(each): self.normalise(inner, each) for each, inner in value.items()}
            case list():
                return [self.normalise(inner) for inner in value]
            case bool():
                return value
            case int() | float() if key in VOLATILE["times"]:
                return "<time>"
            case str() if key in VOLATILE["opaque"]:
                return self._name(key, value)
            case str() if key in VOLATILE["times"] and _ISO_TIME.fullmatch(value):
                return "<time>"
            case str():
                named = _ID.sub(lambda found: self._name(found["prefix"], found.group()), value)
                return re.sub(VOLATILE["addresses"], "<address>", named)
            case _:
                return value

    def fill(self, value: Any) -> Any:
        """The reverse: names that are known become the values they stand for."""
        by_name = {name: known for known, name in self.by_value.items()}
        match value:
            case dict():
                return {self.fill(key): self.fill(inner) for key, inner in value.items()}
            case list():
                return [self.fill(inner) for inner in value]
            case str():
                return re.sub(r"<\S+ \d+>", lambda found: by_name.get(found.group(), found.group()), value)
            case _:
                return value

    def _name(self, prefix: str, value: str) -> str:
        same_kind = [name for name in self.by_value.values() if name.startswith(f"<{prefix} ")]
        return self.by_value.setdefault(value, f"<{prefix} {len(same_kind) + 1}>")


def differences(expected: Any, actual: Any, at: str = "") -> Iterator[str]:
    """Where `actual` breaks what `expected` promises. An object may hold more than promised; a list may not.

    `{"$contains": [...]}` promises some elements of a list, `{"$matches": "regex"}` a string, `"$absent"` no member.
    """
    match expected:
        case {"$contains": wanted}:
            held = actual if isinstance(actual, list) else []
            for number, each in enumerate(wanted):
                if all(list(differences(each, one)) for one in held):
                    yield f"{at} holds nothing like its wanted element {number}: {_short(each)}"
        case {"$matches": pattern}:
            if not isinstance(actual, str) or not re.search(pattern, actual):
                yield f"{at} is {_short(actual)}, which does not match {pattern!r}"
        case dict():
            if not isinstance(actual, dict):
                yield f"{at} is {_short(actual)}, not an object"
                return
            for key, inner in expected.items():
                if inner == "$absent":
                    if key in actual:
                        yield f"{at}.{key} is there: {_short(actual[key])}"
                elif key not in actual:
                    yield f"{at}.{key} is missing"
                else:
                    yield from differences(inner, actual[key], f"{at}.{key}")
        case list():
            if not isinstance(actual, list) or len(expected) != len(actual):
                yield f"{at} is {_short(actual)}, not {_short(expected)}"
                return
            for number, (inner, other) in enumerate(zip(expected, actual, strict=True)):
                yield from differences(inner, other, f"{at}[{number}]")
        case _:
            if expected != actual or isinstance(expected, bool) is not isinstance(actual, bool):
                yield f"{at} is {_short(actual)}, not {_short(expected)}"


_ID = re.compile(rf"(?P<prefix>{'|'.join(map(re.escape, VOLATILE['ids']))})[0-9A-Za-z]{{16,}}")

_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}…"


def _only(value: Mapping[str, Any], known: set[str], name: str) -> None:
    if unknown := set(value) - known:
        raise ValueError(f"{name}: unknown members {sorted(unknown)}; known are {sorted(known)}")
