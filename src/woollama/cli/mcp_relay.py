"""Between a host at our pipes and the daemon: lines of JSON-RPC in both directions, and honest errors in between.

Nothing is known of MCP here but its handshake, which is repeated when a daemon has died and another one takes its
place. Every request of the host gets one answer: the daemon's, or an error that says that there was none.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from woollama.cli.daemon import NotRunning, Refused
from woollama.cli.mcp_pipe import Pipe, PipeGone

CONNECTION_CLOSED = -32000
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
TOOLS_CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}

Message = Mapping[str, Any]


class Waiting:
    """The host's requests without an answer, and the pipe on which each went (none, before it is sent).

    Whoever takes a request out of here answers it, so that there is one answer, whichever thread is first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipes: dict[Any, Pipe | None] = {}

    def add(self, message: Message) -> None:
        if _is_request(message):
            with self._lock:
                self._pipes[message["id"]] = None

    def goes_on(self, message: Message, pipe: Pipe) -> bool:
        """Notes where a request is sent; false if it has been answered in the meantime."""
        with self._lock:
            if _is_request(message):
                if message["id"] not in self._pipes:
                    return False
                self._pipes[message["id"]] = pipe
            return True

    def take(self, request: Any) -> bool:
        with self._lock:
            return self._pipes.pop(request, self) is not self

    def take_all(self, pipe: Pipe) -> list[Any]:
        with self._lock:
            taken = [request for request, on in self._pipes.items() if on is pipe]
            for request in taken:
                del self._pipes[request]
            return taken


class Relay:
    """`attach` gives a new pipe, or raises `NotRunning` or `Refused`. `wire` is where the host reads."""

    def __init__(self, attach: Callable[[], Pipe], wire: BinaryIO) -> None:
        self._attach = attach
        self._wire = wire
        self._writing = threading.Lock()
        self._pipe: Pipe | None = None
        self._generation = 0
        self._waiting = Waiting()
        self._questions: dict[str, tuple[Pipe, Any]] = {}
        """The daemon's requests, by the ids that the host sees: two daemons may use the same ones."""
        self._repeated: set[tuple[Pipe, Any]] = set()
        """Handshakes that the host has made before; it must not see a second answer."""
        self._handshake: Message | None = None
        self._initialized: bytes | None = None

    def run(self, lines: Iterable[bytes]) -> None:
        """Relays until the host's lines end."""
        try:
            for line in lines:
                if line.strip():
                    self._from_host(line.strip())
        finally:
            if (pipe := self._pipe) is not None:
                pipe.close()

    # --- from the host

    def _from_host(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._tell_error(None, PARSE_ERROR, "this line is no JSON")
            return
        if not isinstance(message, dict) or not isinstance(message.get("id"), int | float | str | None):
            self._tell_error(None, INVALID_REQUEST, "this line is no message of JSON-RPC")
        elif "method" in message:
            self._deliver(message, line)
        elif (answer := self._translated_answer(message)) is not None:
            self._deliver(message, answer)

    def _translated_answer(self, message: Message) -> bytes | None:
        """The host's answer under the id that its daemon knows; `None` if that daemon is gone."""
        pipe, original = self._questions.pop(str(message.get("id")), (None, None))
        if pipe is None or pipe is not self._pipe:
            return None
        return json.dumps({**message, "id": original}).encode()

    def _deliver(self, message: Message, line: bytes) -> None:
        """Twice if need be: a pipe that turns out to be gone has taken nothing."""
        self._waiting.add(message)
        try:
            try:
                self._send(message, line)
            except PipeGone:
                self._pipe = None
                self._send(message, line)
        except (NotRunning, Refused, PipeGone) as error:
            if _is_request(message) and self._waiting.take(message["id"]):
                self._tell_error(message["id"], CONNECTION_CLOSED, str(error))

    def _send(self, message: Message, line: bytes) -> None:
        pipe = self._attached(message)
        if not self._waiting.goes_on(message, pipe):
            return
        pipe.send(line)
        if message.get("method") == "initialize":
            self._handshake = message
        elif message.get("method") == "notifications/initialized":
            self._initialized = line

    def _attached(self, message: Message) -> Pipe:
        if (pipe := self._pipe) is not None:
            return pipe
        pipe = self._attach()
        self._generation += 1
        self._pipe = pipe
        threading.Thread(target=self._read, args=(pipe, self._generation), daemon=True).start()
        if self._handshake is not None and message.get("method") != "initialize":
            self._repeated.add((pipe, self._handshake["id"]))
            pipe.send(json.dumps(self._handshake).encode())
            if self._initialized is not None:
                pipe.send(self._initialized)
                self._tell(TOOLS_CHANGED)
        return pipe

    # --- from the daemon

    def _read(self, pipe: Pipe, generation: int) -> None:
        for line in pipe.lines():
            message = json.loads(line)
            if _is_request(message):
                shown = f"{generation}.{message['id']}"
                self._questions[shown] = (pipe, message["id"])
                self._tell({**message, "id": shown})
            elif "method" in message:
                self._tell(self._translated_notification(pipe, message))
            elif (pipe, message.get("id")) in self._repeated:
                self._repeated.discard((pipe, message.get("id")))
            elif self._waiting.take(message.get("id")):
                self._write(line)
        if self._pipe is pipe:
            self._pipe = None
        for request in self._waiting.take_all(pipe):
            self._tell_error(request, CONNECTION_CLOSED, "woollama ended before it answered; ask again")

    def _translated_notification(self, pipe: Pipe, message: Message) -> Message:
        """A question that is withdrawn is withdrawn under the id that the host knows."""
        if message["method"] == "notifications/cancelled":
            params = message.get("params") or {}
            for shown, question in list(self._questions.items()):
                if question == (pipe, params.get("requestId")):
                    del self._questions[shown]
                    return {**message, "params": {**params, "requestId": shown}}
        return message

    # --- to the host

    def _tell_error(self, request: Any, code: int, why: str) -> None:
        self._tell({"jsonrpc": "2.0", "id": request, "error": {"code": code, "message": why}})

    def _tell(self, message: Message) -> None:
        self._write(json.dumps(message).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        with self._writing, suppress(BrokenPipeError):  # a host that has left has closed its end of ours, too
            self._wire.write(line)
            self._wire.flush()


def _is_request(message: Message) -> bool:
    return "method" in message and "id" in message
