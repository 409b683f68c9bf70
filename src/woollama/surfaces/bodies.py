"""Bodies: requests read whole, JSON objects in and out."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.domain.errors import BadRequest, WrongContentType
from woollama.domain.wire_json import dumps, loads

Headers = Sequence[tuple[bytes, bytes]]
# Clients give up on headers of some kilobytes.
_HEADER_CHARS = 1000
_unprintable = re.compile(r"[^ -~]")


async def read_body(receive: Receive) -> bytes:
    """The whole body. Its size was bounded at the door."""
    chunks = [chunk async for chunk in read_chunks(receive)]
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_json(scope: Scope, receive: Receive) -> bytes:
    """The body for an endpoint that takes no forms. The door lets forms in, for those that do."""
    if header_of(scope, b"content-type").lower().startswith("multipart/"):
        raise WrongContentType("the body must be application/json, not a form", param="content-type")
    return await read_body(receive)


async def read_chunks(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it arrives, for those that are not to be held whole."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the client left before its request was complete")
        yield message.get("body", b"")
        more = message.get("more_body", False)


def parse_json(raw: bytes) -> Mapping[str, Any]:
    """The JSON object that a body is. Raises `BadRequest` with where and why."""
    try:
        value = loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return value


def header_of(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def header_value(text: str) -> bytes:
    """`text` as a header can carry it, whatever clients and upstreams wrote into it."""
    shown = text if len(text) <= _HEADER_CHARS else f"{text[:_HEADER_CHARS]}..."
    return _unprintable.sub("?", shown).encode("ascii")


async def send_json(send: Send, status: int, body: Any, headers: Headers = ()) -> None:
    data = dumps(body)
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": data, "more_body": False})
