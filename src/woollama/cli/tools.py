"""`woollama tools`: what can be called, and how the tool servers are."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, shown


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser("tools", help="list the tools of every tool server")
    parser.add_argument("--json", action="store_true", help="print the listing as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        listing = Daemon(os.environ).get("/v1/tools")
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    if args.json:
        print(json.dumps(listing, indent=2))
        return 0
    for server in listing["servers"]:
        print(health_line(server))
        for tool in listing["data"]:
            if tool["server"] == server["name"]:
                print(shown(f"  {tool['name']}"))
    return 0


def health_line(server: dict[str, Any]) -> str:
    """`github (stdio): down after 3 attempts, because …`."""
    line = f"{server['name']} ({server['transport']}): {server['health']}"
    if server["health"] == "down":
        line += f" after {server['attempts']} attempts, because {server['last_error']}"
    return shown(line)
