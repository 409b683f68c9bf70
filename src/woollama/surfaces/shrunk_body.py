"""Tool results in a request's body, made smaller losslessly where a client asks: `x-woollama-compress: lossless`.

Results behind the last word of the model are new: each is compressed in its own byte range, and every other byte goes
on as it came. In later requests the same results stand further back, and there they must be the same bytes again, or a
provider's cache is void: so a result that was compressed once is compressed wherever it stands, and one that was sent
as it was stays as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from woollama.domain.errors import BadRequest
from woollama.domain.json_spans import after_space, elements, members
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
            text = raw.decode("utf-8")
            spans = list(_results(text))
        except ValueError:
            return raw  # whoever reads it next says what is wrong with it
        pieces: list[str] = []
        copied = 0
        for begin, end, new in spans:
            value = json.loads(text[begin:end], strict=False)
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


def _results(text: str) -> Iterator[tuple[int, int, bool]]:
    """The texts of tool results as (begin, end, whether the model has not answered them yet), in order."""
    history = next((at for key, at, _ in members(text, after_space(text, 0)) if key in ("messages", "input")), None)
    if history is None:
        return
    items = [(span[0], json.loads(text[span[0] : span[1]], strict=False)) for span in elements(text, history)]
    last = max((number for number, (_, item) in enumerate(items) if _by_model(item)), default=-1)
    for number, (at, item) in enumerate(items):
        for begin, end in _texts_of(text, at, item):
            yield begin, end, number > last


def _by_model(item: Any) -> bool:
    if not isinstance(item, Mapping):
        return False
    role = item.get("role")
    return role == "assistant" or (role is None and item.get("type") in _MADE_BY_MODEL)


def _texts_of(text: str, at: int, item: Any) -> Iterator[Span]:
    if not isinstance(item, Mapping):
        return
    inside = {key: (begin, end) for key, begin, end in members(text, at)}
    kind = item.get("type")
    if item.get("role") == "tool" or kind in ("tool_result", "function_call_output"):
        key = "output" if kind == "function_call_output" else "content"
        if isinstance(item.get(key), str):
            yield inside[key]
        elif isinstance(item.get(key), list):
            for (begin, _), block in zip(elements(text, inside[key][0]), item[key], strict=False):
                if isinstance(block, Mapping) and block.get("type") in _TEXTS and isinstance(block.get("text"), str):
                    yield next((b, e) for name, b, e in members(text, begin) if name == "text")
    elif item.get("role") == "user" and isinstance(item.get("content"), list):
        for (begin, _), block in zip(elements(text, inside["content"][0]), item["content"], strict=False):
            if isinstance(block, Mapping) and block.get("type") == "tool_result":
                yield from _texts_of(text, begin, block)
