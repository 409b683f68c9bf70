"""What a tool server says on the way to an answer, and in which order it is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.shared.dispatcher import CallOptions, DispatchContext
from mcp.shared.transport_context import TransportContext

from woollama.toolservers.dispatching import Dispatching, Waiting
from woollama.toolservers.messages import Message


class AtOnce(Dispatching):
    """Whoever asks has everything read already, as over HTTP."""

    def __init__(self, *before: Message) -> None:
        super().__init__(lambda method, params: None)
        self._before = before

    async def _send(self, message: Message, waiting: Waiting | None, opts: CallOptions) -> None:
        for each in self._before:
            self.take(each, waiting)
        self.take({"jsonrpc": "2.0", "id": message["id"], "result": {"done": True}}, waiting)

    async def _receive(self) -> None:
        await asyncio.Event().wait()

    def _cancel(self, request_id: types.RequestId, why: str) -> None:
        raise AssertionError("nothing is cancelled here")


def told(method: str, **params: Any) -> Message:
    return {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": params}


async def test_what_is_told_before_an_answer_is_heard_before_it() -> None:
    heard: list[object] = []
    line = told("message", level="info", data="so far")
    server = AtOnce(told("progress", progressToken=1, progress=1), line, told("progress", progressToken=1, progress=2))

    async def on_request(
        asked: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        raise AssertionError("nothing is asked here")

    async def on_notify(
        asked: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
    ) -> None:
        await asyncio.sleep(0)
        if method == "notifications/message":
            heard.append((params or {})["data"])

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        await asyncio.sleep(0)
        heard.append(progress)

    running = asyncio.create_task(server.run(on_request, on_notify))
    await asyncio.sleep(0)
    heard.append(await server.send_raw_request("tools/call", {}, {"on_progress": on_progress}))
    running.cancel()
    await asyncio.wait({running})
    assert heard[-1] == {"done": True}
    assert set(heard[:-1]) == {1.0, 2.0, "so far"}
