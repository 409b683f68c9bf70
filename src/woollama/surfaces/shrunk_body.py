"""Tool results in a request's body, made smaller losslessly where a client asks: `x-woollama-compress: lossless`.

Results behind the last word of the model are new: each is compressed in its own byte range, and every other byte goes
on as it came. In later requests the same results stand further back, and there they must be the same bytes again, or a
provider's cache is void: so a result that was compressed once is compressed wherever it stands, and one that was sent
as it was stays as it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from woollama.domain.errors import BadRequest
from woollama.domain.json_spans import after_space, begin_of, elements, members, values
from woollama.domain.ports import Shrinker
from woollama.surfaces.bodies import Headers

HEADER = b"x-woollama-compress"
REMEMBERED = 20_000
_TEXTS = frozenset({"text", "input_text", "output_text"})
_MADE_BY_MODEL = frozenset({"function_call", "reasoning", "message"})
Span = tuple[int, int]


class ShrunkBodies:
    """Outlives a reload: `_sent` knows the results that were sent compressed, by their hashes."""

    def __init__(self, shrinker: Shrinker) -> None:
        self._shrinker = shrinker
        self._sent: OrderedDict[bytes, None] = OrderedDict()
        self._reading = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<ShrunkBodies, {len(self._sent)} results sent>"

    async def of(self, raw: bytes, headers: Headers) -> bytes:
        """The body as it is to be sent on. Raises `BadRequest` for a level that there is not here."""
        asked = next((value for name, value in headers if name == HEADER), b"off")
        wanted = asked.decode("latin-1").strip().lower()
        if wanted == "off":
            return raw
        if wanted != "lossless":
            raise BadRequest(
                f"x-woollama-compress may be lossless or off here, not {wanted!r}; a recipe with `compress` can leave"
                " things out, because it has the tool to get them back"
            )
        try:
            async with self._reading:
                await asyncio.sleep(0)  # of many large bodies each is read in a step of its own
                text = raw.decode("utf-8")
                found = list(_results(text))
        except ValueError:
            return raw  # whoever reads it next says what is wrong with it
        pieces: list[str] = []
        copied = 0
        for (begin, end), value, new in found:
            digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()[:16]
            if not new and digest not in self._sent:
                continue
            shrunk = await self._shrinker.shrink(value, level="lossless", query="", tool="", recipe="relay")
            if shrunk.text == value:
                continue
            self._remember(digest)
            pieces += (text[copied:begin], json.dumps(shrunk.text, ensure_ascii=False))
            copied = end
        return "".join([*pieces, text[copied:]]).encode("utf-8", "surrogatepass") if pieces else raw

    def _remember(self, digest: bytes) -> None:
        self._sent[digest] = None
        self._sent.move_to_end(digest)
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)


def _results(text: str) -> Iterator[tuple[Span, str, bool]]:
    """The texts of tool results as (their span, the text, whether the model has not answered them yet), in order."""
    history = begin_of(text, after_space(text, 0), ("messages", "input"))
    if history is None:
        return
    items = [(begin, item) for begin, _, item in values(text, history)]
    last = max((number for number, (_, item) in enumerate(items) if _by_model(item)), default=-1)
    for number, (at, item) in enumerate(items):
        for span, value in _texts_of(text, at, item):
            yield span, value, number > last


def _by_model(item: Any) -> bool:
    if not isinstance(item, Mapping):
        return False
    role = item.get("role")
    return role == "assistant" or (role is None and item.get("type") in _MADE_BY_MODEL)


def _texts_of(text: str, at: int, item: Any) -> Iterator[tuple[Span, str]]:
    if not isinstance(item, Mapping):
        return
    kind = item.get("type")
    result = item.get("role") == "tool" or kind in ("tool_result", "function_call_output")
    content = item.get(key := "output" if kind == "function_call_output" else "content")
    if not (result and isinstance(content, str)) and not isinstance(content, list):
        return
    span = [(begin, end) for name, begin, end in members(text, at) if name == key][-1]
    if isinstance(content, str):
        yield span, content
        return
    for (begin, _), block in zip(elements(text, span[0]), content, strict=False):
        if not isinstance(block, Mapping):
            continue
        if result and block.get("type") in _TEXTS and isinstance(block.get("text"), str):
            yield [(b, e) for name, b, e in members(text, begin) if name == "text"][-1], block["text"]
        elif not result and item.get("role") == "user" and block.get("type") == "tool_result":
            yield from _texts_of(text, begin, block)
