"""The real model in a real llama.cpp: what its 135 million parameters were measured to do, through all that is ours."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from woollama.cli.pull import PullFailed, pull
from woollama.domain.answers import Answer
from woollama.domain.events import TextDelta
from woollama.domain.messages import Message, Text, ToolResult
from woollama.domain.tools import Example, Function, Returned
from woollama.domain.turns import NO_TOOLS, Call, Params, ResponseFormat, Target, ToolChoice
from woollama.http.request import HttpRequest, split_base_url
from woollama.http.transport import HttpClient
from woollama.inferencers.emulated_tools.inferencer import EmulatedTools
from woollama.inferencers.local.inferencer import LocalInferencer
from woollama.inferencers.local.weights import PULLABLE
from woollama.inferencers.managed.roster import Roster
from woollama.processes.children import Supervisor
from woollama.processes.environment import model_environment

SMOLLM2 = Target("local", "smollm2")
CLOCK = Function(
    "clock__now",
    "Tell the current time and date in a time zone.",
    {
        "type": "object",
        "properties": {"timezone": {"type": "string", "description": "IANA time zone name: Area/City, or UTC"}},
        "required": ["timezone"],
    },
    examples=(Example({"timezone": "Europe/Paris"}, "What time is it in Paris?"),),
)
ASKED = Call(
    SMOLLM2,
    (),
    "Answer in one short sentence, using only the given fact.",
    (CLOCK,),
    ToolChoice("required"),
    Params(temperature=0.0, seed=1, max_tokens=64),
)


@pytest.fixture(scope="session")
def directory(pytestconfig: pytest.Config) -> Path:
    """Kept between runs of the tests: the weights are fetched once."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    assert pytestconfig.cache is not None
    models = pytestconfig.cache.mkdir("models")
    try:
        pull(PULLABLE["smollm2"], models, os.environ)
    except PullFailed as error:
        pytest.skip(f"the weights cannot be pulled: {error}")
    return models


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.aclose()


@pytest.fixture
async def local(directory: Path, client: HttpClient) -> AsyncIterator[LocalInferencer]:
    async with Supervisor() as supervisor:
        roster = Roster()
        environ = model_environment(os.environ)
        yield LocalInferencer("local", supervisor, client, roster, directory, environ=environ)
        await roster.close()


def said(text: str) -> Message:
    return Message("user", (Text(text),))


async def test_it_fills_in_the_arguments_and_tells_the_result(local: LocalInferencer) -> None:
    emulated = EmulatedTools(local)
    for city, zone in {"Tokyo": "Asia/Tokyo", "Berlin": "Europe/Berlin", "Sydney": "Australia/Sydney"}.items():
        question = said(f"What time is it in {city}?")
        async with emulated.answer(replace(ASKED, items=(question,))) as events:
            called = Answer([event async for event in events])
        (call,) = called.calls
        assert json.loads(call.arguments) == {"timezone": zone}
        assert called.usage.total.total_tokens > 0

        fact = f"The time in {zone} is 13:47 on Friday, 2026-11-20."
        told = (question, call, ToolResult(call.id, Returned.of_text(fact)))
        async with emulated.answer(replace(ASKED, items=told, choice=NO_TOOLS)) as events:
            answer = [event async for event in events]
        assert "13:47" in Answer(answer).text
        assert sum(isinstance(event, TextDelta) for event in answer) > 3


async def test_it_keeps_to_a_schema(local: LocalInferencer) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}, "count": {"$ref": "#/$defs/small"}},
        "required": ["colour", "count"],
        "additionalProperties": False,
        "$defs": {"small": {"type": "integer", "minimum": 1, "maximum": 9}},
    }
    params = Params(max_tokens=64, response_format=ResponseFormat("json_schema", "balls", schema))
    async with local.answer(Call(SMOLLM2, (said("Three blue balls."),), params=params)) as events:
        made = json.loads(Answer([event async for event in events]).text)
    assert made["colour"] in ("red", "blue")
    assert made["count"] in range(1, 10)


async def test_calls_of_several_tools_come_in_the_shape_that_was_asked_for(local: LocalInferencer) -> None:
    """Not the right ones: it is too small to choose."""
    other = Function("stop__all", "Stop everything.", {"type": "object", "properties": {}})
    call = replace(ASKED, items=(said("What time is it in Tokyo?"),), tools=(CLOCK, other))
    async with EmulatedTools(local).answer(replace(call, params=replace(call.params, max_tokens=400))) as events:
        calls = Answer([event async for event in events]).calls
    assert calls
    assert {each.name for each in calls} <= {"clock__now", "stop__all"}
    assert all(isinstance(json.loads(each.arguments), dict) for each in calls)


async def test_nobody_without_the_key_is_answered(local: LocalInferencer, client: HttpClient) -> None:
    async with local.process_of(SMOLLM2).in_use() as served:
        origin, path = split_base_url(served.base_url)
        headers = ((b"content-type", b"application/json"),)
        body = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
        async with client.exchange(HttpRequest(origin, "POST", f"{path}/chat/completions", headers, body)) as answer:
            assert answer.status == 401
