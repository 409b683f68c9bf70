"""`woollama models`: what can be asked for."""

from __future__ import annotations

import argparse
import json
import os

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, shown


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser("models", help="list the models that can be asked for")
    parser.add_argument("--json", action="store_true", help="print the listing as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        listing = Daemon(os.environ).get("/v1/models")
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    if args.json:
        print(json.dumps(listing, indent=2))
    else:
        for model in listing["data"]:
            print(shown(model["id"]))
    return 0
