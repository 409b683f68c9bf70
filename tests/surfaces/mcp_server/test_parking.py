"""Parked calls: what becomes of those whose hosts do not come back, and of questions with and without answers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import mcp_types as types
import pytest
from mcp import MCPError

from woollama.domain.messages import Ask
from woollama.surfaces.mcp_server.lines import Line
from woollama.surfaces.mcp_server.parking import ParkedCalls

PATIENCE_S = 60.0
LINE: Any = SimpleNamespace()
YES = types.ElicitResult(action="accept")
NO = types.ElicitResult(action="decline")


class Tool:
    """Asks as many questions as it is told, at once, and says what became of them."""

    def __init__(self, questions: int) -> None:
        self._questions = questions
        self.cancelled = asyncio.Event()

    async def __call__(self, line: Line) -> dict[str, Any]:
        asks = [Ask(f"ask_{n}", "1", "s", "t", "{}", f"question {n}?") for n in range(self._questions)]
        try:
            answers = await asyncio.gather(*(line.ask(ask) for ask in asks))
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return {"approved": [answer.approved for answer in answers]}


def call(state: str | None = None, responses: dict[str, Any] | None = None) -> types.CallToolRequestParams:
    return types.CallToolRequestParams(name="t", request_state=state, input_responses=responses)


async def parked(calls: ParkedCalls, tool: Tool) -> types.InputRequiredResult:
    first = await calls.serve(LINE, call(), tool)
    assert isinstance(first, types.InputRequiredResult)
    return first


async def test_a_call_without_questions_is_never_parked() -> None:
    assert await ParkedCalls().serve(LINE, call(), Tool(0)) == {"approved": []}


async def test_only_what_is_still_open_is_asked_again() -> None:
    calls, tool = ParkedCalls(), Tool(2)
    first = await parked(calls, tool)
    assert set(first.input_requests or {}) == {"ask_0", "ask_1"}
    second = await calls.serve(LINE, call(first.request_state, {"ask_1": NO}), tool)
    assert isinstance(second, types.InputRequiredResult)
    assert set(second.input_requests or {}) == {"ask_0"}
    assert await calls.serve(LINE, call(second.request_state, {"ask_0": YES}), tool) == {"approved": [True, False]}


async def test_a_call_whose_host_does_not_come_back_is_cancelled() -> None:
    calls, tool = ParkedCalls(patience_s=0.01), Tool(1)
    first = await parked(calls, tool)
    async with asyncio.timeout(PATIENCE_S):
        await tool.cancelled.wait()
    with pytest.raises(MCPError, match="does not wait any more"):
        await calls.serve(LINE, call(first.request_state, {"ask_0": YES}), tool)


async def test_closing_cancels_what_is_parked() -> None:
    calls, tool = ParkedCalls(), Tool(1)
    await parked(calls, tool)
    await calls.close()
    assert tool.cancelled.is_set()


async def test_a_host_that_leaves_in_the_middle_ends_its_call() -> None:
    calls, tool = ParkedCalls(), Tool(1)
    first = await parked(calls, tool)
    returning = asyncio.create_task(calls.serve(LINE, call(first.request_state, {"ask_0": YES}), tool))
    returning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await returning
    await calls.close()
