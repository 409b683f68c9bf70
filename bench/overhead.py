"""One scripted upstream, asked directly, through the relay and through a recipe, in one run.

Three processes on loopback: the upstream, the daemon, and this client with one kept connection. Every way is asked in
turn, so that whatever else the machine does falls on all of them alike. Times are of the client, in milliseconds: until
the first byte of the body and until its end, median and 95th percentile.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles

from conformance.case import environment
from tests.daemon import daemon
from tests.upstream import ScriptedUpstream, chat
from woollama.server import ServeOptions

CONFIG = Path(__file__).parents[1] / "conformance/config"
WORDS = 200
WAYS = {"direct": "mock-model", "relay": "mock/mock-model", "recipe": "woollama/case-plain"}


def serve_upstream(ready: Connection) -> None:
    async def serve() -> None:
        async with ScriptedUpstream() as upstream:
            upstream.always(chat(" ".join(["word"] * WORDS)))
            ready.send(upstream.port)
            await asyncio.get_running_loop().create_future()

    asyncio.run(serve())


def serve_daemon(ready: Connection, upstream_port: int, home: str) -> None:
    environ = {"HOME": home, **environment(f"http://127.0.0.1:{upstream_port}")}

    async def serve() -> None:
        async with daemon(CONFIG, environ, ServeOptions(runtime_dir=Path(home))) as running:
            ready.send(int(running.url.rpartition(":")[2]))
            await asyncio.get_running_loop().create_future()

    asyncio.run(serve())


@contextmanager
def process(target: Callable[..., None], *arguments: object) -> Iterator[tuple[int, int]]:
    """A child that says on which port it listens; gives that port and its process id."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=target, args=(theirs, *arguments))
    child.start()
    try:
        if not ours.poll(30):
            sys.exit(f"{target.__name__} did not start")
        yield ours.recv(), child.pid or 0
    finally:
        child.terminate()
        child.join()


def ask(connection: http.client.HTTPConnection, model: str, *, stream: bool) -> tuple[float, float]:
    """Milliseconds until the first byte of the body, and until its end."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Talk."}], "stream": stream})
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    first = answer.read(1)
    until_first = time.perf_counter() - began
    rest = answer.read()
    until_end = time.perf_counter() - began
    if answer.status != 200 or (stream and not rest.endswith(b"data: [DONE]\n\n")):
        sys.exit(f"{model}: {answer.status} {(first + rest)[-300:]!r}")
    return until_first * 1000, until_end * 1000


def row(name: str, times: list[float]) -> str:
    return f"{name:<34}{median(times):>10.2f}{quantiles(times, n=20)[-1]:>10.2f}"


def resident_mib(pid: int) -> str:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return "unknown here"
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**20:.0f} MiB"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench overhead", description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="measured requests of each kind (200)")
    count = parser.parse_args(argv).requests
    with (
        tempfile.TemporaryDirectory() as home,
        process(serve_upstream) as (upstream_port, _),
        process(serve_daemon, upstream_port, home) as (daemon_port, daemon_pid),
    ):
        ports = {"direct": upstream_port, "relay": daemon_port, "recipe": daemon_port}
        connections = {way: http.client.HTTPConnection("127.0.0.1", port, timeout=30) for way, port in ports.items()}
        measured: dict[tuple[str, bool], list[tuple[float, float]]] = {}
        for number in range(count + 20):  # the first twenty warm up
            for way, connection in connections.items():
                for stream in (False, True):
                    took = ask(connection, WAYS[way], stream=stream)
                    if number >= 20:
                        measured.setdefault((way, stream), []).append(took)
        print(f"{count} requests of each kind, one after the other; milliseconds{'median':>7}{'95th':>10}")
        for (way, stream), times in sorted(
            measured.items(), key=lambda each: (each[0][1], list(WAYS).index(each[0][0]))
        ):
            if stream:
                print(row(f"{way}, streamed, first byte", [first for first, _ in times]))
            print(row(f"{way}, {f'streamed, all {WORDS} words' if stream else 'whole'}", [end for _, end in times]))
        print(f"memory of the daemon afterwards: {resident_mib(daemon_pid)}")
    return 0
