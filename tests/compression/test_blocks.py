"""Results in blocks of several kinds, as tools give them, before a model sees them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.core.rounds import Box
from woollama.compression import Policy, restore
from woollama.compression.ledger import Ledger
from woollama.compression.shrinking import Shrinking
from woollama.core.compressed import Compressed
from woollama.domain import retrieve_tool
from woollama.domain.messages import Json, ToolResult
from woollama.domain.ports import ShrinkLevel, ToolContext
from woollama.domain.tools import Returned, ToolOutcome
from woollama.domain.turns import INTERNAL

CONTEXT = ToolContext(INTERNAL)
ROWS = [{"id": i, "name": f"part {i * 7919 % 9973}", "zone": "eu" if i % 3 else "us"} for i in range(900)]
LOG = "\n".join(f"10:{i // 60 % 60:02}:{i % 60:02} INFO stored object {i * 7919 % 9973}" for i in range(900))


def text(said: str) -> Json:
    return {"type": "text", "text": said}


@pytest.fixture
async def shrinking() -> AsyncIterator[Shrinking]:
    made = Shrinking(Policy(), max_bytes=2**20, max_age_s=100.0)
    yield made
    await made.close()


async def shown(shrinking: Shrinking, *content: Json, level: ShrinkLevel = "auto") -> Returned:
    """The result as it is kept for the model."""

    async def tool(arguments: Json, context: ToolContext) -> ToolOutcome:
        return Returned(content)

    box = Compressed(Box(desk__tool=tool), shrinking, level, [])
    outcome = await box.call(box.functions()[0], {}, CONTEXT)
    assert isinstance(outcome, Returned)
    return outcome


async def had_back(shrinking: Shrinking, outcome: Returned) -> str:
    """What a later turn of the same conversation gets for the ref that stands in the result."""
    texts = (str(block.get("resource", block).get("text")) for block in outcome.content)
    (ref,) = filter(None, map(shrinking.ref_in, texts))

    async def tool(arguments: Json, context: ToolContext) -> ToolOutcome:
        raise AssertionError

    box = Compressed(Box(desk__tool=tool), shrinking, "auto", [ToolResult("call", outcome)])
    retrieve = next(each for each in box.functions() if each.name == retrieve_tool.WIRE_NAME)
    found = await box.call(retrieve, {"ref": ref}, CONTEXT)
    assert isinstance(found, Returned)
    return found.for_model()


@pytest.mark.parametrize("indent", [None, 2])
async def test_records_in_a_block_each_are_one_text(shrinking: Shrinking, indent: int | None) -> None:
    """As servers give them that return a list."""
    blocks = [text(json.dumps(row, indent=indent)) for row in ROWS]
    whole = Returned(tuple(blocks)).for_model()
    selected = await shown(shrinking, *blocks)
    assert len(selected.for_model()) < len(whole) / 3
    assert await had_back(shrinking, selected) == whole
    exact = await shown(shrinking, *blocks, level="lossless")
    assert len(exact.for_model()) < len(whole) / 1.5
    assert restore(exact.for_model()) == whole


async def test_other_blocks_stay_where_they_are(shrinking: Shrinking) -> None:
    image = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
    blocks = [text("in short"), image, text(LOG), text("and that is all")]
    made = await shown(shrinking, *blocks)
    assert [block["type"] for block in made.content] == ["text", "image", "text", "text"]
    assert (made.content[0], made.content[1], made.content[3]) == (blocks[0], image, blocks[3])
    assert await had_back(shrinking, made) == LOG


async def test_the_text_of_a_resource_is_made_smaller_in_its_place(shrinking: Shrinking) -> None:
    resource = {"uri": "log://today", "mimeType": "text/plain", "text": LOG}
    made = await shown(shrinking, {"type": "resource", "resource": resource})
    (block,) = made.content
    assert {**block["resource"], "text": LOG} == resource
    assert made.for_model().startswith("[resource log://today]\n[woollama: ")
    assert await had_back(shrinking, made) == LOG


@pytest.mark.parametrize("content", [(), (text(""),), (text("all"), text("is"), text("well")), ({"type": "other"},)])
async def test_what_is_small_stays_as_it_was(shrinking: Shrinking, content: tuple[Json, ...]) -> None:
    assert (await shown(shrinking, *content)).content == content


class AtOnce(ThreadPoolExecutor):
    """A thread that is always done before whoever gave it its work goes on."""

    def submit(self, work, /, *given, **named):  # type: ignore[no-untyped-def]
        done = super().submit(work, *given, **named)
        done.exception(timeout=30)
        return done


async def test_the_books_are_written_however_fast_the_thread_is(tmp_path: Path) -> None:
    shrinking = Shrinking(Policy(), tmp_path, max_bytes=2**20, max_age_s=100.0)
    shrinking._thread = AtOnce(1)
    try:
        for count in (1, 2, 3):
            await shrinking.compress(LOG, level="lossless", query="", tool="t")
            books = Ledger(tmp_path / "compression-books.db")
            assert books.as_json()["total"]["blocks"] == count
            books.close()
    finally:
        await shrinking.close()
