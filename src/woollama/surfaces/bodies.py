"""Bodies: requests read whole, JSON objects in and out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from woollama.domain.errors import BadRequest

Headers = Sequence[tuple[bytes, bytes]]

# orjson reads an integer beyond 64 bits as a float; a long run of digits hints at one.
_LONG_DIGITS = re.compile(rb"\d{19}")


async def read_body(receive: Receive) -> bytes:
    """The whole body. Its size was bounded at the door."""
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the client left before its request was complete")
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def parse_json(raw: bytes) -> Mapping[str, Any]:
    """A JSON object. Takes what clients really send: orjson refuses lone surrogates and changes big integers."""
    try:
        value = json.loads(raw) if _LONG_DIGITS.search(raw) else orjson.loads(raw)
    except (ValueError, RecursionError):
        value = _parse_slowly(raw)
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return value


def header_of(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _parse_slowly(raw: bytes) -> Any:
    try:
        return json.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None


async def send_json(send: Send, status: int, body: Any, headers: Headers = ()) -> None:
    data = orjson.dumps(body)
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": data, "more_body": False})
