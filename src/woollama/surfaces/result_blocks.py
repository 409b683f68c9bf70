"""What a client's own tool gave, as the MCP content blocks in which the result of every tool is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from woollama.domain.errors import UnsupportedField
from woollama.domain.messages import File, Image, Json, Part, Text

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*)?;base64,(.*)", re.DOTALL)


def result_blocks(parts: Iterable[Part], path: str) -> Iterator[Mapping[str, Json]]:
    """`path` is that of the parts in the body. Raises `UnsupportedField` for what no tool gives."""
    for part in parts:
        match part:
            case Text():
                yield {"type": "text", "text": part.text}
            case Image(url=str(url)):
                found = _DATA_URL.match(url)
                if found:
                    yield {"type": "image", "mimeType": found[1], "data": found[2]}
                else:
                    yield {"type": "resource_link", "uri": url, "name": "image"}
            case File(data=str(data)):
                found = _DATA_URL.match(data)
                name = part.filename or "file"
                resource = {"uri": name, "blob": found[2] if found else data}
                yield {"type": "resource", "resource": {**resource, **({"mimeType": found[1]} if found else {})}}
            case File(url=str(url)):
                yield {"type": "resource_link", "uri": url, "name": part.filename or "file"}
            case _:
                raise UnsupportedField("a tool's output is text, images and files", param=path)
