"""Somebody leaves in the middle of a turn: the client, the upstream, the tool, the daemon. Nothing may stay behind.

A turn of two rounds with a tool call in between runs on a whole daemon, with real sockets and a real child process,
once for every frame after which somebody can leave.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.chat_wire import frames as chat_frames
from tests.daemon import daemon
from tests.test_published_failures import EXAMPLES, PATIENCE_S, processes_with, write_config
from tests.upstream import Answer, Received, ScriptedUpstream, chat, chat_stream, chat_tool_call
from woollama.server import InProcess

ASKED = {"model": "woollama/clerk", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
CALLS = [("textops__uppercase", {"text": "abc"})]
ROUNDS = (chat_frames(calls=CALLS), chat_frames("one two three"))


class Scene:
    def __init__(self, running: InProcess, upstream: ScriptedUpstream, tool: str) -> None:
        self.running = running
        self.upstream = upstream
        self.tool = tool
        self.client = httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False)
        self.tasks = 0

    async def ready(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while (await self.client.get("/v1/tools")).json()["servers"][0]["health"] != "ready":  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def ask(self) -> list[str]:
        """The data of all frames of one turn, or the body of its error."""
        response = await self.client.post("/v1/chat/completions", json=ASKED)
        if response.status_code != 200:
            return [response.text]
        return [frame.removeprefix("data: ") for frame in response.text.split("\n\n") if frame.startswith("data: ")]

    async def is_quiet(self) -> None:
        """No request is being answered anywhere, and the child is still the one child."""
        await self.upstream.until(lambda: self.upstream.active_requests == 0)
        async with asyncio.timeout(PATIENCE_S):
            while "0 requests" not in repr(self.running.serving):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            while any(task.get_name().startswith("run ") for task in asyncio.all_tasks()):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            while len(processes_with(self.tool)) != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def scene(directory: Path) -> AsyncIterator[Scene]:
    program = directory / "textops.py"
    program.write_text((EXAMPLES / "mcp-textops" / "server.py").read_text())
    async with ScriptedUpstream() as upstream:
        write_config(directory, upstream.base_url, {"textops": {"command": sys.executable, "args": [str(program)]}})
        async with daemon(directory, {**os.environ, "HOME": str(directory)}) as running:
            stage = Scene(running, upstream, str(program))
            async with stage.client:
                await stage.ready()
                yield stage
    assert processes_with(str(program)) == []


async def test_the_client_leaves_after_any_frame(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        stage.upstream.answers(chat_tool_call(*CALLS[0]), chat("one two three"))
        whole = len(await stage.ask())
        assert whole >= 4
        for count in range(whole):

            def answer(request: Received, frames: int = count + 1) -> Answer:
                """The second round never ends, so it is always in the middle that the client leaves."""
                answered = any(message["role"] == "tool" for message in request.json["messages"])
                return chat_stream("one two three", stall_after=frames) if answered else chat_stream(calls=CALLS)

            stage.upstream.always(answer)
            async with stage.client.stream("POST", "/v1/chat/completions", json=ASKED) as response:
                lines = response.aiter_lines()
                seen = 0
                while seen < min(count, 2):
                    seen += (await anext(lines)).startswith("data: ")
            await stage.is_quiet()


@pytest.mark.parametrize("number", [0, 1], ids=["first round", "second round"])
async def test_the_upstream_leaves_after_any_frame(tmp_path: Path, number: int) -> None:
    async with scene(tmp_path) as stage:
        for count in range(len(ROUNDS[number]) - 1):
            whole: list[Answer] = [chat_stream(calls=CALLS), chat_stream("one two three")]
            cut = (
                chat_stream(calls=CALLS, cut_after=count)
                if number == 0
                else chat_stream("one two three", cut_after=count)
            )
            stage.upstream.answers(*whole[:number], cut)
            data = await stage.ask()
            finished = any('"finish_reason": "' in str(frame) for frame in ROUNDS[number][:count])
            if not finished:
                assert data[-1] != "[DONE]", f"after {count} frames"
                assert "error" in (json.loads(data[-1]) if data[-1].startswith("{") else {})
            await stage.is_quiet()


async def test_the_tool_leaves_in_the_middle_of_its_call(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        for _ in range(3):
            stage.upstream.answers(chat_tool_call(*CALLS[0]), chat("done"))
            (child,) = processes_with(stage.tool)
            os.kill(child, signal.SIGKILL)
            data = await stage.ask()
            assert data[-1] == "[DONE]"  # a tool's end fails no turn
            await stage.ready()
            await stage.is_quiet()


async def test_the_daemon_ends_after_any_frame(tmp_path: Path) -> None:
    for count in (1, len(ROUNDS[1]) - 2):
        async with scene(tmp_path) as stage:
            stage.upstream.answers(chat_tool_call(*CALLS[0]), chat_stream("one two three", stall_after=count))
            asking = asyncio.create_task(stage.ask())
            await stage.upstream.until(lambda: len(stage.upstream.requests) == 2)
            await stage.running.serving.end(0.05)
            data = await asking
            assert "[DONE]" not in data
            assert "error" in json.loads(data[-1])
            await stage.upstream.until(lambda: stage.upstream.open_connections == 0)
