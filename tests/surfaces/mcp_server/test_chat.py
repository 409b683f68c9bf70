"""The tool `chat`: what it takes, what it gives, and what a host sees of it on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import upstream
from tests.daemon import daemon
from tests.surfaces.mcp_server.hosts import Host, configure, over_http, said, server, serving
from woollama.domain.errors import BadRequest
from woollama.domain.turns import INTERNAL
from woollama.server import InProcess
from woollama.surfaces.mcp_server import chat

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
HELLO = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with serving(tmp_path_factory.mktemp("daemon"), all=server()) as daemon_of_this_file:
        yield daemon_of_this_file


@ERAS
async def test_a_recipe_answers_with_what_it_called_and_cost(running: InProcess, mode: str) -> None:
    person = Host()
    async with over_http(running, mode, person) as host:
        asked = {"recipe": "caller", "messages": HELLO}
        result = await host.call_tool("chat", asked, progress_callback=person.tell)
        answer = result.structured_content
        assert answer is not None
        assert said(result) == answer["text"] == "[scripted, no model] hello there"
        assert answer["model"] == "scripted/echo"
        assert answer["stop_reason"] == "end"
        assert answer["usage"]["total_tokens"] == answer["usage"]["input_tokens"] + answer["usage"]["output_tokens"] > 0
        (call,) = answer["tool_calls"]
        assert (call["name"], call["arguments"], call["result"]) == (
            "all.echo",
            {"text": "hello there"},
            "hello there",
        )


@ERAS
async def test_progress_tells_the_start_each_round_each_call_and_each_piece(running: InProcess, mode: str) -> None:
    person = Host()
    async with over_http(running, mode, person) as host:
        await host.call_tool("chat", {"recipe": "caller", "messages": HELLO}, progress_callback=person.tell)
        assert [message for _, message in person.progress] == [
            "asking woollama/caller",
            "scripted/echo answers",
            "calls all.echo",
            "all.echo returned",
            "scripted/echo goes on",
            *("[scripted,", " no", " model]", " hello", " there"),
        ]
        steps = [step for step, _ in person.progress]
        assert steps == sorted(set(steps))


@ERAS
async def test_a_chat_that_cannot_be_is_an_error_of_the_tool(running: InProcess, mode: str) -> None:
    async with over_http(running, mode) as host:
        for arguments, why in (
            ({"recipe": "nobody", "messages": HELLO}, "there is no model 'woollama/nobody'"),
            ({"messages": HELLO}, "needs either `recipe` or `model`"),
            ({"model": "scripted/echo"}, "`messages`"),
        ):
            result = await host.call_tool("chat", arguments)
            assert result.is_error
            assert why in said(result)


@ERAS
async def test_a_chat_that_is_cancelled_leaves_its_model(tmp_path: Path, mode: str) -> None:
    stalled = upstream.chat_stream("Once upon a time", stall_after=1)
    async with model_behind_a_daemon(tmp_path, stalled) as (model, running), over_http(running, mode) as host:
        call = asyncio.create_task(host.call_tool("chat", {"model": "mock/mock-model", "messages": HELLO}))
        await model.until(lambda: bool(model.requests))
        call.cancel()
        await model.until(lambda: model.requests[0].left_early)


@ERAS
async def test_a_model_that_fails_is_an_error_and_no_answer(tmp_path: Path, mode: str) -> None:
    refused = upstream.error(400, "this model is out of order")
    async with model_behind_a_daemon(tmp_path, refused) as (_, running), over_http(running, mode) as host:
        result = await host.call_tool("chat", {"model": "mock/mock-model", "messages": HELLO})
        assert result.is_error
        assert "this model is out of order" in said(result)


async def test_the_limit_of_tokens_and_the_variables_go_to_the_model(tmp_path: Path) -> None:
    told = upstream.chat_stream("Salut.", finish="length")
    async with model_behind_a_daemon(tmp_path, told) as (model, running), over_http(running, "auto") as host:
        arguments = {"recipe": "mocked", "messages": HELLO, "variables": {"language": "French"}, "max_tokens": 7}
        result = await host.call_tool("chat", arguments)
        assert result.structured_content is not None
        assert result.structured_content["stop_reason"] == "length"
        sent = model.requests[0].json
        assert 7 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
        assert sent["messages"][0]["content"] == "Speak French."


@asynccontextmanager
async def model_behind_a_daemon(directory: Path, answer: upstream.Answer) -> Any:
    async with upstream.ScriptedUpstream() as model:
        model.answers(answer)
        config = configure(directory, {})
        (config / "inferencers.toml").write_text(
            f'[inferencers.mock]\nbase_url = "{model.base_url}"\nretries = 0\ndiscover = false\n'
        )
        with (config / "recipes.toml").open("a") as recipes:
            recipes.write('\n[recipes.mocked]\ninferencer = "mock/mock-model"\nsystem = "Speak {{language}}."\n')
        async with daemon(config, {"HOME": str(directory)}) as running:
            yield model, running


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"model": "a/b", "recipe": "r", "messages": HELLO}, "not both"),
        ({"model": "a/b", "messages": HELLO, "temperature": 1}, "chat has no argument 'temperature'"),
        ({"model": "a/b", "messages": []}, "non-empty array"),
        ({"model": "a/b", "messages": HELLO, "variables": {"a": [1]}}, "variables"),
        ({"model": "a/b", "messages": HELLO, "max_tokens": "many"}, "max_tokens"),
    ],
)
def test_arguments_that_make_no_sense_are_told(arguments: Mapping[str, Any], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        chat.decode(arguments, INTERNAL)


def test_empty_arguments_are_absent_ones() -> None:
    turn = chat.decode({"recipe": "r", "model": "", "messages": HELLO, "variables": {}, "max_tokens": None}, INTERNAL)
    assert turn.model == "woollama/r"
    assert turn.params.max_tokens is None
