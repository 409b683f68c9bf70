"""The relay alone, between lines and pipes that a test plays."""

from __future__ import annotations

import io
import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

from woollama.cli.daemon import NotRunning
from woollama.cli.mcp_pipe import Pipe, PipeGone
from woollama.cli.mcp_relay import Relay

PATIENCE_S = 60.0
INITIALIZE = {"id": 0, "method": "initialize"}
INITIALIZED = {"method": "notifications/initialized"}


class PlayedPipe:
    """`says` is what the daemon writes; `got` what it received; `die` its end."""

    def __init__(self) -> None:
        self.got: queue.Queue[Any] = queue.Queue()
        self._says: queue.Queue[bytes | None] = queue.Queue()
        self._dead = False

    def says(self, message: Any) -> None:
        self._says.put(json.dumps(message).encode() + b"\n")

    def die(self, *, silently: bool = False) -> None:
        self._dead = True
        if not silently:
            self._says.put(None)

    def lines(self) -> Iterator[bytes]:
        while (line := self._says.get()) is not None:
            yield line

    def send(self, line: bytes) -> None:
        if self._dead:
            raise PipeGone("gone")
        self.got.put(json.loads(line))

    def close(self) -> None:
        self._says.put(None)


class Wire(io.BytesIO):
    """Where the host reads."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: queue.Queue[Any] = queue.Queue()

    def write(self, line: Any) -> int:
        self.messages.put(json.loads(line))
        return len(line)

    def next(self) -> Any:
        return self.messages.get(timeout=PATIENCE_S)


class Played:
    """A relay at work: `host` says a message, `pipes` are the daemons that it meets one after the other."""

    def __init__(self, *pipes: PlayedPipe, attach: Callable[[], Pipe] | None = None) -> None:
        left = iter(pipes)
        self.wire = Wire()
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        relay = Relay(attach or (lambda: cast(Pipe, next(left))), self.wire)
        self._thread = threading.Thread(target=relay.run, args=(iter(self._lines.get, None),))

    def host(self, message: Any) -> None:
        self._lines.put(json.dumps(message).encode() + b"\n")

    def __enter__(self) -> Played:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.put(None)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def got(pipe: PlayedPipe) -> Any:
    return pipe.got.get(timeout=PATIENCE_S)


def test_messages_pass_as_they_are() -> None:
    pipe = PlayedPipe()
    with Played(pipe) as played:
        played.host({"id": 1, "method": "tools/list"})
        assert got(pipe) == {"id": 1, "method": "tools/list"}
        pipe.says({"method": "notifications/progress", "params": {"progress": 1}})
        pipe.says({"id": 1, "result": {}})
        assert played.wire.next() == {"method": "notifications/progress", "params": {"progress": 1}}
        assert played.wire.next() == {"id": 1, "result": {}}


def test_a_question_is_answered_under_its_own_id() -> None:
    pipe = PlayedPipe()
    with Played(pipe) as played:
        played.host({"id": 1, "method": "tools/call"})
        assert got(pipe)["id"] == 1
        pipe.says({"id": 7, "method": "elicitation/create"})
        shown = played.wire.next()["id"]
        played.host({"id": shown, "result": {"action": "accept"}})
        assert got(pipe) == {"id": 7, "result": {"action": "accept"}}


def test_a_question_that_is_withdrawn_is_withdrawn_under_the_id_that_the_host_knows() -> None:
    pipe = PlayedPipe()
    with Played(pipe) as played:
        played.host({"id": 1, "method": "tools/call"})
        assert got(pipe)["id"] == 1
        pipe.says({"id": 7, "method": "elicitation/create"})
        shown = played.wire.next()["id"]
        pipe.says({"method": "notifications/cancelled", "params": {"requestId": 7}})
        assert played.wire.next()["params"] == {"requestId": shown}


def test_an_answer_to_a_dead_daemon_is_none_to_the_next_ones_question() -> None:
    dead, alive = PlayedPipe(), PlayedPipe()
    with Played(dead, alive) as played:
        played.host({"id": 1, "method": "tools/call"})
        assert got(dead)["id"] == 1
        dead.says({"id": 7, "method": "elicitation/create"})
        old = played.wire.next()["id"]
        dead.die()
        assert played.wire.next()["error"]["message"] == "woollama ended before it answered; ask again"

        played.host({"id": 2, "method": "tools/call"})
        assert got(alive)["id"] == 2
        alive.says({"id": 7, "method": "elicitation/create"})
        new = played.wire.next()["id"]
        played.host({"id": old, "result": {"action": "accept"}})
        played.host({"id": new, "result": {"action": "decline"}})
        assert got(alive) == {"id": 7, "result": {"action": "decline"}}


def test_the_handshake_is_repeated_unseen_and_the_host_is_told_to_list_again() -> None:
    dead, alive = PlayedPipe(), PlayedPipe()
    with Played(dead, alive) as played:
        played.host(INITIALIZE)
        assert got(dead) == INITIALIZE
        dead.says({"id": 0, "result": {"first": True}})
        assert played.wire.next() == {"id": 0, "result": {"first": True}}
        played.host(INITIALIZED)
        assert got(dead) == INITIALIZED
        dead.die(silently=True)

        played.host({"id": 1, "method": "ping"})
        assert [got(alive), got(alive), got(alive)] == [INITIALIZE, INITIALIZED, {"id": 1, "method": "ping"}]
        assert played.wire.next()["method"] == "notifications/tools/list_changed"
        alive.says({"id": 0, "result": {"second": True}})
        alive.says({"id": 1, "result": {}})
        assert played.wire.next() == {"id": 1, "result": {}}


def test_a_request_that_nobody_can_be_found_for_is_an_error_and_a_notification_is_not() -> None:
    def attach() -> Pipe:
        raise NotRunning("nobody there")

    with Played(attach=attach) as played:
        played.host(INITIALIZED)
        played.host({"id": "a", "method": "tools/list"})
        assert played.wire.next() == {
            "jsonrpc": "2.0",
            "id": "a",
            "error": {"code": -32000, "message": "nobody there"},
        }
    assert played.wire.messages.empty()
