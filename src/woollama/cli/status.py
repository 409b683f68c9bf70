"""`woollama status`: whether the daemon runs, where, and how its tool servers are."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, table


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser("status", help="tell whether the daemon runs, and how it is")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    daemon = Daemon(os.environ)
    try:
        alive, ready, servers = (daemon.get(path) for path in ("/healthz", "/readyz", "/w1/servers"))
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    if args.json:
        where = {"url": daemon.url, "socket": str(daemon.socket_path)}
        print(json.dumps({**alive, **where, **ready, "servers": servers["data"]}, indent=2))
        return 0
    print(f"woollama {alive['version']} at {daemon.url or 'no TCP address'} and {daemon.socket_path}")
    if not ready["ready"]:
        print(f"waiting for: {', '.join(ready['waiting_for'])}")
    if servers["data"]:
        print(f"\n{_summary(servers['data'])}")
        print(table(map(_row, servers["data"])))
    return 0


def _summary(servers: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(server["health"] for server in servers)
    told = ", ".join(f"{count} {health}" for health, count in counts.most_common())
    return f"{len(servers)} tool server{'s' if len(servers) > 1 else ''}: {told}"


def _row(server: Mapping[str, Any]) -> tuple[str, ...]:
    """`git  stdio  down  after 3 attempts: no such file`."""
    tools = f"{server['tools']} tool{'s' if server['tools'] != 1 else ''}"
    detail = {"ready": tools, "down": f"after {server['attempts']} attempts: {server['last_error']}"}
    return f"  {server['name']}", server["transport"], server["health"], detail.get(server["health"], "")
