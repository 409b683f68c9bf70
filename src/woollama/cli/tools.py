"""`woollama tools`: what can be called, and how the tool servers are."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, counted, fits, shown, table


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "tools",
        help="list the tools of every tool server",
        description="List the tools of every tool server, and how each server is: ready, starting, or down and why.",
        epilog="examples: woollama tools 'fs.read_*'; woollama tools --server git",
    )
    parser.add_argument("pattern", nargs="*", metavar="PATTERN", help="part of a name, or a glob over server.tool")
    parser.add_argument("--server", metavar="NAME", help="only the tools of this server")
    parser.completed |= {"pattern": "tools", "server": "servers"}
    parser.add_argument("--cost", action="store_true", help="tell what offering the tools costs, by recipe and by tool")
    parser.add_argument("--json", action="store_true", help="print the listing as JSON, as GET /v1/tools gives it")


def run(args: argparse.Namespace) -> int:
    try:
        listing = Daemon(os.environ).get("/v1/tools")
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    tools = [
        tool for tool in listing["data"] if fits(tool["name"], args.pattern) and args.server in (None, tool["server"])
    ]
    with_tools = {tool["server"] for tool in tools}
    servers = [
        server
        for server in listing["servers"]
        if server["name"] in with_tools or server["name"] == args.server or not (args.pattern or args.server)
    ]
    found = {"tools": [tool["name"] for tool in tools], "data": tools, "servers": servers}
    if args.cost:
        found["recipes"] = listing["recipes"]
    if args.json:
        print(json.dumps(found, indent=2))
    elif not servers:
        complain("nothing fits; `woollama tools` lists everything")
    elif args.cost:
        _show_cost(listing["recipes"], tools)
    for server in () if args.json or args.cost else servers:
        print(health_line(server))
        own = [tool for tool in tools if tool["server"] == server["name"]]
        if own:
            print(table(((f"  {tool['name']}", tool["description"]) for tool in own), tail="dim"))
    return 0 if servers or args.json else 1


def _show_cost(recipes: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> None:
    """The dearest first."""
    print("tokens in each round of a model, estimated")
    for title, rows in (("recipe", recipes), ("tool", tools)):
        dearest = sorted(rows, key=lambda row: -row["tokens"])
        print(table([(title.upper(), "TOKENS", ""), *((row["name"], row["tokens"], _remark(row)) for row in dearest)]))


def _remark(row: Mapping[str, Any]) -> str:
    """Of a recipe how many tools it has, and whether they are shown."""
    if "budget_tokens" not in row:
        return ""
    found = f"; found instead of shown, the budget is {row['budget_tokens']}" if row["found"] else ""
    return counted(row["tools"], "tool") + found


def health_line(server: Mapping[str, Any]) -> str:
    """`github (stdio): down after 3 attempts, because …`."""
    line = f"{server['name']} ({server['transport']}): {server['health']}"
    if server["health"] == "down":
        line += f" after {server['attempts']} attempts, because {server['last_error']}"
    elif server["health"] == "needs login":
        line += f", {server['last_error']}"
    elif server.get("login_wanted"):
        line += f", but {server['login_wanted']}"
    return shown(line)
