"""`woollama config`: the configuration in force, and where each value of it comes from."""

from __future__ import annotations

import argparse
import os

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import complain


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "config",
        help="show the configuration in force, and where each value comes from",
        description="Show the files of the configuration laid over each other, as TOML: each value with the file and"
        " line, the environment variable, or the default that it comes from. ${VAR} is shown as it is written, and"
        " secrets are not shown. Nobody is asked and nothing is started; a running daemon may still work with what it"
        " has read earlier.",
        epilog="examples: woollama config recipes; woollama config inferencers.ollama --all",
    )
    parser.add_argument(
        "under", nargs="?", metavar="TABLE", help="only this table, such as recipes or inferencers.ollama"
    )
    parser.add_argument("--all", action="store_true", help="with the defaults of every key that nobody wrote")
    parser.add_argument("--json", action="store_true", help='print it as JSON: {"values": …, "origins": …}')


def run(args: argparse.Namespace) -> int:
    from woollama.config import load
    from woollama.config.merged import as_json, as_toml, merged
    from woollama.config.problems import dotted

    loaded = load(None, os.environ)
    values = [
        each
        for each in merged(loaded, os.environ, defaults=args.all)
        if args.under is None or f"{dotted(each.path)}.".startswith(f"{args.under}.")
    ]
    if args.under is not None and not values:
        complain(f"there is no table {args.under!r}; `woollama config` shows all of them")
        return 1
    print(as_json(values) if args.json else as_toml(values))
    for problem in loaded.problems:
        complain(f"{problem.severity}: {problem}")
    if loaded.errors:
        complain("what is wrong is not in force; `woollama check` says more")
    return int(loaded.fatal)
