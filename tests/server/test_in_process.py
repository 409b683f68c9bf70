"""Servers inside a process: several at once and one after the other, whatever libraries were loaded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from sse_starlette.sse import EventSourceResponse
from starlette.types import Receive, Scope, Send

from woollama.server import ServeOptions, serve_in_process

OPTIONS = ServeOptions(shutdown_timeout_s=0.3)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


class Journalled:
    """What is called around the application, in which order."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.app = hello

    async def start(self) -> None:
        self.journal.append("start")

    async def drain(self, timeout_s: float) -> None:
        self.journal.append(f"drain {timeout_s:g}")

    async def close(self) -> None:
        self.journal.append("close")


async def get(url: str) -> str:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        return (await client.get(url)).text


async def test_two_servers_live_side_by_side_and_are_gone_afterwards() -> None:
    async with serve_in_process(hello) as first, serve_in_process(hello) as second:
        assert first.url != second.url
        assert await asyncio.gather(get(first.url), get(second.url)) == ["hello", "hello"]
        assert first.unix_path.exists()
    assert not first.unix_path.parent.exists()
    with pytest.raises(httpx2.ConnectError):
        await get(first.url)


async def test_it_is_warm_when_the_block_begins_and_closed_when_it_ends(tmp_path: Path) -> None:
    served = Journalled()
    async with serve_in_process(served, ServeOptions(shutdown_timeout_s=0.25, runtime_dir=tmp_path)) as server:
        assert served.journal == ["start"]
        assert server.unix_path == tmp_path / "woollama.sock"
    assert served.journal == ["start", "drain 0.1875", "close"]
    assert os.listdir(tmp_path) == []


async def test_a_failing_step_of_the_end_does_not_stop_the_next(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Journalled):
        async def drain(self, timeout_s: float) -> None:
            raise RuntimeError("drain is broken")

    served = Failing()
    async with serve_in_process(served, OPTIONS):
        pass
    assert served.journal == ["start", "close"]
    assert "drain is broken" in caplog.text


async def test_streams_of_sse_starlette_outlive_the_end_of_an_earlier_server() -> None:
    """Importing that library patches uvicorn so that one server's end cuts all later streams of the process."""

    async def three_events(scope: Scope, receive: Receive, send: Send) -> None:
        async def events() -> AsyncIterator[dict[str, str]]:
            for number in "123":
                yield {"data": number}
                await asyncio.sleep(0)

        await EventSourceResponse(events())(scope, receive, send)

    for _ in range(2):
        async with serve_in_process(three_events, OPTIONS) as server:
            assert (await get(server.url)).count("data: ") == 3


async def test_a_stream_of_sse_starlette_gets_the_shutdown_timeout_like_any_other() -> None:
    ending = asyncio.Event()
    begun = asyncio.Event()

    class Streaming(Journalled):
        def __init__(self) -> None:
            super().__init__()
            self.app = self.stream

        async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def events() -> AsyncIterator[dict[str, str]]:
                yield {"data": "first"}
                begun.set()
                await ending.wait()
                yield {"data": "last"}

            await EventSourceResponse(events())(scope, receive, send)

        async def drain(self, timeout_s: float) -> None:
            ending.set()

    async with serve_in_process(Streaming(), ServeOptions(shutdown_timeout_s=10)) as server:
        reading = asyncio.create_task(get(server.url))
        await begun.wait()
    assert "data: last" in await reading
