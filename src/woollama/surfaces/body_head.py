"""The head of a JSON body, and small changes at its top level that leave every other byte as it came.

A relayed body is parsed to be judged and then sent on as bytes: writing it anew would cost more than reading it, and
would change what only the upstream understands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from woollama.core.route_of import BodyHead
from woollama.domain.errors import BadRequest
from woollama.domain.messages import Dialect
from woollama.domain.wire_json import dumps, loads
from woollama.surfaces.bodies import parse_json

_KEY = b'"model"'
_colon = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_string = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
# Every letter of the key has an escape that begins like this, so without one the key is spelt out.
_ESCAPED_LETTER = b"\\u006"


@dataclass(frozen=True, slots=True)
class ScannedHead(BodyHead):
    """A head with the parsed `body`, and the place of the value of `model` where that is a string."""

    body: Mapping[str, Any] = field(repr=False, compare=False)
    model_span: tuple[int, int] | None = field(repr=False, compare=False)


def scan(raw: bytes, dialect: Dialect, content_type: str) -> ScannedHead:
    """Raises `BadRequest` for a body that is no JSON object or gives `model` twice."""
    try:
        body = loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = parse_json(raw)  # which says what is wrong
    return ScannedHead(
        dialect=dialect,
        model=body.get("model"),
        # Ollama streams unless it is told not to.
        stream=body.get("stream") is True or (dialect == "ollama" and body.get("stream") is None),
        keys=frozenset(body),
        content_type=content_type,
        body=body,
        model_span=_model_span(raw, body) if isinstance(body.get("model"), str) else None,
    )


def splice(raw: bytes, head: ScannedHead, model: str, extra_body: Mapping[str, Any]) -> bytes:
    """The body with `model` in place of its own, and those members of `extra_body` that it lacks."""
    added = {key: value for key, value in extra_body.items() if key not in head.keys and key != "model"}
    if head.model_span is None:
        raise ValueError("only a body whose model is a string can be spliced")
    begin, end = head.model_span
    first = raw.index(b"{") + 1
    members = dumps(added)[1:-1] + b"," if added else b""
    return b"".join((b"{", members, raw[first:begin], dumps(model), raw[end:]))


def _model_span(raw: bytes, body: Mapping[str, Any]) -> tuple[int, int]:
    keys = _keys_named_model(raw)
    if len(keys) != 1 or _ESCAPED_LETTER in raw:
        keys = _at_top_level(raw, keys)
    value = _string.match(raw, keys[0][1])
    if value is None:
        raise BadRequest("`model` cannot be located in the body", param="model")
    return value.span()


def _keys_named_model(raw: bytes) -> list[tuple[int, int]]:
    """Where each key `model` begins and its value begins, on every level."""
    found = []
    at = raw.find(_KEY)
    while at >= 0:
        colon = _colon.match(raw, at + len(_KEY))
        if colon:
            found.append((at, colon.end()))
        at = raw.find(_KEY, at + len(_KEY))
    return found


def _at_top_level(raw: bytes, keys: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Which one of `keys` is the body's own: give each another name, and see which names the body then has."""
    pieces, end = [], 0
    for number, (begin, _) in enumerate(keys):
        pieces += [raw[end:begin], b'"\\u0000%d"' % number]
        end = begin + len(_KEY)
    renamed = loads(b"".join((*pieces, raw[end:])))
    own = [key for number, key in enumerate(keys) if f"\0{number}" in renamed]
    if len(own) + ("model" in renamed) > 1:
        # Two parsers would take two different values, and we would answer for one of them.
        raise BadRequest("`model` is given twice", param="model")
    if not own:
        raise BadRequest("the key `model` must be spelt without escapes", param="model")
    return own
