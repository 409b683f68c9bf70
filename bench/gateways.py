"""Several gateways before one upstream, in one run: ours, nginx as a reverse proxy, LiteLLM's proxy.

Every figure is taken of every way in turn, several rounds, and the median round is shown, so that whatever else the
machine does falls on all of them alike. Read the ratios; absolute figures are of this machine at this hour.

nginx is measured where it is installed, LiteLLM where `LITELLM=/path/to/its/bin/litellm` says: an environment of its
own with `litellm[proxy]`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import uvloop

from bench.load import Load, Streams, load, streams
from tests.chat_wire import MODEL

PATIENCE_S = 90.0
CONNECTIONS = (1, 16, 64)
STREAMS = (50, 200)
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Way:
    """How the upstream is reached: a port, what the model is called there, and the processes that it costs."""

    name: str
    port: int
    model: str
    pid: int | None = None
    ready_s: float | None = None


def processes_of(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            found += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
    return found


def cpu_s(pid: int) -> float:
    total = 0
    for each in processes_of(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_mib(pid: int) -> float:
    pages = 0
    for each in processes_of(pid):
        with suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def running(argv: list[str], **how: Any) -> Iterator[subprocess.Popen[str]]:
    """A program that is ended with all that it started."""
    with subprocess.Popen(argv, text=True, start_new_session=True, **how) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def answers(port: int, model: str) -> bool:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer sk-bench"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return bool(json.load(answer)["choices"])
    except (OSError, ValueError):
        return False


def until_ready(name: str, port: int, model: str) -> float:
    """Seconds until the first true answer."""
    began = time.perf_counter()
    while not answers(port, model):
        if time.perf_counter() - began > PATIENCE_S:
            sys.exit(f"{name} gave no answer within {PATIENCE_S:g} s")
        time.sleep(0.02)
    return time.perf_counter() - began


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def the_upstream() -> Iterator[Way]:
    with running([sys.executable, "-m", "bench.upstream"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield Way("direct", int(process.stdout.readline()), MODEL, process.pid)


@contextmanager
def ours(upstream: int, directory: Path) -> Iterator[list[Way]]:
    """The daemon as it is shipped, with one more inferencer and a recipe over it, and no tool servers."""
    files = {
        "inferencers.toml": f'[inferencers.up]\nbase_url = "http://127.0.0.1:{upstream}/v1"\nmodels = ["{MODEL}"]\n',
        "recipes.toml": f'[recipes.plain]\ninferencer = "up/{MODEL}"\nsystem = "Be brief."\n',
        "mcp.json": json.dumps({"mcpServers": {name: {"disabled": True} for name in ("hello", "clock", "textops")}}),
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    port, environ = free_port(), _environment(directory)
    argv = [sys.executable, "-m", "woollama", "serve", "--address", f"127.0.0.1:{port}"]
    with running(argv, env={**environ, "WOOLLAMA_LOG": "warning"}) as process:
        ready_s = until_ready("woollama", port, f"up/{MODEL}")
        yield [
            Way("woollama, relayed", port, f"up/{MODEL}", process.pid, ready_s),
            Way("woollama, a recipe", port, "woollama/plain", process.pid),
        ]


@contextmanager
def nginx(upstream: int, directory: Path) -> Iterator[list[Way]]:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        print("nginx is not installed and is left out")
        yield []
        return
    port = free_port()
    (directory / "nginx.conf").write_text(
        f"""
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header connection ""; proxy_buffering off; }}
  }}
}}
"""
    )
    with running([found, "-p", str(directory), "-c", str(directory / "nginx.conf")]) as process:
        yield [Way("nginx", port, MODEL, process.pid, until_ready("nginx", port, MODEL))]


@contextmanager
def litellm(upstream: int, directory: Path) -> Iterator[list[Way]]:
    program = os.environ.get("LITELLM")
    if not program:
        print("LITELLM does not say where litellm is, and it is left out")
        yield []
        return
    port = free_port()
    target = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "sk-bench"}
    config = {"model_list": [{"model_name": MODEL, "litellm_params": target}]}
    (directory / "litellm.yaml").write_text(json.dumps(config))
    argv = [program, "--config", str(directory / "litellm.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    with ExitStack() as stack:
        log = stack.enter_context((directory / "litellm.log").open("w"))
        open_door = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}  # as ours is over loopback
        environ = {**_environment(directory), **open_door}
        process = stack.enter_context(running(argv, env=environ, stdout=log, stderr=log))
        yield [Way("LiteLLM", port, MODEL, process.pid, until_ready("LiteLLM", port, MODEL))]


def _environment(directory: Path) -> Mapping[str, str]:
    places = ("HOME", "XDG_RUNTIME_DIR", "WOOLLAMA_CONFIG_DIR", "WOOLLAMA_STATE_DIR")
    return {"PATH": os.environ["PATH"], **dict.fromkeys(places, str(directory))}


@dataclass
class Figures:
    """Of one way under one load, a figure for each round."""

    per_second: list[float]
    p50_ms: list[float]
    p99_ms: list[float]
    cpu_ms: list[float]
    failed: int = 0


def measure(way: Way, connections: int, seconds: float, into: Figures) -> None:
    before = cpu_s(way.pid) if way.pid else 0.0
    made: Load = uvloop.run(load(way.port, way.model, connections, seconds))
    spent_s = cpu_s(way.pid) - before if way.pid else 0.0
    times = sorted(made.latencies_s)
    into.failed += made.failed
    if len(times) < 2:
        return
    into.per_second.append(made.per_second)
    into.p50_ms.append(median(times) * 1000)
    into.p99_ms.append(quantiles(times, n=100)[-1] * 1000)
    into.cpu_ms.append(spent_s / len(times) * 1000)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench gateways", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    quick = parser.parse_args(argv).quick
    rounds, seconds = (1, 0.3) if quick else (5, 2.0)
    with ExitStack() as stack:
        upstream = stack.enter_context(the_upstream())
        ways = [upstream]
        for start in (nginx, ours, litellm):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="woollama-bench-")))
            ways += stack.enter_context(start(upstream.port, directory))
        for count in CONNECTIONS:
            table = {way.name: Figures([], [], [], []) for way in ways}
            for _ in range(rounds):
                for way in ways:
                    measure(way, count, seconds, table[way.name])
            show_load(count, table)
        for count in STREAMS[:1] if quick else STREAMS:
            show_streams(count, {way.name: streamed(way, count) for way in ways})
        print("\nmemory of all its processes, and from start to first answer")
        for way in ways:
            if way.ready_s is not None and way.pid:
                print(f"  {way.name:<22}{memory_mib(way.pid):>8.0f} MiB{way.ready_s:>10.2f} s")
    return 0


def show_load(connections: int, table: Mapping[str, Figures]) -> None:
    direct = table["direct"]
    base = median(direct.p50_ms) if direct.p50_ms else 0.0
    best = next((figures for name, figures in table.items() if name == "nginx"), direct)
    print(f"\n{connections} connections: requests/s, of nginx's, added p50 and p99 ms, CPU ms a request, failed")
    for name, made in table.items():
        if not made.per_second:
            print(f"  {name:<22}no answers, {made.failed} failed")
            continue
        rate = median(made.per_second)
        p50, p99 = median(made.p50_ms) - base, median(made.p99_ms) - median(direct.p99_ms)
        share = f"{rate / median(best.per_second):>7.0%}"
        print(f"  {name:<22}{rate:>9.0f}{share}{p50:>9.2f}{p99:>9.2f}{median(made.cpu_ms):>9.3f}{made.failed:>6}")


def streamed(way: Way, count: int) -> tuple[Streams, float]:
    before = cpu_s(way.pid) if way.pid else 0.0
    made = uvloop.run(streams(way.port, way.model, count))
    return made, (cpu_s(way.pid) - before if way.pid else 0.0)


def show_streams(count: int, table: Mapping[str, tuple[Streams, float]]) -> None:
    print(f"\n{count} streams at once: whole ones, first frame p50 ms, seconds in all, CPU µs a chunk")
    for name, (made, cpu) in table.items():
        first = median(made.first_s) * 1000 if made.first_s else float("nan")
        per_chunk = cpu / made.chunks * 1e6 if made.chunks else float("nan")
        print(f"  {name:<22}{made.whole:>5}/{count}{first:>10.1f}{made.seconds:>9.2f}{per_chunk:>9.0f}")
