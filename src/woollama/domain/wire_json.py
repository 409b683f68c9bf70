"""JSON as others write it and as we do: fast where that changes nothing, lenient where the fast parser would.

orjson refuses lone surrogates (`"\\ud83e"`, half an emoji that a model's token boundary left over) and reads an
integer beyond 64 bits as a float. Python's own parser keeps both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

# An integer beyond 64 bits has at least this many digits. Digits are mapped to one and searched for as a plain string,
# because a pattern takes ten times as long for a large body.
_LONG_NUMBER = b"0" * 19
_DIGITS_TO_0 = bytes.maketrans(b"123456789", b"000000000")


def loads(data: bytes) -> Any:
    """Raises `ValueError` for what is no JSON, or nested beyond all reason."""
    if _LONG_NUMBER not in data.translate(_DIGITS_TO_0):
        try:
            return orjson.loads(data)
        except ValueError:
            pass  # perhaps only something that orjson is stricter about
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
            raise
        # Python's words for this one advise whoever runs the program, not who wrote the number.
        raise ValueError("an integer with thousands of digits") from None


def dumps(value: Any) -> bytes:
    """Compact UTF-8; whatever `loads` gives can be written again."""
    try:
        return orjson.dumps(value, default=_plain)
    except orjson.JSONEncodeError:
        return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
