"""`woollama reload`: the running daemon works with what the configuration files say now."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, problem_line


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "reload",
        help="have the daemon read its configuration files again",
        description=(
            "The running daemon reads its files again and works with what they say; what is under way is not"
            " disturbed. Says what has changed. A change of a file takes effect by itself, but for what would start a"
            " command, send a key somewhere else or allow more than before: that waits for this."
        ),
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        outcome = Daemon(os.environ).send("/w1/reload", {})
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    if args.json:
        print(json.dumps(outcome, indent=2))
    else:
        _show(outcome)
    wrong = any(problem["severity"] == "error" for problem in outcome["problems"])
    return 0 if outcome["reloaded"] and not wrong else 1


def _show(outcome: dict[str, Any]) -> None:
    for change in outcome["changed"]:
        print(f"{change['what']} {change['name']} {change['how']}")
    for problem in outcome["problems"]:
        complain(problem_line(problem))
    if not outcome["reloaded"]:
        complain("not reloaded: the daemon goes on with the configuration that it has")
    elif not outcome["changed"]:
        print("nothing has changed")
    for key in outcome["needs_restart"]:
        print(f"{key} takes effect when the daemon is started again")
