"""The compliance cases of Open Responses, each against a daemon that has a scripted model behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.open_responses import CASES, WEATHER_WISH, run
from tests.stateful import MODEL, table
from tests.upstream import Answer, Received, chat_json, chat_stream


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def answer(request: Received) -> Answer:
    """A model that calls the tool when it is asked to, and says something otherwise."""
    asked: Mapping[str, Any] = request.json
    calls = asked["messages"][-1]["content"] == WEATHER_WISH
    how: dict[str, Any] = {"calls": [("get_weather", {"location": "Oslo"})]} if calls else {"text": "Hello to you"}
    return chat_stream(**how) if asked.get("stream") else chat_json(**how)


@pytest.fixture
async def base_url(tmp_path: Path) -> AsyncIterator[str]:
    async with table(tmp_path) as at:
        at.upstream.always(answer)
        yield f"{at.http.base_url}".rstrip("/") + "/v1"


async def test_every_case_passes(base_url: str) -> None:
    found = await run(base_url, MODEL)
    assert len(found) == len(CASES) == 18
    assert {name: wrong for name, wrong in found.items() if wrong is not None} == {}
