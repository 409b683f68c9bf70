"""`woollama why-miss`: what changed in prompts that a provider may have cached."""

from __future__ import annotations

import argparse
import json
import os
import time

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, shown


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "why-miss",
        help="tell what changed in prompts that a provider may have cached",
        description="A provider's cache holds the beginning of a prompt. Each line names the first part that differed"
        " from the prompt before it in the same conversation, and who changed it.",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        found = Daemon(os.environ).get("/w1/compression/misses")
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    for miss in found["data"]:
        at = time.strftime("%H:%M:%S", time.localtime(miss["at"]))
        where = f"byte {miss['at_byte']} of {miss['of_bytes']}"
        print(shown(f"{at} {miss['model']} at {miss['target']}: {miss['what']} changed by {miss['who']}, from {where}"))
    print(f"{found['kept']} of {found['prompts']} prompts began as the one before them")
    return 0
