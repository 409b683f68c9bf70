"""The shipped tool servers, each run as a process and asked in both eras of the protocol."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters
from mcp.client import ClientRequestContext

EXAMPLES = Path(__file__).parents[2] / "examples"
Era = Literal["auto", "legacy"]


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


def started(server: str, era: Era, **callbacks: Any) -> Client:
    script = str(EXAMPLES / f"mcp-{server}" / "server.py")
    return Client(StdioServerParameters(command=sys.executable, args=[script]), mode=era, **callbacks)


async def said(client: Client, tool: str, arguments: Mapping[str, Any], **more: Any) -> str:
    result = await client.call_tool(tool, dict(arguments), **more)
    assert isinstance(result, types.CallToolResult)
    assert not result.is_error, result.content
    return text_of(result)


def text_of(result: types.CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, types.TextContent)
    return block.text


async def test_hello_greets_and_counts_with_one_progress_notification_a_step(era: Era) -> None:
    steps: list[tuple[float, float | None]] = []

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total))

    async with started("hello", era) as client:
        await client.list_tools()
        assert await said(client, "hello", {"name": "Ada"}) == "Hello, Ada!"
        assert await said(client, "count_to", {"n": 3, "delay_ms": 0}, progress_callback=progressed) == "Counted to 3."
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("action", "returned"),
    [
        ("accept", "blue"),
        ("decline", "The user declined to answer."),
        ("cancel", "The user closed the question without an answer."),
    ],
)
async def test_hello_asks_its_user(era: Era, action: Literal["accept", "decline", "cancel"], returned: str) -> None:
    asked: list[str] = []

    async def elicited(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action=action, content={"answer": "blue"} if action == "accept" else None)

    async with started("hello", era, elicitation_callback=elicited) as client:
        await client.list_tools()
        assert await said(client, "ask_user", {"question": "Which colour?"}) == returned
    assert asked == ["Which colour?"]


async def test_the_clock_tells_the_time_of_a_zone_in_words_and_as_data(era: Era) -> None:
    async with started("clock", era) as client:
        await client.list_tools()
        before = datetime.now(ZoneInfo("Asia/Tokyo"))
        result = await client.call_tool("now", {"timezone": "Asia/Tokyo"})
        after = datetime.now(ZoneInfo("Asia/Tokyo"))
    assert isinstance(result, types.CallToolResult)
    facts = result.structured_content
    assert facts is not None
    minutes = {moment.strftime("%Y-%m-%d %H:%M") for moment in (before, after)}
    assert f"{facts['date']} {facts['time']}" in minutes
    assert facts["utc_offset"] == "+09:00"
    assert f"The time in Asia/Tokyo is {facts['time']}" in text_of(result)
    assert after - before < timedelta(minutes=1)


async def test_the_clock_offers_the_nearest_names_for_an_unknown_zone() -> None:
    async with started("clock", "auto") as client:
        await client.list_tools()
        for wrong, meant in {
            "tokyo": "Asia/Tokyo",
            "New York": "America/New_York",
            "Japan/Tokyo": "Asia/Tokyo",
        }.items():
            assert f"no time zone {wrong!r}. Did you mean {meant}" in await refusal(client, wrong)


async def test_the_clock_takes_no_path_and_no_nonsense_for_a_zone() -> None:
    async with started("clock", "auto") as client:
        await client.list_tools()
        for wrong in ("", "../../etc/passwd", "/etc/localtime", "Asia", "\0"):
            assert "There is no time zone" in await refusal(client, wrong)


async def refusal(client: Client, timezone: str) -> str:
    result = await client.call_tool("now", {"timezone": timezone})
    assert isinstance(result, types.CallToolResult)
    assert result.is_error
    return text_of(result)


async def test_the_clock_shows_models_how_it_is_called_and_that_it_only_reads() -> None:
    async with started("clock", "auto") as client:
        (tool,) = (await client.list_tools()).tools
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint
    assert "Europe/Paris" in tool.input_schema["properties"]["timezone"]["examples"]


async def test_textops_change_text(era: Era) -> None:
    async with started("textops", era) as client:
        await client.list_tools()
        assert await said(client, "uppercase", {"text": "straße"}) == "STRASSE"
        assert await said(client, "word_count", {"text": " the quick\tbrown\nfox "}) == "4"
        assert await said(client, "reverse_text", {"text": "cafe\u0301s"}) == "se\u0301fac"
