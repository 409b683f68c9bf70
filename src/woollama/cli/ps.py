"""`woollama ps`: the processes that the daemon has started: tool servers, models, and who keeps them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, duration, size, table

_HEAD = ("NAME", "KIND", "STATE", "PID", "KEEPER", "UP", "MEMORY", "RESTARTS", "")


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "ps",
        help="list the processes that the daemon has started",
        description="List tool servers and models in processes of their own, running or not, with their memory and how"
        " often they were started again. KEEPER is the process that ends one with all that it started.",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        listing = Daemon(os.environ).get("/w1/processes")
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    if args.json:
        print(json.dumps(listing, indent=2))
    else:
        print(table([_HEAD, *map(_row, listing["data"])]))
    return 0


def _row(process: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        process["name"],
        process["kind"].replace("_", " "),
        process["state"],
        _or_dash(process["pid"]),
        _or_dash(process["keeper_pid"]),
        _or_dash(process["uptime_s"], duration),
        _or_dash(process["memory_bytes"], size),
        process["restarts"],
        _remark(process),
    )


def _remark(process: Mapping[str, Any]) -> str:
    if process["idle_stop_in_s"] is not None:
        return f"idle, stops in {duration(process['idle_stop_in_s'])}"
    lines = (process["last_error"] or "").splitlines()
    return str(lines[-1]) if lines and process["state"] != "ready" else ""


def _or_dash(value: Any, shown: Any = str) -> str:
    return "-" if value is None else str(shown(value))
