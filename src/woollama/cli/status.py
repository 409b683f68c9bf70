"""`woollama status`: whether the daemon runs, where, how it is, and what needs somebody's attention."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, counted, duration, one_line, problem_line, styled, table

_NAMED_MODELS = 4
"""How many inferencers are told with the number of their models, and recipes with what their tools cost."""


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "status",
        help="tell whether the daemon runs, and how it is",
        description="Tell whether the daemon runs, since when and where, what it has, how its tool servers are, and"
        " what needs attention: inferencers that fail, entries that wait, problems of the configuration. Exits with 1"
        " if it does not run.",
        epilog="example: woollama status --json | jq .uptime_s",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON, as GET /w1/status gives it")


def run(args: argparse.Namespace) -> int:
    daemon = Daemon(os.environ)
    try:
        told = daemon.get("/w1/status")
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    if args.json:
        print(json.dumps({**told, "url": daemon.url, "socket": str(daemon.socket_path)}, indent=2))
        return 0
    print(f"{styled('woollama ' + told['version'], 'bold')}, up {duration(told['uptime_s'])}")
    print(f"  {daemon.url or 'no TCP address'}\n  {daemon.socket_path}\n")
    print(table(_facts(told)))
    if told["servers"]:
        print(table(map(_server, told["servers"])))
    for line in _attention(told):
        print(line)
    return 0


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "recipes", str(told["recipes"])
    if costs := told["tool_tokens"]:
        yield "their tools", f"{_dearest(costs)} tokens a round"
    if told["aliases"]:
        yield "aliases", str(told["aliases"])
    yield "models", _models(told["inferencers"])
    yield "running", counted(told["runs"], "turn") if told["runs"] else "nothing"
    if told["waiting_for"]:
        yield "waiting for", ", ".join(told["waiting_for"])
    yield "tool servers", _servers(told["servers"])


def _models(inferencers: Sequence[Mapping[str, Any]]) -> str:
    """`14: ollama 12, local 1, scripted 1`."""
    known = sorted(((each["models"], each["name"]) for each in inferencers if each["models"]), reverse=True)
    if not known:
        return "none known; any inferencer/model can still be asked for"
    named = [f"{name} {models}" for models, name in known[:_NAMED_MODELS]]
    if more := len(known) - _NAMED_MODELS:
        named += [f"{more} more inferencers"] if more > 0 else []
    return f"{sum(models for models, _ in known)}: {', '.join(named)}"


def _dearest(costs: Mapping[str, int]) -> str:
    """`textcounter 158, demo 60`: the dearest first."""
    dearest = sorted(costs.items(), key=lambda cost: -cost[1])
    more = len(dearest) - _NAMED_MODELS
    named = [f"{name} {tokens}" for name, tokens in dearest[:_NAMED_MODELS]]
    return ", ".join([*named, *([f"{more} more"] if more > 0 else [])])


def _servers(servers: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(server["health"] for server in servers)
    told = ", ".join(f"{count} {health}" for health, count in counts.most_common())
    return f"{len(servers)}: {told}" if servers else "none"


def _server(server: Mapping[str, Any]) -> tuple[str, ...]:
    """`git  stdio  down  after 3 attempts: no such file`."""
    detail = {
        "ready": counted(server["tools"], "tool"),
        "needs login": str(server["last_error"]),
        "down": f"after {counted(server['attempts'], 'attempt')}: {server['last_error']}",
    }
    return f"  {server['name']}", server["transport"], server["health"], detail.get(server["health"], "")


def _attention(told: Mapping[str, Any]) -> Iterator[str]:
    """Sections that are there only when there is something in them."""
    if cooling := [each for each in told["inferencers"] if each["cooling_s"] > 0]:
        yield "\n" + styled("tried last for now, after repeated failures", "yellow")
        yield table((f"  {each['name']}", f"{each['cooling_s']:.0f} s", each["last_error"]) for each in cooling)
    if changed := [server for server in told["servers"] if server.get("changed")]:
        yield "\n" + styled("not what they were when first seen; `woollama trust SERVER` shows how", "yellow")
        yield table(_changed(server, name) for server in changed for name in server["changed"])
    if wishes := [server for server in told["servers"] if server.get("login_wanted")]:
        yield "\n" + styled("login wanted", "yellow")
        yield table((f"  {server['name']}", server["login_wanted"]) for server in wishes)
    if pending := told.get("pending"):
        yield "\n" + styled("pending: `woollama reload` puts these into force", "yellow")
        yield from (f"  {_pending(each)}" for each in pending)
    if problems := [each for each in told["problems"] if each["severity"] != "note"]:
        yield "\n" + styled("problems of the configuration; `woollama check` says more", "yellow")
        yield from (f"  {each['severity']}: {problem_line(each)}" for each in problems)


def _changed(server: Mapping[str, Any], tool: str) -> tuple[str, str]:
    return f"  {server['name']}.{tool}", "not offered until then" if tool in server["quarantined"] else ""


def _pending(entry: object) -> str:
    match entry:
        case {"what": what, "name": name, "why": why}:
            return one_line(f"{what} {name} {why}")
        case _:
            return one_line(str(entry))
