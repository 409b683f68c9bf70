"""`woollama status`: whether the daemon runs, where, and how its tool servers are."""

from __future__ import annotations

import argparse
import json
import os

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain
from woollama.cli.tools import health_line


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser("status", help="tell whether the daemon runs, and how it is")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    daemon = Daemon(os.environ)
    try:
        alive, ready, tools = (daemon.get(path) for path in ("/healthz", "/readyz", "/v1/tools"))
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    if args.json:
        where = {"url": daemon.url, "socket": str(daemon.socket_path)}
        print(json.dumps({**alive, **where, **ready, "servers": tools["servers"]}, indent=2))
        return 0
    print(f"woollama {alive['version']} at {daemon.url or 'no TCP address'} and {daemon.socket_path}")
    if not ready["ready"]:
        print(f"waiting for: {', '.join(ready['waiting_for'])}")
    for server in tools["servers"]:
        print(health_line(server))
    return 0
