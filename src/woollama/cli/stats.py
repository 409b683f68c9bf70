"""`woollama stats`: what compression saved and what that cost, by recipe and tool."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, table


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser("stats", help="tell what compression saved, by recipe and tool")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        daemon = Daemon(os.environ)
        stats, misses = daemon.get("/w1/compression"), daemon.get("/w1/compression/misses")
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    if args.json:
        print(json.dumps({**stats, "prefixes": {key: misses[key] for key in ("prompts", "kept")}}, indent=2))
        return 0
    if not stats["data"]:
        print('nothing was compressed yet; a recipe with `compress = "auto"` compresses what its tools return')
        return 0
    print(f"since {time.strftime('%Y-%m-%d %H:%M', time.localtime(stats['since']))}")
    head = ("recipe", "tool", "results", "tokens in", "out", "saved", "looked up", "cache lost", "net", "ms", "")
    print(table([head, *map(_row, stats["data"]), _row({"recipe": "all", "tool": "", **stats["total"]})]))
    print(f"\nprefixes that stayed as they were: {misses['kept']} of {misses['prompts']} prompts")
    for reason, count in stats["total"]["reasons"].items():
        print(f"{count} x {reason}")
    return 0


def _row(account: Mapping[str, Any]) -> tuple[object, ...]:
    before, saved = account["tokens_in"], account["tokens_saved"]
    share = f"{saved} ({round(100 * saved / before)} %)" if before else "0"
    return (
        *(account["recipe"] or "-", account["tool"] or "-", account["blocks"], before, account["tokens_out"], share),
        *(
            account["tokens_retrieved"],
            account["cache_tokens_lost"],
            account["net_tokens"],
            round(account["milliseconds"]),
        ),
        "switched off: it did not pay" if account.get("switched_off") else "",
    )
