"""What remembering costs: with SQLite and with PostgreSQL, few and many things remembered, in one run.

Three processes on loopback: an upstream that answers at once, the daemon, and this client. Ways that are compared are
asked in turn, so that whatever else the machine does falls on all of them alike. Times are of the client, in
milliseconds, median and 95th percentile. What is there already when the last part begins is written into the tables
directly: it is what is found, not how it came there, that is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.gateways import the_upstream
from bench.load import load_of, post
from bench.overhead import CONFIG, process
from conformance.case import environment
from tests.daemon import daemon
from tests.postgres import postgres, programs
from woollama.core.conversations import STORE
from woollama.domain.state import Handle, StoredResponse
from woollama.server import ServeOptions
from woollama.stores.database import open_database
from woollama.stores.sql import SqlStore
from woollama.stores.tables import Tables

MODEL = "mock/mock-model"
CONNECTIONS = 8
BATCH = 20


@dataclass(frozen=True)
class Size:
    seconds: float
    asked: int
    items: int
    responses: int


QUICK = Size(seconds=0.5, asked=10, items=100, responses=500)
FULL = Size(seconds=10.0, asked=200, items=2000, responses=100_000)


def serve_daemon(ready: Connection, upstream_port: int, home: str, url: str) -> None:
    environ = {
        "HOME": home,
        **environment(f"http://127.0.0.1:{upstream_port}"),
        "WOOLLAMA_STATE_DIR": f"{home}/state",
        "WOOLLAMA_STATE_URL": url,
    }

    async def serve() -> None:
        async with daemon(CONFIG, environ, ServeOptions(runtime_dir=Path(home))) as running:
            ready.send(int(running.url.rpartition(":")[2]))
            await asyncio.get_running_loop().create_future()

    asyncio.run(serve())


class Asking:
    """One kept connection to the daemon."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def __call__(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, {"content-type": "application/json"} if text else {})
        answer = self._connection.getresponse()
        told = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {told}")
        return told

    def turn(self, **asked: Any) -> Any:
        return self("POST", "/v1/responses", {"model": MODEL, "input": "Talk to me.", **asked})


def timed(count: int, **ways: Callable[[], object]) -> dict[str, list[float]]:
    """Milliseconds of each way, asked in turn."""
    for way in ways.values():
        way()
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            took[name].append((time.perf_counter() - began) * 1000)
    return took


def tell(what: str, took: list[float]) -> None:
    print(f"  {what:<58} {median(took):8.2f} {quantiles(took, n=20)[-1]:8.2f}", flush=True)


def measure(port: int, url: str, size: Size) -> None:
    ask = Asking(port)
    print(f"  {'':<58} {'median':>8} {'95 %':>8}")
    took = timed(size.asked, plain=lambda: ask.turn(store=False), stored=lambda: ask.turn())
    tell("a turn that is not stored", took["plain"])
    tell("a turn that is stored", took["stored"])
    print(f"  {'what storing adds, of the medians':<58} {median(took['stored']) - median(took['plain']):8.2f}")
    for stores in (False, True):
        requests = [post("/v1/responses", {"model": MODEL, "input": "Talk.", "store": stores})] * CONNECTIONS
        made = asyncio.run(load_of(port, requests, size.seconds))
        kind = "stored" if stores else "not stored"
        print(f"  {f'turns a second, {kind}, {CONNECTIONS} at once':<58} {made.per_second:8.0f}   {made.failed} failed")

    talk = ask("POST", "/v1/conversations", {})["id"]
    for begin in range(0, size.items, BATCH):
        items = [{"role": "user", "content": f"line {number}"} for number in range(begin, begin + BATCH)]
        ask("POST", f"/v1/conversations/{talk}/items", {"items": items})
    few = max(10, size.asked // 10)
    took = timed(
        few,
        turn=lambda: ask.turn(conversation=talk),
        page=lambda: ask("GET", f"/v1/conversations/{talk}/items?limit=100"),
    )
    tell(f"a turn in the conversation of {size.items:,} items and more", took["turn"])
    tell("its newest 100 items", took["page"])

    old = asyncio.run(fill(url, size.responses))
    ask = Asking(port)  # nobody keeps a connection that has been silent for so long
    took = timed(
        few,
        turn=lambda: ask.turn(),
        on=lambda: ask.turn(previous_response_id=old),
        read=lambda: ask("GET", f"/v1/responses/{old}"),
        listing=lambda: ask("GET", "/v1/conversations?limit=100"),
    )
    tell(f"a turn beside {size.responses:,} stored responses", took["turn"])
    tell("going on from one of them", took["on"])
    tell("reading one of them", took["read"])
    tell("the newest 100 conversations", took["listing"])


async def fill(url: str, count: int) -> str:
    """So many responses, each in a chain of its own; the id of one in the middle."""
    database = open_database(url)
    tables, store = Tables(database), SqlStore(database)
    for begin in range(0, count, 1000):
        async with tables.transaction():
            for number in range(begin, min(begin + 1000, count)):
                await _add(tables, store, number)
    await database.close()
    return f"resp_old{count // 2}"


async def _add(tables: Tables, store: SqlStore, number: int) -> None:
    now, thread, text = time.time(), f"thread_old{number}", "Here is what I have to say. " * 4
    said = {"id": f"msg_q{number}", "type": "message", "role": "user", "status": "completed"}
    told = {"id": f"msg_a{number}", "type": "message", "role": "assistant", "status": "completed"}
    parts = ({"type": "input_text", "text": text}, {"type": "output_text", "text": text, "annotations": []})
    await store.append(thread, 0, [{**said, "content": [parts[0]]}, {**told, "content": [parts[1]]}])
    handle = Handle(
        f"chain_old{number}", STORE, False, native_id=f"sql {thread}", length=2, created_at=now, updated_at=now
    )
    await tables.add_handle(handle)
    body = {"id": f"resp_old{number}", "object": "response", "model": MODEL, "status": "completed"}
    await tables.add_response(
        StoredResponse(body["id"], MODEL, "completed", handle.id, body=body, outputs_at=1, ends_at=2, created_at=now)
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench/run state")
    parser.add_argument("--quick", action="store_true", help="a little of everything")
    size = QUICK if parser.parse_args(arguments).quick else FULL
    for name in ("SQLite", "PostgreSQL"):
        if name == "PostgreSQL" and programs() is None:
            print("PostgreSQL: not installed")
            continue
        with ExitStack() as stack:
            home = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-state-"))
            url = stack.enter_context(postgres()) if name == "PostgreSQL" else ""
            upstream = stack.enter_context(the_upstream())
            port, pid = stack.enter_context(process(serve_daemon, upstream.port, home, url))
            print(f"{name}, in milliseconds")
            measure(port, url or f"sqlite://{home}/state/state.db", size)
            print(f"  {'memory of the daemon, MB':<58} {_megabytes(pid):8.0f}")
    return 0


def _megabytes(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return float("nan")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
