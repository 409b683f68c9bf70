"""A host of the handshake era over bare HTTP, so that it is seen on which stream each message comes."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from tests.surfaces.mcp_server.hosts import PATIENCE_S
from woollama.server import InProcess

VERSION = "2025-11-25"
EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": True}}
Message = dict[str, Any]


class RawHost:
    """Answers every question with its name. `streams` is what came on which: `feed`, or the id of a request."""

    def __init__(self, url: str, http: httpx2.AsyncClient, name: str, capabilities: Message) -> None:
        self.name = name
        self.capabilities = capabilities
        self.roots = [f"file:///{name}"]
        self.streams: defaultdict[str | int, list[Message]] = defaultdict(list)
        self._url = url
        self._http = http
        self._ids = itertools.count(1)
        self._headers = {"accept": "application/json, text/event-stream"}
        self._came = asyncio.Event()

    async def connect(self) -> None:
        self._headers.pop("mcp-session-id", None)
        about = {"clientInfo": {"name": self.name, "version": "1"}, "capabilities": self.capabilities}
        await self.request("initialize", {"protocolVersion": VERSION, **about})
        await self.notify("notifications/initialized")

    def begin(self, method: str, params: Message | None = None) -> tuple[int, asyncio.Task[Message]]:
        number = next(self._ids)
        return number, asyncio.create_task(self._request(number, method, params or {}))

    async def request(self, method: str, params: Message | None = None) -> Message:
        return await self.begin(method, params)[1]

    def begin_call(self, tool: str, token: str = "t", **arguments: Any) -> tuple[int, asyncio.Task[Message]]:
        return self.begin("tools/call", {"name": tool, "arguments": arguments, "_meta": {"progressToken": token}})

    async def tools(self) -> list[str]:
        return [tool["name"] for tool in (await self.request("tools/list"))["result"]["tools"]]

    async def call(self, tool: str, **arguments: Any) -> str:
        return said(await self.begin_call(tool, **arguments)[1])

    async def notify(self, method: str, params: Message | None = None) -> None:
        await self._post({"jsonrpc": "2.0", "method": method, "params": params or {}})

    async def leave(self) -> None:
        await self._http.delete(self._url, headers=self._headers)

    async def heard(self, stream: str | int, method: str, count: int = 1) -> list[Message]:
        """Those messages of a stream, once there are so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := self.of(stream, method)) < count:
                await self._came.wait()
        return found

    def of(self, stream: str | int, method: str) -> list[Message]:
        return [each.get("params", {}) for each in self.streams[stream] if each.get("method") == method]

    async def feed(self, opened: asyncio.Event) -> None:
        async with self._http.stream("GET", self._url, headers=self._headers) as response:
            assert response.status_code == 200
            opened.set()
            await self._read(response, "feed")

    async def _request(self, number: int, method: str, params: Message) -> Message:
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        async with asyncio.timeout(PATIENCE_S):
            async with self._http.stream("POST", self._url, headers=self._headers, json=body) as response:
                if response.status_code != 200:
                    return {"error": response.status_code}
                if method == "initialize":
                    self._headers |= {"mcp-session-id": response.headers["mcp-session-id"]}
                    self._headers |= {"mcp-protocol-version": VERSION}
                await self._read(response, number)
        return next((each for each in self.streams[number] if "method" not in each), {})

    async def _read(self, response: httpx2.Response, stream: str | int) -> None:
        async for line in response.aiter_lines():
            written = line.removeprefix("data: ")  # what is answered soon is one line of JSON and no stream of events
            if not written.startswith("{"):
                continue
            message = json.loads(written)
            self.streams[stream].append(message)
            self._came.set()
            self._came = asyncio.Event()
            if "method" in message and "id" in message:
                answer = self._answer(message["method"], message.get("params") or {})
                await self._post({"jsonrpc": "2.0", "id": message["id"], "result": answer})

    def _answer(self, method: str, params: Message) -> Message:
        match method:
            case "roots/list":
                return {"roots": [{"uri": uri} for uri in self.roots]}
            case "sampling/createMessage":
                return {"role": "assistant", "model": "m", "content": {"type": "text", "text": self.name}}
            case _ if params.get("mode") == "url":
                return {"action": "accept"}
            case _:
                return {"action": "accept", "content": {"answer": self.name}}

    async def _post(self, message: Message) -> None:
        (await self._http.post(self._url, headers=self._headers, json=message)).raise_for_status()


def said(message: Message) -> str:
    return "".join(part["text"] for part in message["result"]["content"])


@asynccontextmanager
async def raw_host(running: InProcess, name: str, capabilities: Message = EVERYTHING) -> AsyncIterator[RawHost]:
    """Connected, with its stream of notifications open."""
    async with httpx2.AsyncClient(timeout=PATIENCE_S) as http:
        host = RawHost(f"{running.url}/mcp", http, name, capabilities)
        await host.connect()
        opened = asyncio.Event()
        feed = asyncio.create_task(host.feed(opened))
        async with asyncio.timeout(PATIENCE_S):
            await opened.wait()
        try:
            yield host
        finally:
            await host.leave()
            feed.cancel()
            await asyncio.wait({feed})
