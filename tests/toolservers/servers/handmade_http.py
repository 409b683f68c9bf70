"""Streamable HTTP by hand, inside the test, for what a good server never does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class HandmadeHttp:
    """Speaks the handshake era with sessions. `forget` drops them; `refuse` and `cut` spoil every tool call."""

    def __init__(self) -> None:
        self.port = 0
        self.called: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refuse: tuple[int, str, bytes] | None = None
        self.cut = False
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
        try:
            while request := await reader.readline():
                headers = {}
                while (line := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                self.headers.append(headers)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, content, head, kept = self._answer(request.split()[0], headers, body)
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
            return 200, self._result(message, result), {"mcp-session-id": str(self._session)}, None
        if headers.get("mcp-session-id") != str(self._session):
            return *self._unknown_session, {}, None
        if "id" not in message:
            return 202, b"", {}, None
        if message["method"] == "tools/list":
            return 200, self._result(message, {"tools": [{"name": "act", "inputSchema": {"type": "object"}}]}), {}, None
        self.called.append(message["params"]["name"])
        if self.refuse:
            status, kind, content = self.refuse
            return status, content, {"content-type": kind}, None
        content = self._result(message, {"content": [{"type": "text", "text": "acted"}]})
        return 200, content, {}, len(content) // 2 if self.cut else None

    def _result(self, message: dict[str, Any], result: dict[str, Any]) -> bytes:
        return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
