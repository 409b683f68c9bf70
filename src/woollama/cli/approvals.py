"""`woollama approvals`: what waits for a yes, live in a terminal, or one answer for scripts."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, table

DECISIONS = {"approve": "approve", "deny": "deny"}


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "approvals",
        help="see and answer what waits for a person's yes",
        description=(
            "In a terminal: shows each question as it comes, and takes a key for an answer. With `list`, `approve ID`"
            " or `deny ID`: does that and ends. The beginning of an id is enough where it is one question's alone."
        ),
    )
    parser.add_argument("action", nargs="?", choices=["list", *DECISIONS], help="what to do instead of waiting")
    parser.add_argument("id", nargs="?", help="which question to answer, as the list shows it")
    parser.add_argument(
        "--remember",
        choices=["once", "conversation", "always"],
        default="once",
        help="for how long the answer counts (once)",
    )
    parser.add_argument("--content", metavar="JSON", type=_object, help="what is filled into the form of a question")
    parser.add_argument("--json", action="store_true", help="print the list, or what came of an answer, as JSON")


def run(args: argparse.Namespace) -> int:
    daemon = Daemon(os.environ)
    if args.action in DECISIONS and args.id is None:
        complain(f"which one? woollama approvals {args.action} ID; `woollama approvals list` shows them")
        return 2
    try:
        if args.action in DECISIONS:
            return _answer(daemon, args)
        if args.action is None and sys.stdin.isatty() and sys.stdout.isatty() and not args.json:
            from woollama.cli.approvals_live import watch

            return watch(daemon)
        return _list(daemon, args)
    except (NotRunning, Refused) as error:
        complain(error)
        return 1


def _list(daemon: Daemon, args: argparse.Namespace) -> int:
    listing = daemon.get("/w1/approvals")
    if args.json:
        print(json.dumps(listing, indent=2))
    elif not listing["data"]:
        print("nothing waits for a yes")
    else:
        print(table((ask["id"], ask["name"], ask["caller"], ask["command_preview"]) for ask in listing["data"]))
    return 0


def _answer(daemon: Daemon, args: argparse.Namespace) -> int:
    waiting = [ask["id"] for ask in daemon.get("/w1/approvals")["data"]]
    meant = [ask_id for ask_id in waiting if ask_id.startswith(args.id)]
    if len(meant) > 1 and args.id not in meant:
        complain(f"{args.id} could be {', '.join(meant)}")
        return 1
    ask_id = meant[0] if len(meant) == 1 else args.id
    answer = {"decision": DECISIONS[args.action], "remember": args.remember}
    if args.content is not None:
        answer["content"] = args.content
    done = daemon.send(f"/w1/approvals/{ask_id}", answer)
    if args.json:
        print(json.dumps(done))
    else:
        from woollama.cli.asked import told

        print(told(ask_id, done["decision"], args.remember, done["remember"]))
    return 0


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return value
