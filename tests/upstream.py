"""A scripted upstream: a small real HTTP/1.1 server on loopback that answers what a test told it to.

    async with ScriptedUpstream() as upstream:
        upstream.answers(chat_tool_call("now", {"timezone": "Asia/Tokyo"}), chat("It is noon."))
        ...  # point an inferencer at upstream.base_url, model `mock-model`
        assert upstream.requests[0].json["tools"]

Answers are taken in order, one per request; when there are none left, the one given to `always` is used, else a
500 that says so. `GET …/models` and Ollama's `GET …/api/tags` list `upstream.models` and take no answer, unless
`models` is None.

An answer is a list of steps: bytes to write, an `asyncio.Event` to wait for, or `CUT` (the connection ends at once),
`RESET` (it ends with a TCP reset) and `STALL` (silence until the client leaves). So a test controls time by setting
events, and waits for what it wants to see with `await upstream.until(lambda: …)`. An answer can also be a function
of the `Received` request, called when the request is complete.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httptools

from tests import chat_wire, ollama_wire

CUT: Literal["cut"] = "cut"
RESET: Literal["reset"] = "reset"
STALL: Literal["stall"] = "stall"
Step = bytes | asyncio.Event | Literal["cut", "reset", "stall"]
PATIENCE_S = 60.0
"""How long `until` waits before it gives up; only a failing test ever waits this long."""


@dataclass(frozen=True)
class Answer:
    """What is written on the connection, status line and framing included."""

    steps: tuple[Step, ...]


Scripted = Answer | Callable[["Received"], Answer]


@dataclass
class Received:
    """A request that arrived. `connection` counts the server's connections from 1."""

    method: str
    path: str
    raw_headers: list[tuple[bytes, bytes]]
    body: bytes
    connection: int
    answered: bool = False
    left_early: bool = False
    """The client was gone before the answer was written."""

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}

    @property
    def json(self) -> Any:
        return jsonlib.loads(self.body)


# --- answers


def head(status: int = 200, headers: Mapping[str, str] | None = None, framing: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, *([framing] if framing else []), "", ""]).encode("latin-1")


def in_chunks(parts: Sequence[Step | str]) -> list[Step]:
    """Each piece of bytes as one chunk of the chunked coding; the end is not added."""
    coded: list[Step] = []
    for part in parts:
        if isinstance(part, bytes):
            coded.append(b"%x\r\n%s\r\n" % (len(part), part))
        else:
            coded.append(part)  # type: ignore[arg-type]
    return coded


def raw(*steps: Step) -> Answer:
    """Exactly these bytes and events; nothing is added."""
    return Answer(tuple(steps))


def body(content: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer((head(status, headers, f"content-length: {len(content)}") + content,))


def json(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return body(
        jsonlib.dumps(value).encode(), status=status, headers={"content-type": "application/json", **(headers or {})}
    )


def html(status: int = 502, text: str = "<html><body>502 Bad Gateway</body></html>") -> Answer:
    return body(text.encode(), status=status, headers={"content-type": "text/html"})


def error(
    status: int, message: str = "mock error", *, headers: Mapping[str, str] | None = None, **members: Any
) -> Answer:
    """An OpenAI-shaped error; `members` go into the error object (`code`, `type`, `param`)."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return json(
        {"error": {"message": message, "type": kind, "param": None, "code": None, **members}},
        status=status,
        headers=headers,
    )


def sse(
    frames: Sequence[bytes | asyncio.Event],
    *,
    cut_after: int | None = None,
    stall_after: int | None = None,
    delay_event: asyncio.Event | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """An event stream, each frame one chunk. Events among the frames are waited for.

    `delay_event` holds back the status line; after `cut_after` frames the connection ends, after `stall_after` frames
    nothing more comes.
    """
    stop = cut_after if cut_after is not None else stall_after
    ending: list[Step] = [b"0\r\n\r\n"] if stop is None else [CUT if cut_after is not None else STALL]
    opening = head(status, {"content-type": "text/event-stream", **(headers or {})}, "transfer-encoding: chunked")
    before: list[Step] = [delay_event] if delay_event else []
    return Answer((*before, opening, *in_chunks(list(frames[:stop])), *ending))


def chat_stream(text: str = "", **how: Any) -> Answer:
    """A streamed answer; `how` is that of `chat_wire.chunks` (calls, reasoning, finish, usage …) and of `sse`."""
    framing = {key: how.pop(key) for key in ("cut_after", "stall_after", "delay_event", "headers") if key in how}
    return sse(chat_wire.frames(text, **how), **framing)


def ollama_stream(text: str = "", *, cut_after: int | None = None, **how: Any) -> Answer:
    """Lines of Ollama's own, each one chunk; `how` is that of `ollama_wire.answer`. Ends early after `cut_after`."""
    return ollama_lines(ollama_wire.answer(text, **how), cut_after=cut_after)


def ollama_lines(objects: Sequence[Any], *, cut_after: int | None = None, status: int = 200) -> Answer:
    """The same from the objects of the lines."""
    opening = head(status, {"content-type": ollama_wire.CONTENT_TYPE}, "transfer-encoding: chunked")
    return Answer((opening, *in_chunks([ollama_wire.line(each) for each in objects[:cut_after]]), b"0\r\n\r\n"))


def chat_json(text: str = "", *, calls: Sequence[tuple[str, Any]] = (), finish: str | None = None) -> Answer:
    """An answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": jsonlib.dumps(arguments)}}
            for i, (name, arguments) in enumerate(calls)
        ]
    reason = finish or ("tool_calls" if calls else "stop")
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": chat_wire.MODEL}
    return json({**whole, "choices": [choice], "usage": chat_wire.USAGE})


def chat(text: str = "", *, calls: Sequence[tuple[str, Any]] = ()) -> Scripted:
    """Streamed or not, as the request asks."""
    return lambda request: (
        chat_stream(text, calls=calls) if request.json.get("stream") else chat_json(text, calls=calls)
    )


def chat_tool_call(name: str, arguments: Any) -> Scripted:
    return chat(calls=[(name, arguments)])


def chat_malformed(kind: str, **how: Any) -> Answer:
    """One of `chat_wire.MALFORMED`, with status 200."""
    frames = chat_wire.malformed(kind, **how)
    return html(200) if kind == "html" else sse(frames)


# --- the server


class ScriptedUpstream:
    """`requests` is everything that arrived complete, in order; `connections` how many there ever were."""

    def __init__(self, host: str = "127.0.0.1", *, port: int = 0) -> None:
        self.host = host
        self._wanted_port = port
        self.requests: list[Received] = []
        self.models: list[str] | None = [chat_wire.MODEL]
        self.connections = 0
        self.active_requests = 0
        self._open: set[_Connection] = set()
        self._answers: deque[Scripted] = deque()
        self._always: Scripted | None = None
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        left = f"{len(self.requests)} requests, {len(self._answers)} answers left"
        return f"<ScriptedUpstream {self.open_connections} open, {left}>"

    @property
    def port(self) -> int:
        assert self._server, "the upstream is not started"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def origin(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def answers(self, *answers: Scripted) -> None:
        """Queue answers, one for each request to come."""
        self._answers.extend(answers)

    @property
    def unused(self) -> int:
        """How many queued answers nobody has asked for."""
        return len(self._answers)

    def always(self, answer: Scripted) -> None:
        """What every request gets when nothing is queued."""
        self._always = answer

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until `condition()` is true; it is asked again whenever anything happens at this upstream."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    @property
    def blocked_writers(self) -> int:
        """Connections whose client does not read what was written."""
        return sum(not connection.may_write.is_set() for connection in self._open)

    def drop_connections(self) -> None:
        """Close every connection from this side, idle ones included."""
        for connection in list(self._open):
            connection.transport.close()

    async def __aenter__(self) -> ScriptedUpstream:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self.host, self._wanted_port, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for connection in list(self._open):
            connection.transport.abort()
        await self.until(lambda: not self._open)
        while running := [task for task in self._tasks if not task.done()]:
            await asyncio.wait(running)

    def _answer_for(self, request: Received) -> Answer:
        if (listing := self._listing_for(request)) is not None:
            return listing
        scripted = self._answers.popleft() if self._answers else self._always
        if scripted is None:
            return error(
                500, f"no answer is scripted for request {len(self.requests)}, {request.method} {request.path}"
            )
        return scripted if isinstance(scripted, Answer) else scripted(request)

    def _listing_for(self, request: Received) -> Answer | None:
        if self.models is None or request.method != "GET":
            return None
        path = request.path.partition("?")[0]
        if path.endswith("/models"):
            listed = [{"id": name, "object": "model", "created": 1, "owned_by": "mock"} for name in self.models]
            return json({"object": "list", "data": listed})
        if path.endswith("/api/tags"):
            return json({"models": [{"name": name, "model": name, "size": 1, "details": {}} for name in self.models]})
        return None

    def _note(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._start(notify())

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@dataclass(eq=False)
class _Connection(asyncio.Protocol):
    upstream: ScriptedUpstream
    answering: asyncio.Task[None] | None = None
    path: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: list[bytes] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.parser = httptools.HttpRequestParser(self)
        self.upstream.connections += 1
        self.number = self.upstream.connections
        self.upstream._open.add(self)
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.upstream._note()

    def connection_lost(self, exc: Exception | None) -> None:
        self.upstream._open.discard(self)
        if self.answering and not self.answering.done():
            self.answering.cancel()
        self.upstream._note()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.write(head(400, framing="content-length: 0"))
            self.transport.close()

    def pause_writing(self) -> None:
        self.may_write.clear()
        self.upstream._note()

    def resume_writing(self) -> None:
        self.may_write.set()

    def on_message_begin(self) -> None:
        self.path, self.headers, self.body = b"", [], []

    def on_url(self, url: bytes) -> None:
        self.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        method = self.parser.get_method().decode()
        request = Received(method, self.path.decode(), self.headers, b"".join(self.body), self.number)
        self.upstream.requests.append(request)
        self.upstream.active_requests += 1
        self.answering = answering = self.upstream._start(self._answer(request))
        answering.add_done_callback(lambda done: self._is_over(request, done))
        self.upstream._note()

    async def _answer(self, request: Received) -> None:
        for step in self.upstream._answer_for(request).steps:
            await self._take(step)
        request.answered = True

    def _is_over(self, request: Received, answering: asyncio.Task[None]) -> None:
        """Also of an answer that was cancelled before it could begin."""
        request.left_early = answering.cancelled()
        if self.answering is answering:
            self.answering = None
        self.upstream.active_requests -= 1
        self.upstream._note()

    async def _take(self, step: Step) -> None:
        if isinstance(step, bytes):
            await self.may_write.wait()
            self.transport.write(step)
        elif isinstance(step, asyncio.Event):
            await step.wait()
        elif step == STALL:
            await asyncio.get_running_loop().create_future()
        else:
            if step == RESET:
                linger = struct.pack("ii", 1, 0)
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.transport.abort()
            else:
                self.transport.close()
