"""`woollama run RECIPE TEXT`: one question, its answer as it comes, and the tools that were called for it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from woollama.cli.answers import Answer
from woollama.cli.arguments import SubParsers, pair
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.questions import Questions
from woollama.cli.screen import complain


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "run",
        help="ask a recipe or a model once",
        description="Ask once and print the answer as it comes; tool calls are shown on standard error, and one that"
        " needs a yes is asked about at a terminal.",
        epilog="examples: woollama run demo 'What time is it in Tokyo?'; git diff | woollama run reviewer",
    )
    parser.add_argument("model", metavar="RECIPE", help="a recipe, or any other name that `woollama models` shows")
    parser.completed["model"] = "models"
    parser.add_argument("text", nargs="?", help="what to ask; read from standard input when it is left out or -")
    parser.add_argument(
        "--var",
        action="append",
        default=[],
        type=pair,
        metavar="NAME=VALUE",
        help="the value of one of the recipe's variables; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    text = sys.stdin.read() if args.text in (None, "-") else args.text
    if not text.strip():
        complain("there is nothing to ask")
        return 2
    asked: dict[str, Any] = {"model": args.model, "input": text, "stream": True, "store": False}
    if args.var:
        asked["variables"] = dict(args.var)
    try:
        daemon = Daemon(os.environ)
        return 0 if Answer(Questions(daemon)).show(daemon.post("/v1/responses", asked)) else 1
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
