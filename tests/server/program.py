"""A small daemon around `woollama.server.run`, for tests that need a process of its own.

    python -m tests.server.program '{"address": "127.0.0.1:0"}'

The argument holds `ServeOptions` as JSON. It prints its URL once it accepts connections, and what happens to it, a line
each. `/stream` sends one event and then goes on until the daemon ends, in the way that the query string names: `turn`
(`drain` ends it with an error frame), `handler` (it is cancelled and says so), `stubborn` (it ignores that it was
cancelled), `flood` (it writes to a client that does not read). `/block` blocks the event loop; any other path shows the
request.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama import observe
from woollama.config import Config
from woollama.server import Listening, ServeOptions, run

FIRST_FRAME = b"data: first\n\n"
ERROR_FRAME = b'data: {"error":"shutting down"}\n\n'


class Program:
    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._turns: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        say("started")

    def on_reconfigured(self, tell: Callable[[Config], None]) -> None:
        pass

    async def reload(self) -> None:
        say("reloading")

    async def drain(self, timeout_s: float) -> None:
        say("draining")
        if self._turns:
            await asyncio.wait(self._turns, timeout=timeout_s)
        self._over.set()

    async def close(self) -> None:
        say("closed")

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": json.dumps(asdict(scope["state"]["caller"]))})
            await receive()
            return
        if scope["path"] == "/stream":
            await self._stream(scope["query_string"].decode(), send)
            return
        if scope["path"] == "/block":
            say("blocking")
            while True:
                pass
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]]
        shown = {"caller": asdict(scope["state"]["caller"]), "headers": headers, "bytes": len(body)}
        await _json(send, shown)

    async def _stream(self, way: str, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
        await send(head)
        await send({"type": "http.response.body", "body": FIRST_FRAME, "more_body": True})
        task = asyncio.current_task()
        assert task is not None
        try:
            match way:
                case "turn":
                    self._turns.add(task)
                    await self._over.wait()
                    await send({"type": "http.response.body", "body": ERROR_FRAME, "more_body": False})
                case "handler":
                    await asyncio.Event().wait()
                case "stubborn":
                    while True:
                        with suppress(asyncio.CancelledError):
                            await asyncio.Event().wait()
                case "flood":
                    while True:
                        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        finally:
            self._turns.discard(task)
            say(f"{way} is over")


async def _json(send: Send, shown: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(shown).encode()})


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(options: str) -> int:
    observe.configure("info")
    given = json.loads(options)
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}

    def announce(listening: Listening) -> None:
        say(listening.url)

    return run(ServeOptions(**given), Program, announce=announce)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
