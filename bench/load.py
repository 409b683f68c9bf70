"""A load of chat completions: many connections at once, each asking again once it is answered, or one stream each.

Raw protocols over httptools, so that the load costs less than what it measures.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

MODEL_SLOT = "MODEL"


@dataclass
class Load:
    """`latencies_s` has one entry for each request that was answered with 200."""

    seconds: float = 0.0
    failed: int = 0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies_s) / self.seconds if self.seconds else 0.0


@dataclass
class Streams:
    """`whole` streams came to their `[DONE]`; `first_s` until their first frame with a choice."""

    seconds: float = 0.0
    whole: int = 0
    chunks: int = 0
    first_s: list[float] = field(default_factory=list)


def request(model: str, *, stream: bool) -> bytes:
    text = "Talk slowly." if stream else "Talk to me."
    asked = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
    return post("/v1/chat/completions", asked)


def post(path: str, asked: Mapping[str, Any]) -> bytes:
    body = json.dumps(asked).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer sk-bench\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Client(asyncio.Protocol):
    """Answers come back through `done`, one future at a time; frames of a stream are counted as they come."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self.done: asyncio.Future[bool] | None = None
        self.first_s: float | None = None
        self.chunks = 0
        self.ended = False
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by name

    def send(self, data: bytes) -> asyncio.Future[bool]:
        self.done = asyncio.get_running_loop().create_future()
        self._began = time.perf_counter()
        self._transport.write(data)
        return self.done

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._finish(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(False)

    def on_body(self, body: bytes) -> None:
        if b'"choices"' in body:
            self.chunks += body.count(b'"choices"')
            if self.first_s is None:
                self.first_s = time.perf_counter() - self._began
        self.ended = self.ended or b"[DONE]" in body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        self._finish(status == 200)

    def _finish(self, is_well: bool) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(is_well)


async def load(port: int, model: str, connections: int, seconds: float) -> Load:
    return await load_of(port, [request(model, stream=False)] * connections, seconds)


async def load_of(port: int, requests: Sequence[bytes], seconds: float) -> Load:
    """One connection for each request, which is sent again and again."""
    made = Load()
    until = time.perf_counter() + seconds

    async def one(asked: bytes) -> None:
        client = await _connected(port)
        while time.perf_counter() < until:
            began = time.perf_counter()
            if await client.send(asked):
                made.latencies_s.append(time.perf_counter() - began)
            else:
                made.failed += 1
                client.close()
                client = await _connected(port)
        client.close()

    began = time.perf_counter()
    await asyncio.gather(*map(one, requests))
    made.seconds = time.perf_counter() - began
    return made


async def streams(port: int, model: str, count: int) -> Streams:
    made = Streams()
    asked = request(model, stream=True)

    async def one() -> None:
        client = await _connected(port)
        is_well = await client.send(asked)
        made.whole += is_well and client.ended
        made.chunks += client.chunks
        if client.first_s is not None:
            made.first_s.append(client.first_s)
        client.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    made.seconds = time.perf_counter() - began
    return made


async def _connected(port: int) -> _Client:
    _, client = await asyncio.get_running_loop().create_connection(_Client, "127.0.0.1", port)
    return client
