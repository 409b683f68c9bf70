"""Small requests beside large ones: does anybody wait while tool results of 400 kB are compressed?

The daemon and a scripted upstream on loopback. Small requests go through the relay one after the other, first alone,
then beside eight that each bring a new result of that size, to be made smaller losslessly. Times are of the client, in
milliseconds: median, 95th percentile and the longest.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from statistics import median, quantiles

from bench.overhead import WAYS, ask, process, serve_daemon, serve_upstream

LARGE_CHARS = 400_000
LARGE_AT_ONCE = 8


def large_body(seed: int) -> str:
    r = random.Random(seed)
    rows = [
        {
            "id": i,
            "object": f"o{r.randrange(10**6)}",
            "ms": r.randrange(90),
            "zone": r.choice(["north", "south", "west"]),
        }
        for i in range(LARGE_CHARS // 62)
    ]
    result = {"role": "tool", "tool_call_id": "c1", "content": json.dumps(rows)}
    return json.dumps({"model": WAYS["relay"], "messages": [{"role": "user", "content": "Which is slow?"}, result]})


def send_large(port: int, body: str, took: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    began = time.perf_counter()
    headers = {"content-type": "application/json", "x-woollama-compress": "lossless"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    answer = connection.getresponse()
    said = answer.read()
    took.append((time.perf_counter() - began) * 1000)
    if answer.status != 200:
        sys.exit(f"{answer.status} {said[-300:]!r}")


def row(name: str, times: Sequence[float]) -> str:
    return f"{name:<40}{median(times):>9.2f}{quantiles(times, n=20)[-1]:>9.2f}{max(times):>9.2f}{len(times):>7}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench beside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often eight large ones are sent (5)")
    rounds = parser.parse_args(arguments).rounds
    with (
        tempfile.TemporaryDirectory() as home,
        process(serve_upstream) as (upstream_port, _),
        process(serve_daemon, upstream_port, home) as (port, _),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        send_large(port, large_body(-1), [])  # what is started late is started now

        def small() -> float:
            return ask(connection, WAYS["relay"], stream=False)[1]

        for _ in range(50):
            small()
        alone = [small() for _ in range(200)]
        beside: list[float] = []
        large: list[float] = []
        for number in range(rounds):
            bodies = [large_body(LARGE_AT_ONCE * number + each) for each in range(LARGE_AT_ONCE)]
            threads = [threading.Thread(target=send_large, args=(port, body, large)) for body in bodies]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                beside.append(small())
    print(f"{'milliseconds':<40}{'median':>9}{'95th':>9}{'longest':>9}{'of':>7}")
    print(row("small, alone", alone))
    print(row(f"small, beside {LARGE_AT_ONCE} of {LARGE_CHARS // 1000} kB", beside))
    print(row("large", large))
    return 0
