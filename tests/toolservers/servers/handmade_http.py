"""Streamable HTTP by hand, inside the test, for what a good server never does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class HandmadeHttp:
    """Speaks the handshake era with sessions. `forget` drops them; `refuse` and `cut` spoil every tool call.

    With `ends_after_s` such a call is answered by a stream of events that ends so long after its answer, or never.
    Whoever asks at `moved_from` is sent on, and `cookie` is given to whoever begins a session.
    """

    def __init__(self) -> None:
        self.port = 0
        self.called: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refuse: tuple[int, str, bytes] | None = None
        self.cut = False
        self.ends_after_s: float | None = None
        self.moved_from = ""
        self.cookie = ""
        self.location: dict[str, str] = {}
        self.connections = 0
        self._session = 1
        self._unknown_session = (404, b"")

    def forget(self, status: int, body: bytes) -> None:
        self._session += 1
        self._unknown_session = status, body

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[HandmadeHttp]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while request := await reader.readline():
                headers = {}
                while (line := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                self.headers.append(headers)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = request.split()
                if path.decode() == self.moved_from:
                    writer.write(b"HTTP/1.1 307 Moved\r\nlocation: /mcp?moved\r\ncontent-length: 0\r\n\r\n")
                    continue
                status, content, head, kept = self._answer(method, headers, body)
                if self.ends_after_s is not None and b"tools/call" in body:
                    await self._stream(writer, content, self.ends_after_s)
                    continue
                head = {"content-type": "application/json", "content-length": str(len(content)), **head}
                lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in head.items()), "", ""]
                writer.write("\r\n".join(lines).encode() + content[:kept])
                await writer.drain()
                if kept is not None:
                    break
        finally:
            writer.close()

    def _answer(
        self, method: bytes, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str], int | None]:
        if method != b"POST":
            return 405, b"", {}, None
        message = json.loads(body)
        if message["method"] == "server/discover":
            return 404, b"", {}, None
        if message["method"] == "initialize":
            result = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "handmade", "version": "1"},
            }
            return 200, self._result(message, result), self._begun(), None
        if headers.get("mcp-session-id") != str(self._session):
            return *self._unknown_session, {}, None
        if "id" not in message:
            return 202, b"", {}, None
        if message["method"] == "tools/list":
            return 200, self._result(message, {"tools": [{"name": "act", "inputSchema": {"type": "object"}}]}), {}, None
        self.called.append(message["params"]["name"])
        if self.refuse:
            status, kind, content = self.refuse
            return status, content, {"content-type": kind, **self.location}, None
        content = self._result(message, {"content": [{"type": "text", "text": "acted"}]})
        return 200, content, {}, len(content) // 2 if self.cut else None

    def _begun(self) -> dict[str, str]:
        return {"mcp-session-id": str(self._session), **({"set-cookie": self.cookie} if self.cookie else {})}

    async def _stream(self, writer: asyncio.StreamWriter, content: bytes, ends_after_s: float) -> None:
        event = b"event: message\ndata: " + content + b"\n\n"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(ends_after_s)
        writer.write(b"0\r\n\r\n")

    def _result(self, message: dict[str, Any], result: dict[str, Any]) -> bytes:
        return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
