"""The upstream of a bench: answers every chat completion at once; one that is asked to talk slowly in paced chunks.

`python -m bench.upstream` prints its port.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import httptools
import uvloop

from tests.chat_wire import DONE, MODEL, chunk, frame

CHUNKS = 40
PACE_S = 0.02
SLOWLY = b"slowly"
_ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Here is what I have to say. " * 4, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": 28, "total_tokens": 39},
    }
).encode()
_MODELS = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "b"}]})
_FRAMES = [
    frame(chunk({"role": "assistant", "content": ""})),
    *(frame(chunk({"content": "word "})) for _ in range(CHUNKS)),
    frame(chunk({}, "stop")),
    DONE,
]
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


_STREAMED = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*_FRAMES[:4], *_FRAMES[-2:])) + b"0\r\n\r\n"
_ANSWERED, _LISTED = _whole(_ANSWER), _whole(_MODELS.encode())


class _Upstream(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by name
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        if self._parser.get_method() == b"GET":
            self._transport.write(_LISTED)
        elif b'"stream":true' in body.replace(b" ", b""):
            self._transport.write(_STREAM)
            if SLOWLY in body:
                self._next(0)
            else:
                self._transport.write(_STREAMED)
        else:
            self._transport.write(_ANSWERED)

    def _next(self, number: int) -> None:
        if self._transport.is_closing():
            return
        piece = _FRAMES[number]
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if number + 1 < len(_FRAMES):
            asyncio.get_running_loop().call_later(PACE_S, self._next, number + 1)
        else:
            self._transport.write(b"0\r\n\r\n")


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
